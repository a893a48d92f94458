"""Accounts, the audit trail, jobs and mails on the desk."""

import pytest
from allauth.account.models import EmailAddress
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse

from core import audit
from core.models import AuditEntry, Job, Notice, User
from tests import factories
from tests.conftest import signed_in
from tests.factories import NOON
from tests.staff.pages import address, approved, list_of, page_shown, under_review

pytestmark = pytest.mark.django_db

PASSWORD = "a-long-and-quiet-river"


@pytest.fixture
def as_admin(superuser: User) -> Client:
    return signed_in(superuser)


def account_form(user: User, **changed: object) -> dict[str, object]:
    return {
        "username": user.username,
        "name": user.name,
        "email": user.email,
        "language": user.language,
        "time_zone": user.time_zone,
        "is_active": "on",
        **changed,
    }


# --- Accounts ----------------------------------------------------------------------------------


def test_superuser_adds_an_account(as_admin: Client) -> None:
    form = {
        "username": "mei",
        "name": "Mei Chen",
        "email": "mei@example.com",
        "language": "en",
        "time_zone": "Asia/Shanghai",
        "usable_password": "true",
        "password1": PASSWORD,
        "password2": PASSWORD,
    }
    assert as_admin.post(list_of(User) + "add/", form).status_code == 302
    mei = User.objects.get(username="mei")
    assert (mei.name, mei.email, mei.is_staff, mei.check_password(PASSWORD)) == (
        "Mei Chen",
        "mei@example.com",
        False,
        True,
    )
    assert audit.history(mei).get().act == "added"


def test_superuser_gives_permissions_and_the_trail_says_which(as_admin: Client, superuser: User, clerk: User) -> None:
    permission = Permission.objects.get(codename="review_refund")
    form = account_form(clerk, is_staff="on", name="New name", user_permissions=[permission.pk])
    assert as_admin.post(address(clerk), form).status_code == 302
    clerk.refresh_from_db()
    assert clerk.name == "New name"
    [entry] = audit.history(clerk)
    assert (entry.by, entry.act) == (superuser, "changed")
    assert entry.detail["permissions"] == ["refunds.review_refund"]
    assert LogEntry.objects.filter(user=superuser, object_id=str(clerk.pk)).count() == 1


def test_account_offers_the_permissions_that_the_desk_asks_for_alone(as_admin: Client, clerk: User) -> None:
    page = as_admin.get(address(clerk)).content.decode()
    for name in ("Can decide refund requests", "Can record payouts made outside", "Can view payout"):
        assert name in page
    for name in ("Can delete", "Can add refund request", "session"):
        assert name not in page


def test_superuser_sets_a_password(as_admin: Client, customer: User) -> None:
    page = reverse("admin:auth_user_password_change", args=[customer.pk])
    form = {"usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    assert as_admin.post(page, form).status_code == 302
    customer.refresh_from_db()
    assert customer.check_password(PASSWORD)
    assert audit.history(customer).get().note == "Changed password."


def test_address_of_another_account_is_refused_beside_the_field(
    as_admin: Client, customer: User, neighbour: User
) -> None:
    answer = as_admin.post(address(customer), account_form(customer, email="NEIGHBOUR@example.com"))
    assert answer.status_code == 200
    assert answer.context["errors"]
    assert "Another account has this address already" in answer.content.decode()


def test_address_that_staff_replaced_opens_the_account_no_more(as_admin: Client, customer: User) -> None:
    EmailAddress.objects.create(user=customer, email=customer.email, verified=True, primary=True)
    assert as_admin.post(address(customer), account_form(customer, email="new@example.com")).status_code == 302
    assert not EmailAddress.objects.filter(user=customer).exists()


def test_a_stale_page_gives_no_permission_or_group_back(as_admin: Client, clerk: User) -> None:
    permission, group = Permission.objects.get(codename="review_refund"), Group.objects.create(name="Reviewers")
    for thing, form in ((clerk, account_form(clerk, is_staff="on")), (group, {"name": group.name})):
        given = {"permissions": [permission.pk], "user_permissions": [permission.pk], "groups": [group.pk]}
        assert as_admin.post(address(thing), {**form, **given, **page_shown(as_admin, thing)}).status_code == 302
        stale = {**form, **given, **page_shown(as_admin, thing)}
        assert as_admin.post(address(thing), form).status_code == 302
        answer = as_admin.post(address(thing), stale)
        assert "This was changed while you were on this page." in answer.content.decode()
    assert not clerk.user_permissions.exists()
    assert not clerk.groups.exists()
    assert not group.permissions.exists()


def test_a_stale_account_page_does_not_bring_an_earlier_address_back(as_admin: Client, customer: User) -> None:
    stale = account_form(customer, name="Mei", **{"initial-email": customer.email})
    User.objects.filter(pk=customer.pk).update(email="new@example.com")
    assert as_admin.post(address(customer), stale).status_code == 302
    customer.refresh_from_db()
    assert (customer.name, customer.email) == ("Mei", "new@example.com")


def test_an_address_typed_over_one_that_has_changed_since_is_refused(as_admin: Client, customer: User) -> None:
    shown = as_admin.get(address(customer)).content.decode()
    assert f'name="initial-email" value="{customer.email}"' in shown
    stale = account_form(customer, email="typed@example.com", **{"initial-email": customer.email})
    User.objects.filter(pk=customer.pk).update(email="new@example.com")
    answer = as_admin.post(address(customer), stale)
    assert "changed this address while you were on this page" in answer.content.decode()
    customer.refresh_from_db()
    assert customer.email == "new@example.com"


def test_nobody_deletes_an_account(as_admin: Client, customer: User) -> None:
    assert as_admin.post(address(customer, "delete"), {"post": "yes"}).status_code == 403
    form = {"action": "delete_selected", "_selected_action": [customer.pk], "post": "yes"}
    as_admin.post(list_of(User), form)
    assert User.objects.filter(pk=customer.pk).exists()


def test_staff_with_djangos_own_permissions_change_no_account(customer: User) -> None:
    """Whoever may change accounts could make themselves a superuser."""
    names = ("change_user", "add_user", "delete_user", "view_user")
    boss = factories.staff("boss", *(f"core.{name}" for name in names))
    client = signed_in(boss)
    assert client.get(address(boss)).status_code == 200
    assert client.post(address(boss), account_form(boss, is_superuser="on", is_staff="on")).status_code == 403
    assert client.get(list_of(User) + "add/").status_code == 403
    assert client.post(reverse("admin:auth_user_password_change", args=[customer.pk]), {}).status_code == 403
    boss.refresh_from_db()
    assert not boss.is_superuser


def test_superuser_changes_a_group_and_the_trail_says_what_it_may(as_admin: Client) -> None:
    group = Group.objects.create(name="reviewers")
    permission = Permission.objects.get(codename="review_refund")
    assert as_admin.post(address(group), {"name": "reviewers", "permissions": [permission.pk]}).status_code == 302
    assert audit.history(group).get().detail == {"permissions": ["refunds.review_refund"]}
    assert as_admin.post(address(group, "delete"), {"post": "yes"}).status_code == 403


def test_people_of_one_name_have_histories_of_their_own(customer: User, neighbour: User, superuser: User) -> None:
    User.objects.filter(pk__in=[customer.pk, neighbour.pk]).update(name="Mei Chen")
    customer.refresh_from_db()
    neighbour.refresh_from_db()
    audit.record(customer, "changed", by=superuser, at=NOON)
    assert not audit.history(neighbour).exists()


# --- The first page ----------------------------------------------------------------------------


def test_first_page_says_how_much_waits_for_staff(as_admin: Client, customer: User, approver: User) -> None:
    under_review(customer)
    approved(customer, approver)
    Job.objects.create(kind="x", key="x:1", state="given_up")
    cards = {str(card.label): card.number for card in as_admin.get(reverse("admin:index")).context["cards"]}
    assert cards == {
        "Answers awaited of authorities": "0",
        "Applications to validate": "0",
        "Jobs that need a person": "1",
        "Bank payouts for the next file": "1",
        "Differences to look at": "0",
        "Payouts to send": "2",
        "Payouts handed to staff": "0",
        "Payouts failed": "0",
        "Payouts returned": "0",
        "Requests under review": "1",
    }


def test_first_page_tells_nobody_of_lists_that_they_may_not_see(reviewer: User, customer: User) -> None:
    under_review(customer)
    cards = [str(card.label) for card in signed_in(reviewer).get(reverse("admin:index")).context["cards"]]
    assert cards == ["Applications to validate", "Answers awaited of authorities", "Requests under review"]


# --- The trail ---------------------------------------------------------------------------------


def found(client: Client, **query: str) -> list[str]:
    return [entry.act for entry in client.get(list_of(AuditEntry), query).context["cl"].result_list]


def test_trail_is_narrowed_by_who_when_and_of_what(as_admin: Client, customer: User, approver: User) -> None:
    request = approved(customer, approver)
    assert found(as_admin, who="staff") == ["approved"]
    assert found(as_admin, who="customers") == ["requested"]
    assert found(as_admin, who="console") == ["money_ordered"]
    assert len(found(as_admin, kind="refunds.refundrequest", days="1")) == 3
    assert found(as_admin, kind="payments.payout") == []
    assert len(found(as_admin, q=request.reference.lower())) == 3
    assert found(as_admin, q="approver") == ["approved"]


def test_entry_shows_facts_rule_and_policy_and_leads_to_its_row(
    as_admin: Client, customer: User, approver: User
) -> None:
    request = approved(customer, approver)
    entry = audit.history(request).get(act="approved")
    page = as_admin.get(address(entry)).content.decode()
    for text in ("intl-2021", "unissued-manual", "purchased_at", "approver", request.reference):
        assert text in page
    assert f"/admin/refunds/refundrequest/?q={request.reference}" in page


# --- Jobs and mails ----------------------------------------------------------------------------


@pytest.fixture
def given_up(db: None) -> Job:
    return Job.objects.create(kind="send_mail", key="send_mail:x", state="given_up", attempts=12, last_error="gone <b>")


def again(client: Client, *jobs: Job) -> object:
    form = {"action": "try_again", "_selected_action": [job.pk for job in jobs]}
    return client.post(list_of(Job), form, follow=True)


def test_staff_try_a_given_up_job_again(given_up: Job) -> None:
    keeper = factories.staff("keeper", "core.view_job", "core.change_job")
    answer = again(signed_in(keeper), given_up)
    assert "1 job is tried again." in answer.content.decode()
    given_up.refresh_from_db()
    assert (given_up.state, given_up.attempts) == ("queued", 0)
    [entry] = audit.history(given_up)
    assert (entry.by, entry.act, entry.detail) == (keeper, "try_again", {"attempts": 12})
    assert LogEntry.objects.filter(user=keeper).count() == 1


def test_queued_and_done_jobs_are_left_alone(as_admin: Client, db: None) -> None:
    left = [Job.objects.create(kind="x", key=f"x:{state}", state=state, attempts=3) for state in ("queued", "done")]
    assert "None of these jobs was given up" in again(as_admin, *left).content.decode()
    assert {job.attempts for job in Job.objects.all()} == {3}
    assert not AuditEntry.objects.exists()


def test_staff_who_may_only_look_try_no_job_again(given_up: Job) -> None:
    client = signed_in(factories.staff("looker", "core.view_job"))
    assert again(client, given_up).status_code == 403
    given_up.refresh_from_db()
    assert given_up.state == "given_up"


def test_job_shows_why_it_needs_a_person(as_admin: Client, given_up: Job) -> None:
    page = as_admin.get(address(given_up)).content.decode()
    assert "needs a person" in page
    assert "gone &lt;b&gt;" in page


def test_mail_is_shown_whole(as_admin: Client, customer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    request = under_review(customer)
    notice = Notice.objects.get(key=f"{request.reference}:received")
    page = as_admin.get(address(notice)).content.decode()
    assert request.reference in page
    assert "customer@example.com" in page


def test_mail_whose_template_is_gone_still_opens(as_admin: Client, customer: User) -> None:
    notice = Notice.objects.create(
        key="x", recipient=customer, template="of_long_ago", message_id="<x@example.com>", created_at=NOON
    )
    assert "no longer there" in as_admin.get(address(notice)).content.decode()
