"""The payments desk: what waits for whom, what each act does and refuses, and the totals of a day."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from core import audit, jobs
from core.desk.acts import Act, ActForm, Outcome
from core.encryption import encrypt
from core.models import Notice, User
from payments.admin import filters
from payments.admin.acts import NotPossible, TryAgain
from payments.admin.record_acts import RecordPaid
from payments.channels import Outcome as ChannelOutcome
from payments.models import BankBatch, BatchLine, Difference, Payout
from payments.services import (
    dismiss_difference,
    is_to_make_good,
    is_with_staff,
    keep_difference,
    record_failed,
    record_paid,
    record_returned,
    try_again,
)
from payments.states import DifferenceKind, PayoutState
from refunds.models import RefundRequest
from tests import factories
from tests.conftest import signed_in
from tests.factories import NOON
from tests.money import scripted
from tests.money.scripted import ScriptedChannel, work
from tests.staff.pages import address, approved, everything, failed_payout, ordered, seen_on

pytestmark = pytest.mark.django_db

ACTS = ("try-again", "send-again", "record-paid", "record-failed", "record-returned", "not-possible")
LIST = "/admin/payments/payout/"
TOTALS = "/admin/payments/payout/totals/"
DAY = timedelta(days=1)


@pytest.fixture
def as_cashier(cashier: User) -> Client:
    return signed_in(cashier)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> ScriptedChannel:
    """A connection to the card channel, for the payouts that are ordered from then on."""
    return scripted.connect(monkeypatch)


@pytest.fixture
def other(db: None) -> User:
    return factories.cashier("other")


def again(payout: Payout) -> Payout:
    return Payout.objects.get(pk=payout.pk)


def handed_over(card: ScriptedChannel, account: User, by: User) -> Payout:
    """A payout that the channel never answered: asked as often as the worker does, then a person's."""
    payout = ordered(account, by, payments={"card": 120_000})
    for _ in range(jobs.MAX_ATTEMPTS):
        card.script.append(scripted.silent())
        work()
    payout = again(payout)
    assert (payout.state, payout.handed_over_at is not None) == (PayoutState.UNKNOWN, True)
    return payout


def batched(account: User, by: User) -> Payout:
    payout = ordered(account, by, payments={"bank": 120_000})
    batch = BankBatch.objects.create(
        number=1,
        day=NOON.date(),
        made_at=NOON,
        made_by=by,
        content=encrypt(b"file"),
        digest=sha256(b"file").hexdigest(),
    )
    BatchLine.objects.create(batch=batch, position=1, payout=payout)
    return payout


def returned(account: User, by: User, other: User, channel: str = "alipay") -> Payout:
    payout = ordered(account, by, payments={channel: 120_000})
    record_paid(payout.pk, f"out-{payout.pk}", by=other, at=NOON)
    return record_returned(payout.pk, "account closed", by=other, at=NOON)


def refund_found(payout: Payout) -> Difference:
    """A refund of the same payment that the channel made by itself."""
    return Difference.objects.create(
        channel=payout.channel,
        day=NOON.date(),
        kind=DifferenceKind.MISSING_HERE,
        subject="ch-9",
        external_reference="ch-9",
        payment=payout.payment,
        amount=500,
        currency="CNY",
        found_at=NOON,
    )


def page(client: Client, payout: Payout) -> str:
    answer = client.get(address(payout))
    assert answer.status_code == 200
    return answer.content.decode().replace("\xa0", " ")


def offered(client: Client, payout: Payout) -> set[str]:
    text = page(client, payout)
    return {act for act in ACTS if f'href="{address(payout, act)}"' in text}


def send(client: Client, payout: Payout, act: str, **typed: str) -> Any:
    """Open the act's page, fill it in, press its button."""
    where = address(payout, act)
    return client.post(where, {"seen": seen_on(client, where), **typed}, follow=True)


def said(answer: Any) -> str:
    [message] = answer.context["messages"]
    return str(message).replace("\xa0", " ")


# --- The list ----------------------------------------------------------------------------------


@pytest.fixture
def every_kind(customer: User, approver: User, other: User, card: ScriptedChannel) -> dict[str, Payout]:
    """A payout in every standing, by the filter that shows it."""
    made = {
        "handed_over": handed_over(card, customer, approver),
        "to_send": ordered(customer, approver, payments={"alipay": 100}),
        "at_the_bank": batched(customer, approver),
        "failed": ordered(customer, approver, payments={"alipay": 200}),
        "returned": returned(customer, approver, other),
        "made_good": returned(customer, approver, other, "bank"),
        "paid": ordered(customer, approver, payments={"bank": 300}),
    }
    record_failed(made["failed"].pk, "closed", by=other, at=NOON)
    record_paid(made["paid"].pk, "out-1", by=other, at=NOON)
    made["to_send, anew"] = try_again(made["made_good"].pk, by=other, at=NOON)
    made["unknown"] = ordered(customer, approver, payments={"card": 400})
    card.script.append(scripted.silent())
    work()
    made["ordered"] = ordered(customer, approver, payments={"card": 500})
    return {name: again(payout) for name, payout in made.items()}


def shown(client: Client, **query: str) -> set[int]:
    return {payout.pk for payout in client.get(LIST, query).context["cl"].result_list}


def test_list_opens_on_all_that_a_person_must_move_and_nothing_else(
    as_cashier: Client, every_kind: dict[str, Payout]
) -> None:
    waiting = shown(as_cashier)
    assert waiting == {each.pk for each in every_kind.values() if is_with_staff(each) or is_to_make_good(each)}
    names = {name for name, payout in every_kind.items() if payout.pk in waiting}
    assert names == {"handed_over", "to_send", "to_send, anew", "at_the_bank", "failed", "returned"}


def test_each_waiting_payout_is_waited_for_under_one_name(as_cashier: Client, every_kind: dict[str, Payout]) -> None:
    parts = [shown(as_cashier, state=name) for name in ("to_send", "at_the_bank", "handed_over", "failed", "returned")]
    assert sum(map(len, parts)) == len(set().union(*parts))
    assert set().union(*parts) == shown(as_cashier)


@pytest.mark.parametrize(
    ("state", "names"),
    [
        ("to_send", {"to_send", "to_send, anew"}),
        ("at_the_bank", {"at_the_bank"}),
        ("handed_over", {"handed_over"}),
        ("unknown", {"handed_over", "unknown"}),
        ("failed", {"failed"}),
        ("returned", {"returned"}),
        ("made_good", {"made_good"}),
        ("paid", {"paid"}),
        ("given_up", set()),
    ],
)
def test_filters_show_what_they_say(
    as_cashier: Client, every_kind: dict[str, Payout], state: str, names: set[str]
) -> None:
    assert shown(as_cashier, state=state) == {every_kind[name].pk for name in names}


def test_numbers_on_the_first_page_are_those_of_the_lists_behind_them(
    as_cashier: Client, every_kind: dict[str, Payout]
) -> None:
    cards = [card for card in as_cashier.get(reverse("admin:index")).context["cards"] if "payout" in card.address]
    assert {str(card.label): card.number for card in cards} == {
        "Payouts to send": "2",
        "Payouts handed to staff": "1",
        "Payouts failed": "1",
        "Payouts returned": "1",
    }
    for each in cards:
        assert as_cashier.get(each.address).context["cl"].result_count == int(each.number)


def test_list_says_what_each_payout_waits_for(as_cashier: Client, every_kind: dict[str, Payout]) -> None:
    text = as_cashier.get(LIST, {"state": "all"}).content.decode()
    for words in ("waits: channel not configured", "handed to staff", "in batch BATCH-000001", "waits: next bank file"):
        assert words in text
    assert "Returned, ordered anew" in text


def test_given_up_payout_reads_so_and_waits_for_nobody(as_cashier: Client, customer: User, approver: User) -> None:
    payout = failed_payout(customer, approver)
    send(as_cashier, payout, "not-possible", reason="closed")
    assert shown(as_cashier) == set()
    assert payout.pk in shown(as_cashier, state="given_up")
    assert "Given up" in page(as_cashier, payout)


def test_list_takes_a_fixed_number_of_queries(
    as_cashier: Client, every_kind: dict[str, Payout], customer: User, neighbour: User, approver: User, other: User
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert as_cashier.get(LIST, {"state": "all"}).status_code == 200
        return len(captured)

    queries()
    few = queries()
    for owner in (customer, neighbour):
        returned(owner, approver, other, "bank")
        ordered(owner, approver)
    assert queries() == few <= 14


if connection.vendor == "sqlite":
    # PostgreSQL's plans follow statistics, which the few rows of a test do not give.

    @pytest.mark.parametrize("condition", ["waiting_for_staff", "to_send", "handed_over"])
    def test_what_waits_is_found_by_the_index_of_states(condition: str) -> None:
        plan = Payout.objects.filter(getattr(filters, condition)()).order_by().explain()
        assert "payouts_by_state" in plan


# --- A payout's page ---------------------------------------------------------------------------


def test_page_of_a_payout_that_nobody_knows_of_warns_to_look_there_first(
    as_cashier: Client, card: ScriptedChannel, customer: User, approver: User
) -> None:
    payout = handed_over(card, customer, approver)
    text = page(as_cashier, payout)
    assert f"look into the channel&#x27;s own books for the key {payout.key} and the payment {payout.payment}" in text
    for words in (
        "handed to staff",
        "timed out",
        f"given up after {jobs.MAX_ATTEMPTS} tries",
        "First sent",
        "Handed to staff",
    ):
        assert words in text
    assert offered(as_cashier, payout) == {"try-again", "record-paid", "record-failed"}
    for act in ("record-paid", "record-failed"):
        assert "Before you record anything" in as_cashier.get(address(payout, act)).content.decode()


def test_payout_of_an_amount_that_its_channel_cannot_refund_says_what_to_do_instead(
    as_cashier: Client, card: ScriptedChannel, customer: User, approver: User
) -> None:
    payout = ordered(customer, approver, payments={"card": 3_334}, currency="KWD")
    told = "This channel only refunds multiples of KWD 0.010, so the console can&#x27;t send KWD 3.334."
    assert told in page(as_cashier, payout)
    assert "look into the channel" not in page(as_cashier, payout)
    assert offered(as_cashier, payout) == {"record-paid", "record-failed"}
    refused = said(as_cashier.get(address(payout, "try-again"), follow=True))
    assert refused.startswith("Nothing was sent. This channel only refunds multiples of KWD 0.010")
    record_failed(payout.pk, "refused", by=factories.cashier("failing"), at=NOON)
    assert told in page(as_cashier, payout)
    assert offered(as_cashier, payout) == {"record-paid", "not-possible"}


def test_payout_that_the_worker_still_asks_about_offers_nothing(
    as_cashier: Client, card: ScriptedChannel, customer: User, approver: User
) -> None:
    payout = ordered(customer, approver, payments={"card": 120_000})
    card.script.append(scripted.silent())
    work()
    text = page(as_cashier, payout)
    assert "nothing can be recorded meanwhile" in text
    assert "next try at" in text
    assert offered(as_cashier, payout) == set()
    told = said(as_cashier.get(address(payout, "record-paid"), follow=True))
    assert told == "Nothing was recorded. The console itself pays payouts of this channel, and does so now."


def test_payout_that_the_channel_has_taken_on_says_so(
    as_cashier: Client, card: ScriptedChannel, customer: User, approver: User
) -> None:
    payout = ordered(customer, approver, payments={"card": 120_000})
    card.script.append(ChannelOutcome.PENDING)
    work()
    text = page(as_cashier, payout)
    assert "has taken it on" in text
    assert again(payout).external_reference in text


def test_payout_of_a_channel_without_settings_names_them(
    as_cashier: Client, customer: User, approver: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("payments.admin.standing.missing_settings", lambda channel: [f"{channel.upper()}_KEY"])
    payout = ordered(customer, approver, payments={"alipay": 120_000})
    assert "The channel is not configured (missing: ALIPAY_KEY), so this payout waits." in page(as_cashier, payout)
    assert offered(as_cashier, payout) == {"record-paid", "record-failed"}


def test_page_of_a_paid_payout_says_the_day_with_its_zone(
    as_cashier: Client, customer: User, approver: User, other: User
) -> None:
    for channel, words in (("bank", "2026-11-23 (Asia/Shanghai)"), ("card", "2026-11-23 (UTC)")):
        payout = ordered(customer, approver, payments={channel: 100})
        record_paid(payout.pk, f"out-{channel}", by=other, at=NOON)
        text = page(as_cashier, payout)
        assert words in text
        assert "Recorded by" in text
        assert offered(as_cashier, payout) == {"record-returned"}


def test_payout_that_came_back_and_its_successor_lead_to_each_other(
    as_cashier: Client, customer: User, approver: User, other: User
) -> None:
    payout = returned(customer, approver, other)
    text = page(as_cashier, payout)
    assert "Why it came back" in text
    assert "account closed" in text
    assert offered(as_cashier, payout) == {"send-again", "record-paid", "not-possible"}
    successor = try_again(payout.pk, by=other, at=NOON)
    text = page(as_cashier, payout)
    assert f"{successor} was ordered in its place: go on there." in text
    assert address(successor) in text
    assert offered(as_cashier, payout) == set()
    assert address(payout) in page(as_cashier, successor)


def test_payout_in_a_batch_is_never_sent_again(as_cashier: Client, customer: User, approver: User, other: User) -> None:
    payout = batched(customer, approver)
    text = page(as_cashier, payout)
    assert "It is in BATCH-000001 and never in another file." in text
    record_failed(payout.pk, "no such account", by=other, at=NOON)
    assert "It was in a file for the bank, so it is not sent again" in page(as_cashier, payout)
    assert offered(as_cashier, payout) == {"record-paid", "not-possible"}


def test_page_takes_a_fixed_number_of_queries(
    as_cashier: Client, customer: User, approver: User, other: User, django_assert_max_num_queries: Any
) -> None:
    payout = returned(customer, approver, other)
    page(as_cashier, payout)
    with django_assert_max_num_queries(30):
        page(as_cashier, payout)


# --- Try again ---------------------------------------------------------------------------------


def test_failed_payout_is_tried_again_as_the_same_record_under_the_same_key(
    as_cashier: Client, cashier: User, customer: User, approver: User
) -> None:
    payout = failed_payout(customer, approver)
    assert "same record under the same key" in as_cashier.get(address(payout, "try-again")).content.decode()
    answer = send(as_cashier, payout, "try-again")
    assert said(answer) == f"{payout} is under way again, under the same key: CNY 700.00."
    tried = again(payout)
    assert (tried.state, tried.key, tried.successor if hasattr(tried, "successor") else None) == (
        "ordered",
        payout.key,
        None,
    )
    assert audit.history(payout).get(act="sent_again").by == cashier


def test_payout_handed_to_staff_is_given_to_the_worker_again_and_looked_up_before_it_is_sent(
    as_cashier: Client, card: ScriptedChannel, customer: User, approver: User
) -> None:
    payout = handed_over(card, customer, approver)
    assert "looks the key up first" in as_cashier.get(address(payout, "try-again")).content.decode()
    send(as_cashier, payout, "try-again")
    assert again(payout).handed_over_at is None
    card.asked.clear()
    work()
    assert card.calls() == ["look_up", "pay_back"]
    assert again(payout).state == PayoutState.PAID


def test_payout_that_came_back_is_sent_again_as_another_and_answers_on_its_page(
    as_cashier: Client, customer: User, approver: User, other: User
) -> None:
    payout = returned(customer, approver, other)
    answer = send(as_cashier, payout, "send-again")
    successor = again(payout).successor
    assert answer.redirect_chain == [(address(successor), 302)]
    assert said(answer) == f"{successor} was ordered in place of {payout}: CNY 1,200.00."
    assert successor.key != payout.key
    # A second click of the same page finds the successor and orders nothing more.
    before = everything()
    twice = as_cashier.get(address(payout, "send-again"), follow=True)
    assert said(twice) == f"Nothing was sent. It came back, and {successor} was ordered in its place: go on there."
    assert everything() == before


def test_page_opened_before_another_failure_does_nothing(
    as_cashier: Client, customer: User, approver: User, other: User
) -> None:
    """It failed, was tried again and failed once more: the state reads as it did, and is not what was seen."""
    payout = failed_payout(customer, approver)
    stale = seen_on(as_cashier, address(payout, "try-again"))
    try_again(payout.pk, by=other, at=NOON)
    record_failed(payout.pk, "once more", by=other, at=NOON)
    before = everything()
    as_cashier.post(address(payout, "try-again"), {"seen": stale})
    assert everything() == before


@pytest.mark.broken_books  # a difference that no reconciliation has filed
@pytest.mark.parametrize(("act", "typed"), [("try-again", {}), ("record-paid", {"external_reference": "typed-1"})])
def test_refund_found_at_the_channel_stands_in_the_way_and_is_named(
    as_cashier: Client, customer: User, approver: User, act: str, typed: dict[str, str]
) -> None:
    payout = failed_payout(customer, approver)
    difference = refund_found(payout)
    before = everything()
    answer = send(as_cashier, payout, act, **typed)
    assert answer.status_code == 422
    [error] = answer.context["form"].non_field_errors()
    assert f"gave CNY 5.00 of this payment back ({difference}, ch-9)" in error.replace("\xa0", " ")
    for text in typed.values():
        assert f'value="{text}"' in answer.content.decode()
    assert f"({difference}, ch-9)" in page(as_cashier, payout)
    assert everything() == before


@pytest.mark.parametrize("damaged", ["6.22202E+18", "#NAME?", "########", "6,222,020,200"])
def test_outside_reference_that_a_spreadsheet_has_damaged_is_refused_beside_the_field(
    as_cashier: Client, customer: User, approver: User, damaged: str
) -> None:
    payout = failed_payout(customer, approver)
    answer = send(as_cashier, payout, "record-paid", external_reference=damaged)
    words = "A spreadsheet has damaged this number. Copy it from the channel's own records."
    assert answer.context["form"].errors == {"external_reference": [words]}
    assert f'value="{damaged}"' in answer.content.decode()
    assert again(payout).state == PayoutState.FAILED


def test_more_than_was_paid_in_does_not_go_back(as_cashier: Client, customer: User, approver: User) -> None:
    """Another refund has taken the payment's money meanwhile."""
    payout = failed_payout(customer, approver)
    payout.payment.ordered_back = payout.payment.amount
    payout.payment.save()
    answer = send(as_cashier, payout, "record-paid", external_reference="typed-1")
    payout.payment.ordered_back = 0
    payout.payment.save()
    assert answer.status_code == 422
    assert "More would go back than was paid in." in answer.context["form"].non_field_errors()[0]
    assert 'value="typed-1"' in answer.content.decode()
    assert again(payout).state == PayoutState.FAILED


# --- A page that is overtaken while its act waits for the lock ---------------------------------


def overtaken_by(monkeypatch: pytest.MonkeyPatch, kind: type[Act], act: Callable[[], Any]) -> None:
    """Let another's act be committed after the page's row was read, and before the service has its lock."""
    do = kind.do

    def do_late(self: Act, form: ActForm) -> Outcome:
        act()
        return do(self, form)

    monkeypatch.setattr(kind, "do", do_late)


def test_stale_paid_loses_to_anothers_failed(
    as_cashier: Client, customer: User, approver: User, other: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    payout = ordered(customer, approver, payments={"alipay": 100})
    form = {"seen": seen_on(as_cashier, address(payout, "record-paid")), "external_reference": "2026-1"}
    overtaken_by(monkeypatch, RecordPaid, lambda: record_failed(payout.pk, "closed", by=other, at=NOON))
    answer = as_cashier.post(address(payout, "record-paid"), form, follow=True)
    assert said(answer) == "Nothing was done: this has changed since the page was opened. Look again."
    assert (again(payout).state, again(payout).external_reference) == (PayoutState.FAILED, "")


@pytest.mark.parametrize("kind", [RecordPaid, TryAgain, NotPossible])
def test_act_on_a_failure_loses_to_another_failure(
    as_cashier: Client,
    customer: User,
    approver: User,
    other: User,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[Act],
) -> None:
    payout = failed_payout(customer, approver)
    where = address(payout, kind.slug)
    form = {"seen": seen_on(as_cashier, where), "external_reference": "2026-1", "reason": "no way"}

    def fail_again() -> None:
        try_again(payout.pk, by=other, at=NOON)
        record_failed(payout.pk, "closed for good", by=other, at=NOON)

    overtaken_by(monkeypatch, kind, fail_again)
    as_cashier.post(where, form, follow=True)
    now = again(payout)
    assert (now.state, now.failure, now.given_up_at) == (PayoutState.FAILED, "closed for good", None)


# --- A refund found of another amount, or that the channel does not name -----------------------


def test_cashier_may_not_record_as_paid_under_a_refund_of_another_amount(
    as_cashier: Client, cashier: User, customer: User, approver: User
) -> None:
    payout = ordered(customer, approver, payments={"alipay": 100})
    found = refund_found(payout)
    answer = send(as_cashier, payout, "record-paid", external_reference="ch-9")
    assert answer.status_code == 422
    [error] = answer.context["form"].errors["external_reference"]
    assert f"Keep {found} or explain it" in error
    assert again(payout).state == PayoutState.ORDERED
    assert "so keep the difference, or explain it" in page(as_cashier, payout)
    keep_difference(found.pk, by=cashier, at=NOON)
    assert "the difference is kept, so the payout waits" in page(as_cashier, payout)
    # The way out of it: what was missing has been made up, and a person has explained the rest.
    dismiss_difference(found.pk, "The rest went by the same number.", by=cashier, at=NOON)
    send(as_cashier, payout, "record-paid", external_reference="ch-9")
    assert again(payout).state == PayoutState.PAID


@pytest.mark.broken_books  # a difference that no reconciliation has filed
def test_cashier_reads_under_which_number_a_payout_is_to_be_recorded(
    as_cashier: Client, customer: User, approver: User
) -> None:
    payout = ordered(customer, approver, payments={"alipay": 100})
    Difference.objects.filter(pk=refund_found(payout).pk).update(amount=payout.amount)
    assert "record the payout as paid under ch-9, which settles the difference" in page(as_cashier, payout)


@pytest.mark.broken_books  # a difference that no reconciliation has filed
@pytest.mark.parametrize("decision", [None, "keep"])
def test_cashier_may_not_record_as_paid_under_another_number_than_the_refund_found(
    as_cashier: Client, cashier: User, customer: User, approver: User, decision: str | None
) -> None:
    payout = ordered(customer, approver, payments={"alipay": 500})
    found = refund_found(payout)
    if decision:
        keep_difference(found.pk, by=cashier, at=NOON)
    before = everything()
    answer = send(as_cashier, payout, "record-paid", external_reference="unrelated-1")
    assert answer.status_code == 422
    [error] = answer.context["form"].non_field_errors()
    assert f"gave CNY 5.00 of this payment back ({found}, ch-9)" in error.replace("\xa0", " ")
    assert "record the payout as paid under ch-9" in error
    assert "Otherwise explain the difference" in error
    assert 'value="unrelated-1"' in answer.content.decode()
    assert everything() == before
    dismiss_difference(found.pk, "A gift of the shop.", by=cashier, at=NOON)
    send(as_cashier, payout, "record-paid", external_reference="unrelated-1")
    assert again(payout).state == PayoutState.PAID


@pytest.mark.broken_books
def test_cashier_records_one_of_two_refunds_found_under_its_number(
    as_cashier: Client, customer: User, approver: User
) -> None:
    payout = ordered(customer, approver, payments={"alipay": 500})
    found = refund_found(payout)
    Difference.objects.create(
        channel=payout.channel,
        day=NOON.date(),
        kind=DifferenceKind.MISSING_HERE,
        subject="ch-8",
        external_reference="ch-8",
        payment=payout.payment,
        amount=200,
        currency="CNY",
        found_at=NOON,
    )
    send(as_cashier, payout, "record-paid", external_reference="ch-9")
    assert again(payout).state == PayoutState.PAID
    assert Difference.objects.get(pk=found.pk).state == "healed"
    assert Difference.objects.get(subject="ch-8").state == "open"


@pytest.mark.broken_books
def test_cashier_reads_of_the_refund_with_a_number_before_a_refusal_without_one(
    as_cashier: Client, customer: User, approver: User
) -> None:
    payout = ordered(customer, approver, payments={"alipay": 500})
    Difference.objects.create(
        channel=payout.channel,
        day=NOON.date(),
        kind=DifferenceKind.DIFFERENT_STATE,
        subject=str(payout.key),
        payment=payout.payment,
        payout=payout,
        our_amount=500,
        currency="CNY",
        found_at=NOON,
    )
    refund_found(payout)
    answer = send(as_cashier, payout, "record-paid", external_reference="unrelated-1")
    [error] = answer.context["form"].non_field_errors()
    assert "record the payout as paid under ch-9" in error


# --- Record as paid ----------------------------------------------------------------------------

EVENING = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)  # in Shanghai it is the 24th


@pytest.mark.parametrize(
    ("channel", "day", "zone"), [("bank", "2026-11-24", "Asia/Shanghai"), ("card", "2026-11-23", "UTC")]
)
def test_day_is_today_in_the_channels_own_books_unless_another_is_typed(
    as_cashier: Client,
    frozen: time_machine.Traveller,
    customer: User,
    approver: User,
    channel: str,
    day: str,
    zone: str,
) -> None:
    payout = ordered(customer, approver, payments={channel: 100})
    frozen.move_to(EVENING)
    form = as_cashier.get(address(payout, "record-paid")).content.decode()
    assert f'value="{day}"' in form
    assert f"A day in {zone}, as this channel&#x27;s books count." in form
    send(as_cashier, payout, "record-paid", external_reference="out-1", day="")
    assert str(again(payout).booked_on) == day


def test_day_typed_is_kept(as_cashier: Client, frozen: time_machine.Traveller, customer: User, approver: User) -> None:
    payout = ordered(customer, approver, payments={"bank": 100})
    frozen.move_to(NOON + 3 * DAY)
    send(as_cashier, payout, "record-paid", external_reference="out-1", day="2026-11-24")
    assert str(again(payout).booked_on) == "2026-11-24"


@pytest.mark.parametrize(
    ("day", "words"),
    [
        ("2026-11-24", "This day is still to come: in UTC it is 2026-11-23."),
        ("2026-11-22", "It cannot have been paid before it was ordered, on 2026-11-23 (UTC)."),
        ("yesterday", "Enter a day as YYYY-MM-DD."),
    ],
)
def test_day_that_cannot_be_is_refused_beside_it_and_nothing_typed_is_lost(
    as_cashier: Client, frozen: time_machine.Traveller, customer: User, approver: User, day: str, words: str
) -> None:
    payout = ordered(customer, approver, payments={"card": 100})
    frozen.move_to(EVENING)
    before = everything()
    answer = send(as_cashier, payout, "record-paid", external_reference="typed-1", day=day)
    assert answer.status_code == 422
    assert answer.context["form"].errors == {"day": [words]}
    assert 'value="typed-1"' in answer.content.decode()
    assert f'value="{day}"' in answer.content.decode()
    assert "A day in UTC" in answer.content.decode()
    assert everything() == before


@pytest.mark.parametrize("kind", ["failed", "handed over", "waiting", "returned"])
def test_payout_made_outside_is_recorded_wherever_it_stood(
    as_cashier: Client, card: ScriptedChannel, customer: User, approver: User, other: User, kind: str
) -> None:
    payout = {
        "failed": lambda: failed_payout(customer, approver),
        "handed over": lambda: handed_over(card, customer, approver),
        "waiting": lambda: ordered(customer, approver),
        "returned": lambda: returned(customer, approver, other),
    }[kind]()
    answer = send(as_cashier, payout, "record-paid", external_reference="outside-7")
    paid = Payout.objects.get(external_reference="outside-7")
    assert (paid.state, paid.follows) == ("paid", again(payout) if kind == "returned" else None)
    assert answer.redirect_chain == [(address(paid), 302)]


def test_nobody_pays_into_a_balance_outside(
    as_cashier: Client, customer: User, approver: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    balance = scripted.connect(monkeypatch, "balance")
    payout = ordered(customer, approver, payments={"balance": 100})
    for _ in range(jobs.MAX_ATTEMPTS):
        balance.script.append(scripted.silent())
        work()
    assert again(payout).handed_over_at
    assert "record-paid" not in offered(as_cashier, payout)
    before = everything()
    answer = as_cashier.get(address(payout, "record-paid"), follow=True)
    assert "Nothing was recorded" in said(answer)
    assert everything() == before


# --- Not possible ------------------------------------------------------------------------------


def test_refund_that_cannot_be_paid_fails_frees_its_certificate_and_its_customer_is_told(
    as_cashier: Client, customer: User, approver: User
) -> None:
    payout = failed_payout(customer, approver)
    answer = send(as_cashier, payout, "not-possible", reason="The account is closed.")
    request = RefundRequest.objects.get(reference=payout.reference)
    assert request.state == "failed"
    assert request.certificate.hold == ""
    assert Notice.objects.filter(key=f"{request.reference}:failed").exists()
    assert said(answer) == f"{request} has failed: its certificate can be used again, and its customer is told."
    assert set(Payout.objects.values_list("given_up_at", flat=True)) == {NOON}


@pytest.mark.parametrize("is_paid", [True, False])
def test_refund_of_which_a_part_was_paid_or_is_under_way_is_not_given_up_and_the_part_is_named(
    as_cashier: Client, customer: User, approver: User, other: User, is_paid: bool
) -> None:
    request = approved(customer, approver)
    payout, part = Payout.objects.filter(reference=request.reference).order_by("id")
    record_failed(payout.pk, "closed", by=other, at=NOON)
    if is_paid:
        record_paid(part.pk, "out-1", by=other, at=NOON)
    named = f"{part} (CNY 500.00, Online bank account, {'Paid' if is_paid else 'Ordered'})"
    assert named in page(as_cashier, payout)
    assert "not-possible" not in offered(as_cashier, payout)
    before = everything()
    assert named in said(as_cashier.get(address(payout, "not-possible"), follow=True))
    assert everything() == before


def test_request_and_payout_offer_giving_up_alike(
    as_cashier: Client, customer: User, approver: User, other: User
) -> None:
    """One part failed, the other came back and was sent again: only once that one failed too, both offer it."""
    request = approved(customer, approver)
    first, second = Payout.objects.filter(reference=request.reference).order_by("id")
    record_failed(first.pk, "closed", by=other, at=NOON)
    record_paid(second.pk, "out-1", by=other, at=NOON)
    record_returned(second.pk, "closed", by=other, at=NOON)
    successor = try_again(second.pk, by=other, at=NOON)
    for is_offered in (False, True):
        request.refresh_from_db()
        assert ("not-possible" in offered(as_cashier, first)) == is_offered
        link = address(request, "fail")
        assert (link in as_cashier.get(address(request)).content.decode()) == is_offered
        if not is_offered:
            record_failed(successor.pk, "closed", by=other, at=NOON)
    assert as_cashier.get(address(request, "fail")).status_code == 200


@pytest.mark.parametrize("is_from_request", [True, False])
def test_refund_whose_money_came_back_may_be_given_up_from_either_page(
    as_cashier: Client, customer: User, approver: User, other: User, is_from_request: bool
) -> None:
    payout = returned(customer, approver, other)
    request = RefundRequest.objects.get(reference=payout.reference)
    where = address(request, "fail") if is_from_request else address(payout, "not-possible")
    as_cashier.post(where, {"seen": seen_on(as_cashier, where), "reason": "The account is closed."})
    request.refresh_from_db()
    assert (request.state, again(payout).given_up_at) == ("failed", NOON)
    assert shown(as_cashier) == set()


# --- Who ---------------------------------------------------------------------------------------


@pytest.fixture
def both(db: None) -> User:
    return factories.staff(
        "both",
        "refunds.review_refund",
        "payments.record_payout",
        "payments.send_payout",
        "payments.view_payout",
        "refunds.view_refundrequest",
    )


@pytest.mark.parametrize("who", ["both", "superuser"])
def test_approver_neither_sends_nor_records_nor_releases_and_reads_why(
    customer: User, other: User, who: str, request: pytest.FixtureRequest
) -> None:
    person = request.getfixturevalue(who)
    client = signed_in(person)
    payout = returned(customer, person, other)
    before = everything()
    for act in ACTS:
        assert client.get(address(payout, act)).status_code == 403
        assert client.post(address(payout, act), {"reason": "x", "external_reference": "x"}).status_code == 403
    assert everything() == before
    assert "You approved this refund: somebody else sends, records or releases its payout." in page(client, payout)


@pytest.mark.parametrize("who", ["both", "superuser"])
def test_receiver_neither_sends_nor_records_nor_releases_and_reads_why(
    approver: User, other: User, who: str, request: pytest.FixtureRequest
) -> None:
    person = request.getfixturevalue(who)
    client = signed_in(person)
    payout = returned(person, approver, other)
    before = everything()
    for act in ACTS:
        assert client.post(address(payout, act), {"reason": "x", "external_reference": "x"}).status_code == 403
    assert everything() == before
    assert "The money goes to your own account" in page(client, payout)


@pytest.mark.parametrize(
    ("permission", "acts"),
    [
        ("send_payout", {"try-again"}),
        ("record_payout", {"record-paid", "not-possible"}),
    ],
)
def test_sending_and_recording_are_rights_of_their_own(
    customer: User, approver: User, permission: str, acts: set[str]
) -> None:
    payout = failed_payout(customer, approver)
    client = signed_in(factories.staff("half", f"payments.{permission}", "payments.view_payout"))
    assert offered(client, payout) == acts
    for act in {"try-again", "record-paid", "not-possible"} - acts:
        assert client.get(address(payout, act)).status_code == 403


# --- Daily totals ------------------------------------------------------------------------------


@pytest.fixture
def moved(customer: User, approver: User, other: User) -> list[Payout]:
    """Two payouts that went out today, one of which came back, and one of yesterday."""
    payouts = [ordered(customer, approver, payments={"bank": amount}) for amount in (70_000, 50_000)]
    for number, payout in enumerate(payouts):
        record_paid(payout.pk, f"out-{number}", by=other, at=NOON)
    record_returned(payouts[0].pk, "closed", by=other, at=NOON)
    return payouts


def test_totals_show_each_channels_day_and_lead_to_its_payouts(as_cashier: Client, moved: list[Payout]) -> None:
    answer = as_cashier.get(TOTALS)
    text = answer.content.decode().replace("\xa0", " ")
    for words in ("CNY 1,200.00", "CNY 700.00", "CNY 500.00", "Asia/Shanghai", "UTC", "Nothing moved."):
        assert words in text
    assert '<span class="nowrap">2026-11-23,</span>' in text
    [line] = [line for line in answer.context["lines"] if line.total]
    out, back = (as_cashier.get(where).context["cl"] for where in (line.paid_address, line.back_address))
    assert {payout.pk for payout in out.result_list} == {payout.pk for payout in moved}
    assert {payout.pk for payout in back.result_list} == {moved[0].pk}
    assert line.total.net == 50_000
    assert as_cashier.get(line.export_address).status_code == 200


def test_list_of_a_day_shows_every_state_and_one_currency(as_cashier: Client, moved: list[Payout]) -> None:
    assert shown(as_cashier, moved="out:2026-11-23") == {payout.pk for payout in moved}
    assert shown(as_cashier, moved="out:2026-11-23:USD") == set()
    assert shown(as_cashier, moved="out:2026-11-22") == set()
    assert shown(as_cashier, moved="back:2026-11-23:CNY") == {moved[0].pk}


@pytest.mark.parametrize(
    "query", ["out", "out:", "out:2026-02-30", "x:2026-11-23", "out:20261123", "out:2026-11-23:cny", "back:0001-01-01"]
)
def test_crafted_day_in_the_list_means_no_day(as_cashier: Client, moved: list[Payout], query: str) -> None:
    answer = as_cashier.get(LIST, {"moved": query, "state": "all"})
    assert answer.status_code == 200
    assert answer.context["cl"].result_count == 2


def test_days_lead_to_their_neighbours_and_not_beyond_today(as_cashier: Client, moved: list[Payout]) -> None:
    today = as_cashier.get(TOTALS).context
    assert (str(today["day"]), today["later"]) == ("2026-11-23", "")
    before = as_cashier.get(today["earlier"]).context
    assert str(before["day"]) == "2026-11-22"
    assert str(as_cashier.get(before["later"]).context["day"]) == "2026-11-23"


@pytest.mark.parametrize("day", ["2026-11-24", "1999-12-31", "0001-01-01", "9999-12-31", "x", "2026-02-30"])
def test_day_without_books_is_said_beside_it(as_cashier: Client, day: str) -> None:
    answer = as_cashier.get(TOTALS, {"day": day})
    assert answer.status_code == 200
    assert answer.context["form"].errors["day"]
    assert as_cashier.get(f"{TOTALS}export/", {"day": day}).status_code == 400


def test_export_is_a_file_of_that_day(as_cashier: Client, moved: list[Payout]) -> None:
    answer = as_cashier.get(f"{TOTALS}export/", {"day": "2026-11-23", "channel": "bank"})
    assert answer["Content-Disposition"] == 'attachment; filename="payouts-2026-11-23-bank.csv"'
    lines = b"".join(answer.streaming_content).decode().splitlines()
    first, second = moved
    assert lines == [
        "day,zone,channel,direction,payout,refund,outside_reference,amount,currency",
        f"2026-11-23,Asia/Shanghai,bank,out,{first},{first.reference},out-0,700.00,CNY",
        f"2026-11-23,Asia/Shanghai,bank,out,{second},{second.reference},out-1,500.00,CNY",
        f"2026-11-23,Asia/Shanghai,bank,back,{first},{first.reference},out-0,700.00,CNY",
    ]
    assert as_cashier.get(f"{TOTALS}export/", {"day": "2026-11-23", "channel": "x"}).status_code == 400


def test_whoever_may_not_see_payouts_sees_no_totals(reviewer: User, customer: User) -> None:
    for address_ in (TOTALS, f"{TOTALS}export/"):
        assert signed_in(reviewer).get(address_).status_code == 403
        assert Client().get(address_).status_code == 302


def test_totals_are_only_read(as_cashier: Client) -> None:
    for address_ in (TOTALS, f"{TOTALS}export/"):
        assert as_cashier.post(address_).status_code == 405


def test_list_leads_to_the_totals(as_cashier: Client) -> None:
    assert f'href="{TOTALS}"' in as_cashier.get(LIST).content.decode()
