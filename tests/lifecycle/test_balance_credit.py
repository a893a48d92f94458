"""Staff credit a balance: who may, what it asks, what it shows before it acts, and what it leaves behind."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from core import audit
from core.models import AuditEntry, User
from payments.admin.credits import CreditForm
from payments.balances import LARGEST_CREDIT, balance_of, credit_balance
from payments.exceptions import BalanceChanged, NotYours
from payments.models import LedgerAccount, LedgerEntry
from payments.states import Cause, LedgerKind
from tests import factories
from tests.conftest import signed_in
from tests.customer.pages import words
from tests.factories import NOON
from tests.lifecycle.buying import put_on_balance, treasurer

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("frozen")]

CREDIT = "/admin/payments/ledgeraccount/credit/"
LIST = "/admin/payments/ledgeraccount/"
TYPED = {"account": "customer", "currency": "CNY", "amount": "500.00", "note": "Bank transfer 4711", "seen": ""}


@pytest.fixture
def staff(db: None) -> User:
    return treasurer()


@pytest.fixture
def as_staff(staff: User) -> Client:
    return signed_in(staff)


def shown(client: Client, **typed: str) -> dict[str, str]:
    """The page that shows what will be, as it is sent."""
    page = client.post(CREDIT, {**TYPED, **typed})
    assert page.status_code == 200, page.content.decode()
    return {**TYPED, **typed, "seen": page.context["form"]["seen"].value()}


def credited() -> int:
    return LedgerEntry.objects.filter(cause=Cause.BALANCE_CREDITED).count()


def errors(page: HttpResponse) -> list[str]:
    form = page.context["form"]
    assert isinstance(form, CreditForm)
    return list(form.errors)


# --- Who may -----------------------------------------------------------------------------------


def refused(client: Client, status: int = 403) -> None:
    assert client.get(CREDIT).status_code == status
    assert client.post(CREDIT, TYPED).status_code == status
    assert credited() == 0


def test_stranger_is_sent_to_sign_in(customer: User) -> None:
    for answer in (Client().get(CREDIT), Client().post(CREDIT, TYPED)):
        assert answer.status_code == 302
        assert answer["Location"].startswith((reverse("admin:login"), reverse("account_login")))


def test_customer_may_not(customer: User) -> None:
    assert signed_in(customer).post(CREDIT, TYPED, follow=True).status_code == 403
    assert credited() == 0


def test_staff_with_other_permissions_may_not(customer: User) -> None:
    refused(signed_in(factories.staff("looker", "payments.view_ledgeraccount", "payments.record_payout")))


def test_staff_who_may_not_see_the_books_may_not(customer: User) -> None:
    refused(signed_in(factories.staff("blind", "payments.credit_balance")))


@pytest.mark.parametrize("account", ["treasurer", "TREASURER@example.com"])
def test_nobody_credits_their_own_balance(as_staff: Client, account: str) -> None:
    page = as_staff.post(CREDIT, {**TYPED, "account": account})
    assert page.status_code == 422
    assert errors(page) == ["account"]
    assert "Nobody credits their own balance" in words(page)


def test_superuser_does_not_credit_their_own_balance(db: None) -> None:
    superuser = factories.UserFactory(username="admin", is_staff=True, is_superuser=True)
    assert signed_in(superuser).post(CREDIT, {**TYPED, "account": "admin"}).status_code == 422


def test_the_service_asks_again(customer: User, staff: User, clerk: User) -> None:
    for owner, by in ((customer, clerk), (staff, staff), (customer, customer)):
        with pytest.raises(NotYours):
            credit_balance(owner, 500, "CNY", seen=0, by=by, at=NOON, note="x")
    staff.is_active = False
    with pytest.raises(NotYours):
        credit_balance(customer, 500, "CNY", seen=0, by=staff, at=NOON, note="x")
    assert not LedgerAccount.objects.exists()


@pytest.mark.parametrize(("amount", "note"), [(0, "x"), (-1, "x"), (LARGEST_CREDIT + 1, "x"), (1, " \n")])
def test_the_service_takes_neither_nothing_nor_silence(customer: User, staff: User, amount: int, note: str) -> None:
    with pytest.raises(ValueError, match="needed"):
        credit_balance(customer, amount, "CNY", seen=0, by=staff, at=NOON, note=note)


# --- The way -----------------------------------------------------------------------------------


def test_looking_changes_nothing(as_staff: Client, customer: User) -> None:
    assert as_staff.get(CREDIT).status_code == as_staff.head(CREDIT).status_code == 200
    assert not LedgerAccount.objects.exists()


def test_what_will_be_is_shown_before_it_is(as_staff: Client, customer: User) -> None:
    put_on_balance(customer, 12_345)
    page = as_staff.post(CREDIT, TYPED)
    text = words(page)
    assert "Account customer · customer Email customer@example.com Note Bank transfer 4711" in text
    assert "Balance now CNY 123.45 Credit CNY 500.00 Balance afterwards CNY 623.45" in text
    assert "Credit CNY 500.00" in text
    assert balance_of(customer.pk, "CNY") == 12_345


def test_the_first_credit_makes_the_balance(as_staff: Client, staff: User, customer: User) -> None:
    answer = as_staff.post(CREDIT, shown(as_staff))
    account = LedgerAccount.objects.get(owner=customer)
    assert answer["Location"] == f"{LIST}{account.pk}/change/"
    entry = LedgerEntry.objects.get()
    assert (account.balance, entry.amount, entry.by, entry.at) == (50_000, 50_000, staff, NOON)
    assert (entry.debit.kind, entry.credit) == (LedgerKind.DEPOSITS, account)
    assert "CNY 500.00 are credited to the balance of customer." in words(as_staff.get(answer["Location"]))


def test_a_currency_has_a_balance_of_its_own(as_staff: Client, customer: User) -> None:
    put_on_balance(customer, 700)
    as_staff.post(CREDIT, shown(as_staff, currency="jpy", amount="1500"))
    assert (balance_of(customer.pk, "JPY"), balance_of(customer.pk, "CNY")) == (1500, 700)


def test_an_email_address_names_the_account_too(as_staff: Client, customer: User) -> None:
    as_staff.post(CREDIT, shown(as_staff, account=" CUSTOMER@example.com "))
    assert balance_of(customer.pk, "CNY") == 50_000


def test_it_stands_in_both_histories_with_its_note(as_staff: Client, staff: User, customer: User) -> None:
    as_staff.post(CREDIT, shown(as_staff))
    account = LedgerAccount.objects.get(owner=customer)
    [entry] = audit.history(account)
    assert (entry.act, entry.by, entry.note) == ("credited", staff, "Bank transfer 4711")
    assert entry.detail == {"owner": "customer", "amount": 50_000, "currency": "CNY", "before": 0, "after": 50_000}
    assert LogEntry.objects.get(user=staff).object_id == str(account.pk)
    text = words(as_staff.get(f"{LIST}{account.pk}/change/"))
    assert "Credited by staff treasurer" in text
    assert "Bank transfer 4711" in text


def test_the_trail_leads_to_the_balance(as_staff: Client, customer: User) -> None:
    as_staff.post(CREDIT, shown(as_staff))
    name = AuditEntry.objects.get().subject.partition(":")[2]
    assert "Account balance of a customer · customer" in words(as_staff.get(LIST, {"q": name}))
    assert "0 ledger accounts" in words(as_staff.get(LIST, {"q": "balance:999999999999999999:CNY"}))


def test_the_same_page_sent_twice_credits_once_and_says_so(as_staff: Client, customer: User) -> None:
    form = shown(as_staff)
    assert as_staff.post(CREDIT, form).status_code == 302
    again = as_staff.post(CREDIT, form)
    assert again.status_code == 409
    assert "Nothing was credited now: the balance has changed" in words(again)
    assert "Balance now CNY 500.00" in words(again)
    assert balance_of(customer.pk, "CNY") == 50_000


@pytest.mark.parametrize("other", [{"amount": "5000.00"}, {"account": "neighbour"}, {"currency": "USD"}], ids=str)
def test_another_credit_than_the_one_shown_is_not_made(
    as_staff: Client, customer: User, neighbour: User, other: dict[str, str]
) -> None:
    answer = as_staff.post(CREDIT, {**shown(as_staff), **other})
    assert answer.status_code == 409
    assert credited() == 0


def test_a_balance_that_moves_under_the_lock_is_noticed(customer: User, staff: User) -> None:
    put_on_balance(customer, 100)
    with pytest.raises(BalanceChanged) as refused:
        credit_balance(customer, 500, "CNY", seen=0, by=staff, at=NOON, note="x")
    assert refused.value.balance == 100


def test_a_form_of_another_site_is_refused(staff: User, customer: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(staff)
    assert client.post(CREDIT, TYPED).status_code == 403


def test_other_methods_are_refused(as_staff: Client) -> None:
    assert as_staff.put(CREDIT).status_code == 405


# --- What is typed -----------------------------------------------------------------------------

BAD: dict[str, tuple[str, Any]] = {
    "nobody": ("account", "nobody"),
    "no account": ("account", " "),
    "half an account": ("account", "custom"),
    "account with a wildcard": ("account", "custome%"),
    "account that is only a NUL": ("account", "\0"),
    "long account": ("account", "x" * 100_000),
    "no currency": ("currency", ""),
    "no currency's code": ("currency", "XXY"),
    "long currency": ("currency", "CNYCNY"),
    "no amount": ("amount", ""),
    "nothing": ("amount", "0.00"),
    "below zero": ("amount", "-5"),
    "half a cent": ("amount", "0.005"),
    "words": ("amount", "five"),
    "thousands": ("amount", "1,000"),
    "exponent": ("amount", "1e5"),
    "other digits": ("amount", "٥"),
    "too much": ("amount", "10000000000.01"),
    "amount of many digits": ("amount", "9" * 100_000),
    "no note": ("note", " \n "),
    "long note": ("note", "long " * 200),
    "note that is only a NUL": ("note", "\0"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_said_beside_its_field_and_kept(as_staff: Client, customer: User, what: str) -> None:
    name, text = BAD[what]
    page = as_staff.post(CREDIT, {**TYPED, name: text})
    assert page.status_code == 422
    assert errors(page) == [name]
    assert f'id="id_{name}_error"' in page.content.decode()
    for kept in {"account": "customer", "amount": "500.00", "note": "Bank transfer 4711"}.items():
        assert kept[0] == name or kept[1] in page.content.decode()
    assert credited() == 0


def test_a_name_that_is_anothers_address_is_not_guessed(as_staff: Client, customer: User) -> None:
    factories.UserFactory(username="customer@example.com", email="")
    page = as_staff.post(CREDIT, {**TYPED, "account": "customer@example.com"})
    assert "More than one account is meant by this." in words(page)


def test_what_is_typed_is_shown_as_text(as_staff: Client, customer: User) -> None:
    page = as_staff.post(CREDIT, {**TYPED, "note": "<script>alert(1)</script>"})
    assert "<script>alert" not in page.content.decode()


# --- Where it is found -------------------------------------------------------------------------


def test_list_and_first_page_lead_to_it_for_whoever_may(as_staff: Client, clerk: User) -> None:
    looker = signed_in(factories.staff("looker", "payments.view_ledgeraccount"))
    for address in (LIST, "/admin/"):
        assert f'href="{CREDIT}"' in as_staff.get(address).content.decode()
        assert f'href="{CREDIT}"' not in looker.get(address).content.decode()
