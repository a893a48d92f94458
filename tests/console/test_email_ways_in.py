"""Every way in for an email address stores the one form, and sign-in takes what people type for it."""

from pathlib import Path

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.test import Client

from certificates.models import ImportedRow
from core import jobs
from core.desk.lists import accounts_named
from core.guards import guards_lifted
from core.models import User
from tests.conftest import signed_in
from tests.factories import NOON, UserFactory
from tests.importing.files import EXAMPLES, row, run, write_csv
from tests.staff.pages import address, list_of

pytestmark = pytest.mark.django_db

TYPED = "\u202aSu@BÜCHER.example "
STORED = "su@xn--bcher-kva.example"
SHOWN = "su@bücher.example"
PASSWORD = "refund-demo"


@pytest.fixture
def superuser(db: None) -> User:
    return UserFactory(username="superuser", is_staff=True, is_superuser=True)


def asked_for_reset(email: str) -> list[str]:
    """Who gets a reset mail when somebody types this."""
    mail.outbox.clear()
    assert Client().post("/accounts/password/reset/", {"email": email}).status_code == 302
    jobs.run_due("worker", clock=lambda: NOON)
    return [to for message in mail.outbox for to in message.to]


def signs_in(login: str) -> bool:
    client = Client()
    client.post("/accounts/login/", {"login": login, "password": PASSWORD})
    return "_auth_user_id" in client.session


# --- The import --------------------------------------------------------------------------------


def test_an_account_imported_with_capital_letters_gets_its_reset_mail(db: None) -> None:
    assert run(EXAMPLES / "email-capital-letter.csv").code == 0
    assert sorted(User.objects.values_list("email", flat=True)) == [
        "reset6@example.org",
        "reset7+certs@example.org",
        "reset8@example.org",
    ]
    assert asked_for_reset("Reset8@Example.org") == ["reset8@example.org"]


def test_the_import_refuses_what_is_no_address_and_reads_what_is(tmp_path: Path) -> None:
    bad = run(write_csv(tmp_path / "bad.csv", [row(email="li@[192.0.2.1]")]))
    assert bad.problems == ["line 2: email: is not an email address"]
    assert run(write_csv(tmp_path / "good.csv", [row(email=TYPED)])).code == 0
    assert User.objects.get().email == STORED


def test_two_ways_to_write_one_address_are_one_in_an_import(tmp_path: Path) -> None:
    rows = [row(email="a@bücher.example"), row(2, account="bob", email="a@xn--bcher-kva.example")]
    assert run(write_csv(tmp_path / "two.csv", rows)).problems == [
        "line 3: email: is that of the account alice in line 2"
    ]


def test_a_file_imported_before_addresses_had_one_form_is_still_known(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "one.csv", [row(email="Alice@Example.com")])
    run(file)
    kept = ImportedRow.objects.get()
    with guards_lifted():
        QuerySet(ImportedRow).update(row={**kept.row, "email": "Alice@Example.com"})
    assert run(file).code == 0


# --- Staff -------------------------------------------------------------------------------------


def new_account(**changed: str) -> dict[str, str]:
    return {
        "username": "su",
        "name": "Su",
        "email": TYPED,
        "language": "en",
        "time_zone": "Asia/Shanghai",
        "usable_password": "true",
        "password1": "a-long-and-quiet-river",
        "password2": "a-long-and-quiet-river",
        **changed,
    }


def test_staff_store_the_one_form_and_read_the_domain_in_its_own_script(superuser: User) -> None:
    client = signed_in(superuser)
    assert client.post(list_of(User) + "add/", new_account()).status_code == 302
    su = User.objects.get(username="su")
    assert su.email == STORED
    for page in (client.get(address(su)), client.get(list_of(User)), client.get(list_of(User), {"q": TYPED})):
        assert SHOWN in page.content.decode()
        assert STORED not in page.content.decode()


@pytest.mark.parametrize("typed", ["SU@xn--bcher-kva.example", "su@bücher.example"])
def test_staff_may_not_give_one_mailbox_to_two_accounts(superuser: User, typed: str) -> None:
    UserFactory(username="first", email=STORED)
    answer = signed_in(superuser).post(list_of(User) + "add/", new_account(email=typed))
    assert "Another account has this address already" in answer.content.decode()
    assert not User.objects.filter(username="su").exists()


@pytest.mark.parametrize("typed", ["su@example.com.", "苏@example.com", "su@[192.0.2.1]"])
def test_staff_hear_beside_the_field_what_is_wrong(superuser: User, typed: str) -> None:
    answer = signed_in(superuser).post(list_of(User) + "add/", new_account(email=typed))
    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors.keys() == {"email"}
    assert typed in answer.content.decode()


def test_the_desk_finds_an_account_by_what_staff_type(customer: User) -> None:
    User.objects.filter(pk=customer.pk).update(email=STORED)
    for typed in (TYPED, SHOWN, STORED):
        assert accounts_named(typed) == [customer.pk]
    assert accounts_named("customer") == [customer.pk]
    assert accounts_named("no@address") == []


def test_createsuperuser_stores_the_one_form_and_refuses_in_a_sentence(db: None) -> None:
    call_command("createsuperuser", "--noinput", username="boss", email=TYPED, verbosity=0)
    assert User.objects.get().email == STORED
    with pytest.raises(CommandError, match="email address"):
        call_command("createsuperuser", "--noinput", username="other", email="boss@", verbosity=0)
    with pytest.raises(CommandError, match="Another account has this address already"):
        call_command("createsuperuser", "--noinput", username="other", email=SHOWN, verbosity=0)


# --- The database ------------------------------------------------------------------------------


def test_whatever_stores_an_account_stores_the_one_form(db: None) -> None:
    made = User(username="a", email=TYPED)
    made.save()
    assert made.email == STORED
    User.objects.bulk_create([User(username="b", email="B@Example.com")])
    User.objects.filter(username="b").update(email="C@Example.com")
    assert User.objects.get(username="b").email == "c@example.com"
    assert User.objects.create_user("d", email="D@Example.com").email == "d@example.com"
    with pytest.raises(ValidationError):
        User.objects.create(username="e", email="no address")


def test_accounts_without_an_address_are_many(db: None) -> None:
    for name in ("a", "b"):
        User.objects.create(username=name, email="")
    assert User.objects.filter(email="").count() == 2


@pytest.mark.parametrize("second", ["a@example.com", "A@example.com"])
def test_the_database_holds_the_form_and_takes_one_mailbox_once(db: None, second: str) -> None:
    User.objects.create(username="a", email="a@example.com")
    User.objects.create(username="b", email="b@example.com")
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE core_user SET email = %s WHERE username = 'b'", [second])


# --- Sign-in -----------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", [STORED, SHOWN, TYPED, "SU@XN--BCHER-KVA.example"])
def test_a_customer_signs_in_and_resets_with_any_way_to_write_the_address(db: None, typed: str) -> None:
    UserFactory(username="su", email=STORED)
    assert signs_in(typed)
    assert asked_for_reset(typed) == [STORED]
    assert list(EmailAddress.objects.values_list("email", flat=True)) in ([], [STORED])


def test_a_user_name_that_looks_like_an_address_still_signs_in(db: None) -> None:
    UserFactory(username="Li.Wei@Corp.example", email="li@example.com")
    assert signs_in("Li.Wei@Corp.example")


def test_reset_refuses_what_is_no_address_beside_the_field(db: None) -> None:
    answer = Client().post("/accounts/password/reset/", {"email": "li@example.com."})
    assert answer.status_code == 200
    assert 'id="id_email_error"' in answer.content.decode()
