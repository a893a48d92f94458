"""What a file becomes."""

import io
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.core import mail
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from certificates.importing.reading import COLUMNS
from certificates.models import Certificate, Domain, ImportedRow, Order, Product, SearchTerm
from certificates.states import CertificateState
from core import jobs
from core.models import User
from payments.models import Payment
from refunds.rules.assess import assess
from refunds.rules.facts import facts_of
from refunds.rules.policies import POLICIES, Rule
from tests.factories import NOON, UserFactory
from tests.importing.files import ROW, row, run, write_csv, write_json_lines

pytestmark = pytest.mark.django_db


def named(name: str) -> Certificate:
    return Certificate.objects.get(name=name)


@pytest.fixture
def examples(folder: Path) -> Path:
    assert run(folder / "orders.csv").code == 0
    return folder


def test_an_import_closes_with_what_it_did(folder: Path):
    done = run(folder / "orders.csv")
    assert (done.code, done.out, done.problems) == (0, "Imported: 5 certificates in 4 orders.", [])


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_both_formats_store_the_same(folder: Path, ending: str):
    run(folder / f"orders.{ending}")
    other = run(folder / ("orders.jsonl" if ending == "csv" else "orders.csv"))
    assert other.out == "Imported: 0 certificates in 0 orders. 5 rows known already."
    assert Certificate.objects.count() == 5


def test_rows_that_share_a_number_form_an_order(examples: Path):
    order = Order.objects.get(number="S-1002")
    assert (order.account.username, order.currency, order.policy) == ("bob", "CNY", "intl-2021")
    assert (order.list_amount, order.voucher_amount, order.paid_amount) == (400_000, 0, 360_000)
    assert order.paid_at == datetime(2026, 10, 8, 1, 30, tzinfo=UTC)
    assert list(order.certificates.order_by("position").values_list("position", flat=True)) == [1, 2]


def test_payments_keep_their_references_whatever_is_in_them(examples: Path):
    payments = Payment.objects.filter(account__username="bob").order_by("-amount")
    assert [(p.channel, p.amount, p.reference, p.currency) for p in payments] == [
        ("bank", 300_000, "ICBC:2026-10-08/77", "CNY"),
        ("balance", 60_000, "", "CNY"),
    ]
    assert {payment.paid_at for payment in payments} == {datetime(2026, 10, 8, 1, 30, tzinfo=UTC)}


def test_certificates_carry_their_part_by_price_and_their_share_of_each_payment(examples: Path):
    wildcard, plain = Order.objects.get(number="S-1002").certificates.order_by("position")
    assert (wildcard.paid_part, wildcard.voucher_part, wildcard.currency) == (270_000, 0, "CNY")
    assert plain.paid_part == 90_000
    by_channel = {share.payment.channel: share.amount for share in wildcard.shares.select_related("payment")}
    assert by_channel == {"bank": 225_000, "balance": 45_000}


def test_amounts_have_their_currencys_digits(examples: Path):
    paid_by_voucher = named("example.jp")
    assert (paid_by_voucher.currency, paid_by_voucher.voucher_part, paid_by_voucher.paid_part) == ("JPY", 98_000, 0)
    assert not Payment.objects.filter(account__username="dave").exists()


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("shop.example.com", CertificateState.ISSUED),
        ("*.example.net", CertificateState.REVOKED),
        ("DigiCert DV Single Domain", CertificateState.PENDING_APPLICATION),
        ("blog.xn--bcher-kva.example", CertificateState.PENDING_VERIFICATION),
        ("example.jp", CertificateState.VALIDATING_APPLICATION),
    ],
)
def test_the_state_follows_from_the_events(examples: Path, name: str, state: str):
    assert named(name).state == state


def test_the_service_period_is_a_year_unless_said_otherwise(examples: Path):
    unapplied, free = named("DigiCert DV Single Domain"), named("blog.xn--bcher-kva.example")
    assert unapplied.expires_at - unapplied.purchased_at == timedelta(days=730)
    assert free.expires_at - free.purchased_at == timedelta(days=365)


def test_a_certificate_is_read_from_its_file(examples: Path):
    certificate = named("shop.example.com")
    assert certificate.not_before == datetime(2026, 11, 18, 3, 0, tzinfo=UTC)
    assert certificate.not_after == certificate.expires_at == datetime(2027, 11, 18, 2, 59, 59, tzinfo=UTC)
    assert certificate.serial == "5a17"
    assert len(certificate.fingerprint) == 64
    assert certificate.pem == (examples / "certificates" / "shop.example.com.pem").read_text()
    assert certificate.instance_id == "cas-cn-7f3k2m9q1x0a"


def test_an_issue_that_nobody_recorded_is_the_earliest_timestamp_in_the_certificate(examples: Path):
    assert named("shop.example.com").issued_at == datetime(2026, 11, 18, 3, 20, tzinfo=UTC)


def test_a_recorded_issue_counts_before_the_certificates_own_dates(examples: Path):
    assert named("*.example.net").issued_at == datetime(2026, 10, 12, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("events", "issued"),
    [
        ({"paid_at": "2026-10-30T00:00:00Z"}, datetime(2026, 11, 1, tzinfo=UTC)),  # its notBefore
        ({"paid_at": "2026-11-01T06:00:00Z"}, datetime(2026, 11, 1, 6, tzinfo=UTC)),
        (
            {"paid_at": "2026-11-01T06:00:00Z", "validated_at": "2026-11-01T09:00:00Z"},
            datetime(2026, 11, 1, 9, tzinfo=UTC),
        ),
    ],
)
def test_a_backdated_certificate_was_not_issued_before_it_was_paid_and_validated(folder: Path, events, issued):
    given = row(certificate="certificates/common-name-only.pem", domains="old.example.org", **events)
    assert run(write_csv(folder / "one.csv", [given])).code == 0
    assert named("old.example.org").issued_at == issued


def test_names_come_from_the_certificate_where_the_row_has_none(folder: Path):
    given = row(certificate="certificates/shop.example.com.pem", domains="", paid_at="2026-11-17T10:00:00+08:00")
    assert run(write_csv(folder / "one.csv", [given])).code == 0
    names = Domain.objects.order_by("position").values_list("name", flat=True)
    assert list(names) == ["shop.example.com", "www.shop.example.com"]


def test_every_name_is_found_by_each_of_its_labels(examples: Path):
    terms = SearchTerm.objects.filter(certificate=named("*.example.net"))
    assert set(terms.values_list("text", flat=True)) == {"*.example.net", "example.net", "net"}
    assert {term.account.username for term in terms} == {"bob"}


def test_international_names_are_kept_in_their_ascii_form(examples: Path):
    assert named("blog.xn--bcher-kva.example").product.free


def test_new_accounts_have_no_password(examples: Path):
    alice = User.objects.get(username="alice")
    assert alice.email == "alice@example.com"
    assert not alice.has_usable_password()
    assert not (alice.is_staff or alice.is_superuser or alice.is_demo)
    assert User.objects.count() == 4


def test_an_account_that_is_there_gets_its_orders_and_is_left_as_it_is(folder: Path):
    alice = UserFactory(username="alice", email="")
    run(folder / "orders.csv")
    kept = User.objects.get(username="alice")
    assert (kept.pk, kept.email, kept.password) == (alice.pk, "", alice.password)
    assert Order.objects.get(account=alice).number == "S-1001"


def test_an_accounts_name_is_taken_in_the_form_that_sign_in_looks_for(folder: Path):
    alice = UserFactory(username="alice")
    run(write_csv(folder / "wide.csv", [row(account="\uff41lice")]))
    assert Order.objects.get().account == alice


def test_products_are_shared(examples: Path):
    assert Product.objects.count() == 4
    assert Certificate.objects.filter(product__brand="DigiCert", product__free=False).count() == 2


def test_the_row_is_kept_without_the_certificates_text(examples: Path):
    kept = ImportedRow.objects.get(certificate=named("shop.example.com")).row
    assert kept["paid_amount"] == "1200.00"
    assert kept["certificate"] == named("shop.example.com").fingerprint
    assert kept.keys() == set(COLUMNS) - {"bank_holder", "bank_account"}


def test_imported_certificates_are_judged_by_the_policy(examples: Path):
    rules = {c.name: assess(facts_of(c), NOON).rule for c in Certificate.objects.select_related("product", "order")}
    assert rules == {
        "shop.example.com": Rule.REVOKE_FIRST,
        "*.example.net": Rule.ISSUED_REVOKED,
        "DigiCert DV Single Domain": Rule.UNISSUED_MANUAL,
        "blog.xn--bcher-kva.example": Rule.FREE_DV,
        "example.jp": Rule.NOTHING_PAID,
    }


def test_the_policies_an_order_may_name_are_those_of_the_table(folder: Path):
    assert settings.ORDER_POLICIES == "refunds.rules.policies.known_policies"
    for number, name in enumerate(POLICIES, 1):
        assert run(write_csv(folder / "one.csv", [row(number, policy=name)])).code == 0


def test_two_policies_in_one_order_are_refused(folder: Path):
    file = write_csv(folder / "two.csv", [row(policy="intl-2021"), row(policy="cn-2021-07")])
    problem = "line 3: policy: is cn-2021-07, and intl-2021 in line 2 of the same order"
    assert run(file).problems[0] == problem
    assert not Order.objects.exists()


def test_an_order_that_names_no_policy_takes_that_of_new_purchases(folder: Path, settings: Settings):
    settings.REFUND_POLICY = "intl-2026-03"
    assert run(write_csv(folder / "one.csv", [row()])).code == 0
    assert Order.objects.get().policy == "intl-2026-03"


# --- How a file may be written ------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["csv", "jsonl", "CSV", "ndjson"])
def test_a_byte_order_mark_changes_nothing(folder: Path, ending: str):
    file = folder / f"orders.{'csv' if ending.lower() == 'csv' else 'jsonl'}"
    marked = folder / f"marked.{ending}"
    marked.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert run(marked).out == "Imported: 5 certificates in 4 orders."


def test_rows_of_an_order_may_stand_anywhere(folder: Path):
    other = row(2, account="bob")
    file = write_csv(folder / "apart.csv", [row(domains="a.example.com"), other, row(domains="b.example.com")])
    assert run(file).out == "Imported: 3 certificates in 2 orders."
    names = Order.objects.get(number="A-1").certificates.order_by("position").values_list("name", flat=True)
    assert list(names) == ["a.example.com", "b.example.com"]


def test_windows_line_ends_blank_lines_and_blank_cells_are_no_rows(folder: Path):
    header, values = ",".join(ROW), ",".join(ROW.values())
    file = folder / "windows.csv"
    file.write_bytes(f"{header}\r\n\r\n{values}\r\n{',' * (len(ROW) - 1)}\r\n\r\n".encode())
    assert run(file).out == "Imported: 1 certificate in 1 order."


def test_a_blank_line_of_json_lines_is_no_row(folder: Path):
    file = write_json_lines(folder / "blank.jsonl", [row()])
    file.write_text("\n" + file.read_text() + "  \n")
    assert run(file).out == "Imported: 1 certificate in 1 order."


def test_columns_may_stand_in_any_order(folder: Path):
    backwards = dict(reversed(row().items()))
    assert run(write_csv(folder / "backwards.csv", [backwards])).code == 0


def test_json_lines_take_lists_objects_numbers_and_nulls(folder: Path):
    given = row(
        paid_amount=1200.00,
        list_amount=1250,
        voucher_amount="50",
        payments=[
            {"channel": "card", "amount": 700.10, "reference": "pi_1"},
            {"channel": "balance", "amount": "499.9"},
        ],
        domains=["a.example.com", "b.example.com"],
        domain_type="Multi-Domain",
        free=False,
        service_days=30,
        issued_at=None,
        email=None,
    )
    assert run(write_json_lines(folder / "one.jsonl", [given])).code == 0
    amounts = Payment.objects.order_by("amount").values_list("channel", "amount")
    assert list(amounts) == [("balance", 49_990), ("card", 70_010)]
    assert named("a.example.com").product.domain_type == "multi"


def test_identical_rows_of_an_order_are_as_many_certificates(folder: Path):
    unapplied = row(domains="")
    assert run(write_csv(folder / "two.csv", [unapplied, unapplied])).out == "Imported: 2 certificates in 1 order."
    assert set(Certificate.objects.values_list("paid_part", "voucher_part")) == {(60_000, 2_500)}


@pytest.mark.parametrize("name", ["empty.jsonl", "header.csv"])
def test_a_file_without_rows_changes_nothing(folder: Path, name: str):
    file = folder / name
    file.write_text(",".join(ROW) if name.endswith("csv") else "")
    done = run(file)
    assert (done.code, done.out) == (0, "Imported: 0 certificates in 0 orders.")


# --- What is seen of it -------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_shows_on_a_terminal_how_far_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    run(folder / "orders.csv")
    for act in ("Reading", "Checking", "Storing"):
        assert act in terminal.getvalue()


def test_elsewhere_nothing_is_shown_but_what_came_of_it(folder: Path, capsys: pytest.CaptureFixture):
    run(folder / "orders.csv")
    assert capsys.readouterr() == ("", "")


def test_an_imported_account_sets_its_password_by_mail(examples: Path, client: Client):
    client.post(reverse("account_reset_password"), {"email": "alice@example.com"})
    for _ in ("the account is looked up", "the email is sent"):
        jobs.run_due("worker")
    link = re.search(r"https?://[^/]+(/\S+)", mail.outbox[0].body)[1]
    form = client.get(link, follow=True)
    client.post(form.request["PATH_INFO"], {"password1": "a-Long-enough-1", "password2": "a-Long-enough-1"})
    assert User.objects.get(username="alice").check_password("a-Long-enough-1")
