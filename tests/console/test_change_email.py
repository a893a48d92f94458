"""Changing the address of an account takes its password and a link; the old address can undo it."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from allauth.account.forms import default_token_generator
from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import make_password
from django.core import mail
from django.core.mail import EmailMessage
from django.db import IntegrityError, connection, transaction
from django.http import HttpResponse
from django.test import Client

from core import audit, jobs
from core.email_links import EmailLink, LinkKind, token_of
from core.guards import guards_lifted
from core.mail import compose
from core.models import AuditEntry, EmailChange, Job, Notice, User
from core.text import drop_invisible
from tests.conftest import signed_in
from tests.customer.pages import words
from tests.factories import NOON, UserFactory
from tests.staff.pages import address

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("frozen")]

OLD, NEW, THIRD = "customer@example.com", "new@example.com", "third@example.com"
PASSWORD = "refund-demo"
LINK = re.compile(r"http://localhost:8000(/email/\S+)")


@pytest.fixture
def superuser(db: None) -> User:
    return UserFactory(username="superuser", is_staff=True, is_superuser=True)


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def ask(client: Client, new_email: str = NEW, password: str = PASSWORD) -> HttpResponse:
    return client.post("/settings/email/", {"new_email": new_email, "password": password})


def change_password(client: Client, password: str = PASSWORD) -> HttpResponse:
    form = {"oldpassword": password, "password1": "a-long-and-quiet-river", "password2": "a-long-and-quiet-river"}
    return client.post("/accounts/password/change/", form)


def sent() -> dict[str, EmailMessage]:
    """What the worker sends now, by address; each address gets at most one."""
    mail.outbox.clear()
    jobs.run_due("worker", clock=lambda: NOON)
    addressed = [(message.to[0], message) for message in mail.outbox]
    assert len(addressed) == len(dict(addressed))
    return dict(addressed)


def link_in(message: EmailMessage) -> str:
    [link] = LINK.findall(message.body)
    return link


def email_of(account: User) -> str:
    return User.objects.get(pk=account.pk).email


def changed(client: Client, new_email: str = NEW) -> tuple[str, str]:
    """Change the address to its end; return the links that undo it, from the request and from the change."""
    account = User.objects.get(pk=client.session["_auth_user_id"])
    assert ask(client, new_email).status_code == 302
    asked = sent()
    assert Client().post(link_in(asked[new_email])).status_code == 302
    return link_in(asked[account.email]), link_in(sent()[account.email])


def is_signed_in(client: Client) -> bool:
    return client.get("/settings/").status_code == 200


def can_sign_in(login: str, password: str = PASSWORD) -> bool:
    client = Client()
    client.post("/accounts/login/", {"login": login, "password": password})
    return "_auth_user_id" in client.session


# --- Asking for it -----------------------------------------------------------------------------


def test_the_settings_form_changes_no_address(as_customer: Client, customer: User) -> None:
    as_customer.post("/settings/", {"email": NEW, "new_email": NEW, "language": "en", "time_zone": "Europe/Berlin"})
    assert email_of(customer) == OLD
    assert not EmailChange.objects.exists()


def test_an_address_changes_only_once_its_link_is_confirmed(as_customer: Client, customer: User) -> None:
    ask(as_customer)
    assert "We sent a link to new@example.com" in as_customer.get("/settings/").content.decode()
    link = link_in(sent()[NEW])
    assert email_of(customer) == OLD
    page = Client().get(link).content.decode()
    assert "Use this email address?" in page and "customer" in page
    assert "2026-11-24 12:00" in page and "Asia/Shanghai" in page
    Client().head(link)
    assert email_of(customer) == OLD
    assert Client().post(link, follow=True).content.decode().count("Your new email address is in use") == 1
    assert email_of(customer) == NEW
    assert can_sign_in(NEW) and not can_sign_in(OLD)


def test_a_link_takes_effect_once(as_customer: Client, customer: User) -> None:
    ask(as_customer)
    link = link_in(sent()[NEW])
    Client().post(link)
    changed(signed_in(customer), THIRD)
    assert Client().post(link).status_code == 200
    assert email_of(customer) == THIRD


@pytest.mark.parametrize("password", ["", "wrong", " "])
def test_an_open_session_without_the_password_changes_nothing(
    as_customer: Client, customer: User, neighbour: User, password: str
) -> None:
    # Nor does it learn which addresses have accounts.
    for new_email in (NEW, neighbour.email):
        answer = ask(as_customer, new_email, password)
        assert answer.status_code == 422
        assert answer.context["form"].errors.keys() == {"password"}
        assert 'id="id_password_error"' in answer.content.decode()
        assert answer.context["form"]["new_email"].value() == new_email
    assert not EmailChange.objects.exists() and not Notice.objects.exists()


def test_an_open_session_guesses_the_password_five_times(as_customer: Client, customer: User) -> None:
    for _ in range(5):
        assert ask(as_customer, password="wrong").status_code == 422
    answer = ask(as_customer)
    assert answer.status_code == 422
    assert "Too many failed" in answer.content.decode()
    assert not EmailChange.objects.exists()


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "Enter the new email address."),
        ("li@example.com.", "Enter a valid email address"),
        ("苏@example.com", "Enter a valid email address"),
        ("\u202aCustomer@Example.com ", "This is your address already."),
    ],
)
def test_what_is_wrong_is_said_beside_the_field_and_kept(as_customer: Client, typed: str, sentence: str) -> None:
    answer = ask(as_customer, typed)
    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert 'id="id_new_email_error"' in answer.content.decode()
    assert answer.context["form"]["new_email"].value() == drop_invisible(typed)
    assert PASSWORD not in answer.content.decode()


def test_an_address_of_another_account_reads_as_free_and_only_its_owner_is_told(
    as_customer: Client, customer: User, neighbour: User
) -> None:
    pages, mails = [], []
    for new_email in (NEW, "NEIGHBOUR@example.com"):
        answer = ask(as_customer, new_email)
        assert (answer.status_code, answer["Location"]) == (302, "/settings/")
        pages.append(words(as_customer.get("/settings/")).lower().replace(new_email.lower(), "it"))
        mails.append(sent())
    free, taken = pages
    assert free == taken
    assert mails[0].keys() == {NEW, OLD} and mails[1].keys() == {neighbour.email, OLD}
    told = mails[1][neighbour.email]
    assert told.subject == "Your email address is already in use"
    assert "It's already the address of your account neighbour, so nothing changes." in told.body
    for text in (told.body, str(told.alternatives)):  # type: ignore[attr-defined]
        assert "http" not in text and customer.username not in text and "&#" not in text
    assert (email_of(customer), email_of(neighbour)) == (OLD, "neighbour@example.com")


def test_only_the_newest_request_counts_and_it_can_be_withdrawn(as_customer: Client, customer: User) -> None:
    ask(as_customer)
    first = link_in(sent()[NEW])
    ask(as_customer, THIRD)
    second = link_in(sent()[THIRD])
    assert "This link no longer works" in Client().get(first).content.decode()
    assert Client().post(first).status_code == 409
    assert THIRD in as_customer.get("/settings/").content.decode()
    as_customer.post("/settings/email/withdraw/")
    assert THIRD not in as_customer.get("/settings/").content.decode()
    assert Client().post(second).status_code == 409
    assert email_of(customer) == OLD
    assert as_customer.get("/settings/email/withdraw/").status_code == 405


def test_a_customer_asks_for_five_changes_a_day_at_most(as_customer: Client) -> None:
    for number in range(5):
        assert ask(as_customer, f"new-{number}@example.com").status_code == 302
    answer = ask(as_customer)
    assert answer.status_code == 422
    assert "too many changes today" in answer.content.decode()


def test_a_link_is_good_for_a_day(as_customer: Client, customer: User, clock: time_machine.Traveller) -> None:
    ask(as_customer)
    link = link_in(sent()[NEW])
    clock.move_to(NOON + timedelta(days=1))
    assert "This link has expired" in Client().get(link).content.decode()
    assert Client().post(link).status_code == 409
    assert email_of(customer) == OLD
    clock.move_to(NOON + timedelta(days=1) - timedelta(seconds=1))
    Client().post(link)
    assert email_of(customer) == NEW


def test_an_address_that_another_account_took_meanwhile_is_refused(
    as_customer: Client, customer: User, neighbour: User
) -> None:
    ask(as_customer)
    link = link_in(sent()[NEW])
    User.objects.filter(pk=neighbour.pk).update(email=NEW)
    answer = Client().post(link)
    assert answer.status_code == 409
    assert "Another account has this address" in answer.content.decode()
    assert email_of(customer) == OLD


def test_a_closed_account_confirms_nothing(as_customer: Client, customer: User) -> None:
    ask(as_customer)
    link = link_in(sent()[NEW])
    User.objects.filter(pk=customer.pk).update(is_active=False)
    assert Client().post(link).status_code == 409
    assert email_of(customer) == OLD


def test_an_account_without_an_address_gets_one_and_nobody_else_is_told(customer: User) -> None:
    User.objects.filter(pk=customer.pk).update(email="", unsettled_email="li@[192.0.2.1]")
    ask(signed_in(customer))
    asked = sent()
    assert asked.keys() == {NEW}
    Client().post(link_in(asked[NEW]))
    assert sent() == {}
    customer.refresh_from_db()
    assert (customer.email, customer.unsettled_email) == (NEW, "")


def test_an_account_without_a_password_is_led_to_set_one(customer: User) -> None:
    customer.set_unusable_password()
    customer.save()
    client = signed_in(customer)
    page = client.get("/settings/email/").content.decode()
    assert "/accounts/password/reset/" in page and "new_email" not in page
    assert ask(client, password="!").status_code == 422


def test_a_password_whose_hash_is_renewed_while_it_is_checked_still_counts(customer: User) -> None:
    for ask_for in (ask, change_password):
        customer.password = make_password(PASSWORD, salt="short")
        customer.save()
        assert ask_for(signed_in(customer)).status_code == 302
        customer.refresh_from_db()
        assert "$short$" not in customer.password


def test_an_address_that_was_given_up_opens_the_account_no_more(as_customer: Client, customer: User) -> None:
    EmailAddress.objects.create(user=customer, email=OLD, verified=True, primary=True)
    changed(as_customer)
    mail.outbox.clear()
    for given in (OLD, NEW):
        Client().post("/accounts/password/reset/", {"email": given})
    jobs.run_due("worker", clock=lambda: NOON)
    assert [message.to for message in mail.outbox] == [[NEW]]


# --- Undoing it --------------------------------------------------------------------------------


def test_the_old_address_is_told_at_the_request_and_at_the_change(as_customer: Client) -> None:
    ask(as_customer)
    asked = sent()
    assert asked.keys() == {NEW, OLD}
    assert asked[OLD].subject == "Someone asked to change your email address"
    assert NEW in asked[OLD].body
    Client().post(link_in(asked[NEW]))
    told = sent()
    assert told.keys() == {OLD}
    assert told[OLD].subject == "Your email address was changed"


@pytest.mark.parametrize("which", [0, 1])
def test_a_link_in_the_old_mailbox_takes_the_account_back(as_customer: Client, customer: User, which: int) -> None:
    EmailAddress.objects.create(user=customer, email=OLD, verified=True, primary=True)
    intruder = signed_in(customer)
    link = changed(intruder)[which]
    reset_by_intruder = default_token_generator.make_token(User.objects.get(pk=customer.pk))

    owner = Client()
    assert "Undo this change?" in owner.get(link).content.decode()
    assert email_of(customer) == NEW and is_signed_in(as_customer)
    form = owner.post(link, follow=True)

    customer.refresh_from_db()
    assert customer.email == OLD
    assert not customer.has_usable_password()
    assert not is_signed_in(as_customer) and not is_signed_in(intruder)
    assert not can_sign_in("customer")
    assert not default_token_generator.check_token(customer, reset_by_intruder)
    password = "a-long-and-quiet-river"
    owner.post(form.request["PATH_INFO"], {"password1": password, "password2": password})
    assert can_sign_in(OLD, password) and not can_sign_in(NEW, password)


def test_a_request_is_undone_before_it_takes_effect(as_customer: Client, customer: User) -> None:
    ask(as_customer)
    asked = sent()
    Client().post(link_in(asked[OLD]))
    assert not is_signed_in(as_customer) and not can_sign_in("customer")
    assert Client().post(link_in(asked[NEW])).status_code == 409
    assert email_of(customer) == OLD


def test_a_request_that_was_withdrawn_is_undone_too(as_customer: Client, customer: User) -> None:
    """Who made it knows the password, and may have withdrawn it to look harmless."""
    ask(as_customer)
    link = link_in(sent()[OLD])
    as_customer.post("/settings/email/withdraw/")
    assert Client().post(link).status_code == 302
    assert not is_signed_in(as_customer)


def test_an_intruder_who_changed_the_password_is_put_out_as_well(as_customer: Client, customer: User) -> None:
    link, _ = changed(as_customer)
    form = {"oldpassword": PASSWORD, "password1": "the-intruders-own-1", "password2": "the-intruders-own-1"}
    as_customer.post("/accounts/password/change/", form)
    assert can_sign_in(NEW, "the-intruders-own-1")
    Client().post(link)
    assert not can_sign_in("customer", "the-intruders-own-1")
    assert email_of(customer) == OLD


def test_an_intruder_who_changes_the_address_twice_cannot_undo_the_owners_undoing(
    as_customer: Client, customer: User
) -> None:
    owners, _ = changed(as_customer, NEW)
    of_request, of_change = changed(signed_in(User.objects.get(pk=customer.pk)), THIRD)
    ask(signed_in(User.objects.get(pk=customer.pk)), "fourth@example.com")
    waiting = sent()
    Client().post(owners)
    assert email_of(customer) == OLD
    for link in (of_request, of_change, link_in(waiting[THIRD]), link_in(waiting["fourth@example.com"])):
        assert Client().post(link).status_code == 409
    assert email_of(customer) == OLD
    assert not User.objects.get(pk=customer.pk).has_usable_password()


def test_the_earliest_address_wins_over_one_that_was_restored_after_it(as_customer: Client, customer: User) -> None:
    owners, _ = changed(as_customer, NEW)
    _, intruders = changed(signed_in(User.objects.get(pk=customer.pk)), THIRD)
    Client().post(intruders)
    assert email_of(customer) == NEW
    Client().post(owners)
    assert email_of(customer) == OLD


def test_links_that_undo_work_once_and_for_seven_days(
    as_customer: Client, customer: User, clock: time_machine.Traveller
) -> None:
    ask(as_customer)
    asked = sent()
    clock.move_to(NOON + timedelta(hours=20))
    Client().post(link_in(asked[NEW]))
    of_request, of_change = link_in(asked[OLD]), link_in(sent()[OLD])
    clock.move_to(NOON + timedelta(days=7))
    assert "This link has expired" in Client().get(of_request).content.decode()
    assert Client().post(of_request).status_code == 409
    assert email_of(customer) == NEW
    assert Client().post(of_change).status_code == 302
    assert email_of(customer) == OLD
    again = Client().post(of_change)
    assert again.status_code == 200
    assert "The change was undone" in again.content.decode()
    User.objects.filter(pk=customer.pk).update(email=THIRD)
    Client().post(of_change)
    assert email_of(customer) == THIRD


def test_an_old_address_that_another_account_took_is_for_staff_to_settle(
    as_customer: Client, customer: User, neighbour: User
) -> None:
    link, _ = changed(as_customer)
    User.objects.filter(pk=neighbour.pk).update(email=OLD)
    assert Client().post(link).status_code == 302
    customer.refresh_from_db()
    assert (customer.email, customer.unsettled_email) == ("", OLD)
    assert not is_signed_in(as_customer) and not customer.has_usable_password()
    assert email_of(neighbour) == OLD


# --- The links ---------------------------------------------------------------------------------


def test_links_are_in_no_row_and_on_no_page_of_the_desk(as_customer: Client, superuser: User) -> None:
    links = [*changed(as_customer)]
    tokens = [link.split("/")[3] for link in links]
    rows = [
        *Notice.objects.values(),
        *Job.objects.values(),
        *AuditEntry.objects.values(),
        *EmailChange.objects.values(),
    ]
    kept = json.dumps(rows, default=str)
    for notice in Notice.objects.all():
        kept += str(compose(notice).body) + signed_in(superuser).get(address(notice)).content.decode()
    assert "shown only to the recipient" in kept
    for token in tokens:
        assert token not in kept


def test_a_link_does_only_what_it_was_made_for(as_customer: Client, customer: User) -> None:
    ask(as_customer)
    asked = sent()
    confirming, restoring = (link_in(asked[each]).split("/")[3] for each in (NEW, OLD))
    for page in (f"/email/restore/{confirming}/", f"/email/confirm/{restoring}/", f"/email/confirm/{confirming}x/"):
        assert Client().get(page).status_code == 404
        assert Client().post(page).status_code == 404
    assert Client().get(f"/email/confirm/{token_of(EmailLink(10**6, LinkKind.CONFIRM))}/").status_code == 404
    assert email_of(customer) == OLD and is_signed_in(as_customer)


def test_a_link_needs_the_pages_own_form(as_customer: Client, customer: User) -> None:
    ask(as_customer)
    assert Client(enforce_csrf_checks=True).post(link_in(sent()[NEW])).status_code == 403
    assert email_of(customer) == OLD


def test_pages_of_links_are_kept_by_nobody(as_customer: Client) -> None:
    ask(as_customer)
    for message in sent().values():
        answer = Client().get(link_in(message))
        assert "no-store" in answer["Cache-Control"]
        assert answer["X-Robots-Tag"] == "noindex, nofollow"
        assert answer["Referrer-Policy"] == "same-origin"


def test_people_read_domains_in_their_own_script(as_customer: Client) -> None:
    ask(as_customer, "su@bücher.example")
    asked = sent()
    assert "su@bücher.example" in asked[OLD].body and "xn--" not in asked[OLD].body
    pages = [as_customer.get("/settings/"), *(Client().get(link_in(message)) for message in asked.values())]
    for page in pages:
        assert "su@bücher.example" in page.content.decode()


def test_the_trail_says_what_happened(as_customer: Client, customer: User) -> None:
    link, _ = changed(as_customer)
    Client().post(link)
    acts = [(entry.act, entry.by, entry.detail) for entry in audit.history(customer)]
    detail = {"old": OLD, "new": NEW}
    assert acts == [
        ("email_change_requested", customer, detail),
        ("email_changed", customer, detail),
        ("email_restored", None, detail),
    ]


# --- Staff -------------------------------------------------------------------------------------


def account_form(account: User, **changed: str) -> dict[str, str]:
    form = {"username": account.username, "name": "", "email": account.email, "language": "en", "is_active": "on"}
    return {**form, "time_zone": "Asia/Shanghai", **changed}


def test_a_change_by_staff_takes_effect_at_once_and_tells_the_old_address(superuser: User, customer: User) -> None:
    assert signed_in(superuser).post(address(customer), account_form(customer, email=NEW)).status_code == 302
    assert email_of(customer) == NEW
    told = sent()
    assert told.keys() == {OLD}
    assert told[OLD].subject == "Our staff changed your email address"
    assert NEW in told[OLD].body and not LINK.search(told[OLD].body)


def test_staff_who_change_something_else_tell_nobody(superuser: User, customer: User) -> None:
    signed_in(superuser).post(address(customer), account_form(customer, name="Li Wei", email="CUSTOMER@example.com"))
    assert sent() == {}


def test_a_change_by_staff_ends_every_link_of_the_accounts_own(
    as_customer: Client, customer: User, superuser: User
) -> None:
    links = [*changed(as_customer)]
    ask(signed_in(User.objects.get(pk=customer.pk)), THIRD)
    links += map(link_in, sent().values())
    customer.refresh_from_db()
    signed_in(superuser).post(address(customer), account_form(customer, email="staff@example.com"))
    for link in links:
        assert Client().post(link).status_code == 409
    assert email_of(customer) == "staff@example.com"


def test_a_superuser_changes_their_own_address_in_settings_alone(superuser: User) -> None:
    """Else a minute at their open session is a lasting takeover of the desk."""
    form = account_form(superuser, email=NEW, is_staff="on", is_superuser="on")
    answer = signed_in(superuser).post(address(superuser), form)
    assert answer.status_code == 200
    assert "Change your own address in Settings" in answer.content.decode()
    assert email_of(superuser) == "superuser@example.com"


# --- The database ------------------------------------------------------------------------------


def test_the_database_knows_the_steps_of_a_change(as_customer: Client) -> None:
    ask(as_customer)
    EmailChange.objects.get()
    with pytest.raises(IntegrityError), transaction.atomic():
        EmailChange.objects.update(state="restored")
        EmailChange.objects.update(state="done")
    with pytest.raises(IntegrityError), transaction.atomic():
        EmailChange.objects.create(
            account=User.objects.get(username="customer"), old_email="", new_email=NEW, requested_at=NOON
        )


def test_a_change_whose_guards_are_lifted_still_has_a_known_state(as_customer: Client) -> None:
    ask(as_customer)
    with guards_lifted(), pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE core_emailchange SET state = 'nonsense'")
