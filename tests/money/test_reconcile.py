"""What a channel's own list says and what is filed then; `manage.py reconcile` by its exit codes and its words."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from certificates.models import Certificate
from core import audit
from core.models import User
from core.money import format_money
from payments import channels
from payments.channels import ChannelRefund, Outcome, Unanswered
from payments.models import Difference, LedgerEntry, Payment, Payout
from payments.services import reconcile, record_failed, record_paid, record_returned, take_in
from payments.services.taking_in import agrees
from payments.states import Channel
from tests import factories
from tests.factories import NOON
from tests.money import scripted
from tests.money.scripted import ScriptedChannel

pytestmark = pytest.mark.django_db

TODAY = date(2026, 11, 23)
YESTERDAY = TODAY - timedelta(days=1)
LATER = NOON + timedelta(hours=1)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> ScriptedChannel:
    return scripted.connect(monkeypatch)


def ordered(account: User, **payments: int) -> Payout:
    request = factories.submit(factories.certificate(account, payments=payments or {"card": 120_000}))
    return Payout.objects.filter(reference=request.reference).order_by("id")[0]


def paid(account: User, **payments: int) -> Payout:
    payout = ordered(account, **payments)
    assert factories.pay_out() >= 1
    return again(payout)


def again(payout: Payout) -> Payout:
    return Payout.objects.select_related("payment").get(pk=payout.pk)


def foreign(payment: Payment | None, *, reference: str = "re_1", amount: int = 120_000, **fields: Any) -> ChannelRefund:
    """A refund that nobody ordered here."""
    known = {"outcome": Outcome.PAID, "currency": "CNY", "at": NOON, "key": reference}
    named = payment.reference if payment else "pi_unknown"
    return ChannelRefund(reference, amount=amount, payment_reference=named, **{**known, **fields})


def taken_in(refund: ChannelRefund, channel: str = "card", *, at: datetime = NOON, day: date | None = None) -> Any:
    with transaction.atomic():
        return take_in(channel, refund, at=at, day=day)


def payment_of(certificate: Certificate) -> Payment:
    return Payment.objects.get(pk=certificate.shares.get().payment_id)


def everything() -> Any:
    return [
        list(model.objects.order_by("pk").values())
        for model in (Difference, Payout, Payment, LedgerEntry, audit.AuditEntry)
    ]


# --- Ours --------------------------------------------------------------------------------------


def test_a_refund_of_ours_that_both_books_have_changes_nothing(customer: User, card: ScriptedChannel) -> None:
    payout = paid(customer)
    before = everything()
    assert taken_in(card.refunds[str(payout.key)]) is None
    assert everything() == before


def test_a_refund_under_our_key_settles_its_payout(customer: User, card: ScriptedChannel) -> None:
    payout = ordered(customer)
    card.set(payout, Outcome.PAID)
    assert taken_in(card.refunds[str(payout.key)]) is None
    assert (again(payout).state, again(payout).external_reference) == ("paid", f"re-{payout.key}")


def test_the_number_of_a_try_behind_our_key_does_not_hide_it(customer: User, card: ScriptedChannel) -> None:
    payout = ordered(customer)
    card.set(payout, Outcome.PAID, key=f"{payout.key}-2")
    taken_in(card.refunds[str(payout.key)])
    assert again(payout).state == "paid"


def test_a_refund_recorded_by_hand_is_found_by_its_reference(customer: User, cashier: User) -> None:
    payout = ordered(customer, alipay=120_000)
    record_paid(payout.pk, "2026-1", by=cashier, at=NOON + timedelta(days=1), day=TODAY)
    assert taken_in(foreign(payout.payment, reference="2026-1"), "alipay") is None
    assert not Difference.objects.exists()


def test_key_of_another_channel_is_not_ours(customer: User, card: ScriptedChannel) -> None:
    payout = paid(customer)
    found = taken_in(foreign(None, key=str(payout.key)), "alipay")
    assert (found.kind, found.payout) == ("missing_here", None)


def test_a_refund_that_came_back_takes_its_payout_back(customer: User, card: ScriptedChannel) -> None:
    payout = paid(customer)
    card.set(payout, Outcome.FAILED, reason="account closed")
    assert taken_in(card.refunds[str(payout.key)], at=LATER) is None
    assert (again(payout).state, again(payout).failure) == ("returned", "account closed")


def test_an_earlier_try_that_failed_does_not_take_a_paid_payout_back(customer: User, card: ScriptedChannel) -> None:
    payout = paid(customer)
    card.set(payout, Outcome.FAILED, reference="re_first")
    assert taken_in(card.refunds[str(payout.key)]) is None
    assert again(payout).state == "paid"


def test_another_amount_is_filed_and_not_settled(customer: User, card: ScriptedChannel) -> None:
    payout = ordered(customer)
    card.set(payout, Outcome.PAID, amount=100_000)
    found = taken_in(card.refunds[str(payout.key)])
    assert (found.kind, found.amount, found.our_amount) == ("different_amount", 100_000, 120_000)
    assert (found.payout, found.payment, found.day) == (payout, payout.payment, TODAY)
    assert (again(payout).state, again(payout).handed_over_at is None) == ("ordered", False)


def test_another_currency_is_another_amount(customer: User, card: ScriptedChannel) -> None:
    payout = paid(customer)
    card.set(payout, Outcome.PAID, currency="USD")
    found = taken_in(card.refunds[str(payout.key)])
    assert (found.kind, found.currency) == ("different_amount", "USD")


def test_a_refund_that_failed_with_another_amount_does_not_pass_for_agreement(
    customer: User, card: ScriptedChannel
) -> None:
    payout = paid(customer)
    card.set(payout, Outcome.FAILED, amount=100_000)
    assert taken_in(card.refunds[str(payout.key)]).kind == "different_amount"
    assert again(payout).state == "paid"


def test_amounts_that_agree_again_heal_and_differ_again(customer: User, card: ScriptedChannel) -> None:
    payout = paid(customer)
    right = card.refunds[str(payout.key)]
    card.set(payout, Outcome.PAID, amount=100_000)
    wrong = card.refunds[str(payout.key)]
    found = taken_in(wrong)
    assert taken_in(right) is None
    found.refresh_from_db()
    assert (found.state, found.resolved_at) == ("healed", NOON)
    assert taken_in(wrong, at=LATER) == found
    found.refresh_from_db()
    assert (found.state, found.resolved_at, found.found_at) == ("open", None, NOON)
    assert [entry.act for entry in audit.history(found)] == ["found", "healed", "found_again"]


@pytest.mark.parametrize("kind", ["failed", "returned"])
def test_paid_there_and_not_here_is_filed(customer: User, cashier: User, kind: str) -> None:
    payout = ordered(customer, alipay=120_000)
    if kind == "failed":
        record_failed(payout.pk, "no account", by=cashier, at=NOON)
    else:
        record_paid(payout.pk, "2026-1", by=cashier, at=NOON)
        record_returned(payout.pk, "no account", by=cashier, at=NOON)
    refund = foreign(payout.payment, reference="2026-1", key=str(payout.key))
    found = taken_in(refund, "alipay")
    assert (found.kind, found.payout, found.amount) == ("different_state", payout, 120_000)
    assert again(payout).state == kind
    assert taken_in(refund, "alipay") == found


def test_recording_what_was_paid_there_heals_at_once(customer: User, cashier: User) -> None:
    payout = ordered(customer, alipay=120_000)
    record_failed(payout.pk, "no account", by=cashier, at=NOON)
    found = taken_in(foreign(payout.payment, reference="2026-1", key=str(payout.key)), "alipay")
    record_paid(payout.pk, "2026-1", by=cashier, at=LATER)
    found.refresh_from_db()
    assert found.state == "healed"


def test_a_second_refund_under_one_key_is_one_too_many(customer: User, card: ScriptedChannel) -> None:
    payout = paid(customer)
    card.set(payout, Outcome.PAID, reference="re_twice")
    found = taken_in(card.refunds[str(payout.key)])
    assert (found.kind, found.external_reference, found.payout) == ("missing_here", "re_twice", payout)
    assert again(payout).external_reference == f"re-{payout.key}"
    card.set(payout, Outcome.FAILED, reference="re_twice")
    assert taken_in(card.refunds[str(payout.key)]) is None
    found.refresh_from_db()
    assert (found.state, again(payout).state) == ("healed", "paid")


def test_a_number_written_down_for_another_payout_is_filed_and_stops_nothing(customer: User, cashier: User) -> None:
    mistaken, payout = ordered(customer, alipay=120_000), ordered(customer, alipay=120_000)
    record_paid(mistaken.pk, "2026-1", by=cashier, at=NOON)
    found = taken_in(foreign(payout.payment, reference="2026-1", key=str(payout.key)), "alipay")
    assert (found.kind, found.payout) == ("different_state", payout)
    assert again(payout).state == "ordered"


# --- Not ours ----------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [Outcome.PAID, Outcome.PENDING])
def test_a_refund_made_at_the_channel_is_filed_with_its_payment(customer: User, outcome: Outcome) -> None:
    payment = payment_of(factories.certificate(customer, payments={"card": 120_000}))
    found = taken_in(foreign(payment, outcome=outcome))
    assert (found.kind, found.state, found.subject, found.payment) == ("missing_here", "open", "re_1", payment)
    assert (found.amount, found.our_amount, found.found_at) == (120_000, None, NOON)
    assert audit.history(found).get().by is None


def test_a_refund_of_a_payment_that_nobody_knows_is_filed_without_one(db: None) -> None:
    found = taken_in(foreign(None))
    assert (found.kind, found.payment) == ("missing_here", None)


def test_a_refund_that_names_no_payment_is_of_none_that_has_no_number(customer: User) -> None:
    certificate = factories.certificate(customer, payments={"card": 120_000})
    Payment.objects.filter(pk=payment_of(certificate).pk).update(reference="")
    assert taken_in(foreign(payment_of(certificate))).payment is None


def test_payment_that_is_known_later_is_filled_in(customer: User) -> None:
    refund = foreign(None)
    found = taken_in(refund)
    certificate = factories.certificate(customer, payments={"card": 120_000})
    Payment.objects.filter(pk=payment_of(certificate).pk).update(reference="pi_unknown")
    assert taken_in(refund, at=LATER).payment == payment_of(certificate)
    certificate.refresh_from_db()
    assert certificate.refund_found_at == LATER
    assert [entry.act for entry in audit.history(found)] == ["found", "has_changed"]


def test_the_same_again_changes_nothing(customer: User) -> None:
    refund = foreign(payment_of(factories.certificate(customer, payments={"card": 120_000})))
    found = taken_in(refund)
    before = everything()
    assert taken_in(refund, at=LATER) == found
    assert everything() == before


def test_a_refund_of_its_own_that_came_back_heals_and_frees_the_certificate(customer: User) -> None:
    certificate = factories.certificate(customer, payments={"card": 120_000})
    refund = foreign(payment_of(certificate))
    found = taken_in(refund)
    certificate.refresh_from_db()
    assert certificate.refund_found_at == NOON
    assert taken_in(foreign(payment_of(certificate), outcome=Outcome.FAILED), at=LATER) is None
    found.refresh_from_db()
    certificate.refresh_from_db()
    assert (found.state, certificate.refund_found_at) == ("healed", None)
    taken_in(refund, at=LATER)
    found.refresh_from_db()
    certificate.refresh_from_db()
    assert (found.state, certificate.refund_found_at) == ("open", LATER)


def test_a_failed_refund_that_was_never_seen_is_nothing(customer: User) -> None:
    payment = payment_of(factories.certificate(customer, payments={"card": 120_000}))
    assert taken_in(foreign(payment, outcome=Outcome.FAILED)) is None
    assert not Difference.objects.exists()


# --- Which certificates it closes --------------------------------------------------------------


def closed(*certificates: Certificate) -> list[bool]:
    return [Certificate.objects.get(pk=each.pk).refund_found_at is not None for each in certificates]


def test_a_refund_closes_the_certificate_whose_share_it_is(customer: User) -> None:
    first, second = factories.bought_together(customer, [70_000, 50_000], {"card": 120_000})
    taken_in(foreign(payment_of(first), amount=50_000))
    assert closed(first, second) == [False, True]


def test_a_refund_of_no_certificates_share_closes_all_of_the_payment(customer: User) -> None:
    first, second = factories.bought_together(customer, [70_000, 50_000], {"card": 120_000})
    other = factories.certificate(customer, payments={"card": 120_000})
    taken_in(foreign(payment_of(first), amount=20_000))
    assert closed(first, second, other) == [True, True, False]


def test_a_refund_of_one_of_two_payments_keeps_what_the_other_closed(customer: User) -> None:
    certificate = factories.certificate(customer, payments={"card": 70_000, "alipay": 50_000})
    card, alipay = (share.payment for share in certificate.shares.order_by("-amount"))
    taken_in(foreign(card, amount=70_000))
    taken_in(foreign(alipay, reference="2026-1", amount=50_000), "alipay")
    taken_in(foreign(card, amount=70_000, outcome=Outcome.FAILED))
    assert closed(certificate) == [True]
    taken_in(foreign(alipay, reference="2026-1", amount=50_000, outcome=Outcome.FAILED), "alipay")
    assert closed(certificate) == [False]


# --- A day -------------------------------------------------------------------------------------


def compared(channel: str, refunds: list[ChannelRefund], *, day: date = TODAY) -> Any:
    return reconcile(channel, day, refunds, at=NOON)


def kinds(comparison: Any) -> list[tuple[str, str]]:
    return [(found.kind, found.state) for found in comparison.found.values()]


def test_a_day_that_agrees_is_told_so_without_a_lock(customer: User, card: ScriptedChannel) -> None:
    payout = paid(customer)
    before = everything()
    comparison = compared("card", list(card.refunds.values()))
    assert (comparison.found, comparison.open) == ({}, [])
    assert comparison.there == comparison.here
    assert (comparison.here["CNY"].count, comparison.here["CNY"].amount) == (1, 120_000)
    assert everything() == before
    assert agrees(again(payout), card.refunds[str(payout.key)])


def test_a_payout_that_the_list_lacks_is_missing_there(customer: User, card: ScriptedChannel) -> None:
    payout = paid(customer)
    comparison = compared("card", [])
    [found] = comparison.open
    assert (found.kind, found.subject, found.payout) == ("missing_there", str(payout.key), payout)
    assert (found.amount, found.our_amount, found.day) == (None, 120_000, TODAY)
    assert (comparison.there, comparison.here["CNY"].amount) == ({}, 120_000)
    assert compared("card", list(card.refunds.values())).open == []
    found.refresh_from_db()
    assert found.state == "healed"
    assert [each.pk for each in compared("card", []).open] == [found.pk]


def test_payouts_of_other_days_and_channels_are_not_missed(customer: User, card: ScriptedChannel) -> None:
    paid(customer)
    assert compared("card", [], day=YESTERDAY).found == {}
    assert compared("alipay", []).found == {}


def test_what_the_channel_lacked_and_came_back_here_agrees(customer: User, cashier: User) -> None:
    payout = ordered(customer, alipay=120_000)
    record_paid(payout.pk, "2026-1", by=cashier, at=NOON)
    [found] = compared("alipay", []).open
    record_returned(payout.pk, "never went out", by=cashier, at=LATER)
    assert compared("alipay", []).found == {}
    found.refresh_from_db()
    assert found.state == "healed"


def test_a_payout_written_down_for_another_day_is_no_difference(customer: User, cashier: User) -> None:
    payout = ordered(customer, alipay=120_000)
    record_paid(payout.pk, "2026-1", by=cashier, at=NOON)
    refund = foreign(payout.payment, reference="2026-1", at=NOON - timedelta(days=1))
    comparison = compared("alipay", [refund], day=YESTERDAY)
    assert comparison.found == {}
    assert [(known.reference, ours.pk) for known, ours in comparison.of_other_days] == [("2026-1", payout.pk)]


def test_what_a_person_has_explained_is_not_open_again(customer: User, card: ScriptedChannel, cashier: User) -> None:
    paid(customer)
    [found] = compared("card", []).open
    found.dismiss()
    found.resolved_by, found.note = cashier, "booked on the next day"
    found.save()
    comparison = compared("card", [])
    assert (comparison.open, comparison.explained) == ([], [found])


def test_what_is_paid_after_the_list_was_read_is_not_missed(customer: User, card: ScriptedChannel) -> None:
    ordered(customer)

    def listed() -> Iterator[ChannelRefund]:
        yield from ()
        factories.pay_out()

    assert compared("card", listed()).found == {}  # type: ignore[arg-type]


def test_what_came_back_while_the_list_was_read_is_not_missed(customer: User, cashier: User) -> None:
    payout = ordered(customer, alipay=120_000)
    record_paid(payout.pk, "2026-1", by=cashier, at=NOON)

    def listed() -> Iterator[ChannelRefund]:
        yield from ()
        record_returned(payout.pk, "never went out", by=cashier, at=LATER)

    assert compared("alipay", listed()).found == {}  # type: ignore[arg-type]


def test_a_payout_recorded_under_another_number_is_missed_on_both_sides(customer: User, cashier: User) -> None:
    payout = ordered(customer, alipay=120_000)
    record_paid(payout.pk, "2026-1", by=cashier, at=NOON)
    refund = foreign(payout.payment, reference="2026-2", key=str(payout.key))
    assert kinds(compared("alipay", [refund])) == [("missing_here", "open"), ("missing_there", "open")]


def test_a_list_without_times_is_of_its_day(customer: User) -> None:
    payout = ordered(customer, bank=120_000)
    refund = foreign(payout.payment, reference="NB-1", key=str(payout.key), at=None)
    assert compared("bank", [refund], day=YESTERDAY).found == {}
    assert again(payout).booked_on == YESTERDAY


def test_a_list_that_breaks_off_files_nothing(customer: User, card: ScriptedChannel) -> None:
    paid(customer)

    def broken() -> Iterator[ChannelRefund]:
        yield foreign(None)
        raise Unanswered("timed out")

    with pytest.raises(Unanswered):
        compared("card", broken())  # type: ignore[arg-type]
    assert not Difference.objects.exists()


def test_a_bank_statement_keeps_what_came_back_later(customer: User, cashier: User) -> None:
    payout = ordered(customer, bank=120_000)
    record_paid(payout.pk, "NB-1", by=cashier, at=NOON)
    record_returned(payout.pk, "account closed", by=cashier, at=LATER)
    statement = [foreign(payout.payment, reference="NB-1", at=None)]
    comparison = compared("bank", statement)
    assert comparison.found == {}
    assert comparison.there == comparison.here


def test_the_balance_is_compared_with_the_ledger(customer: User) -> None:
    payout = ordered(customer, balance=120_000)
    factories.pay_out()
    balance = channels.connected(Channel.BALANCE)
    assert balance is not None
    comparison = compared("balance", list(balance.refunds_on(TODAY)))
    assert (comparison.found, comparison.there == comparison.here) == ({}, True)
    assert kinds(compared("balance", [])) == [("missing_there", "open")]
    assert again(payout).state == "paid"


def test_days_turn_where_the_channels_books_turn_them(customer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """23:30 UTC is of that day for Stripe, and of the next one in Shanghai."""
    late = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
    days = {channel: taken_in(foreign(None, at=late), channel).day for channel in ("card", "alipay", "bank")}
    assert days == {"card": YESTERDAY, "alipay": TODAY, "bank": TODAY}
    card = scripted.connect(monkeypatch)
    payout = ordered(customer)
    card.set(payout, Outcome.PAID, at=late)
    taken_in(card.refunds[str(payout.key)])
    assert again(payout).booked_on == YESTERDAY


# --- The command -------------------------------------------------------------------------------


def money(amount: int) -> str:
    return format_money(amount, "CNY")


def run(*words: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    out, err = StringIO(), StringIO()
    try:
        call_command("reconcile", *words, stdout=out, stderr=err)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue(), err.getvalue()
    except CommandError as error:
        return error.returncode, out.getvalue(), str(error)
    return 0, out.getvalue(), err.getvalue()


def test_command_agrees_with_both_sides_totals_the_day_and_its_zone(
    customer: User, card: ScriptedChannel, frozen: Any
) -> None:
    paid(customer)
    code, out, err = run("card", "--date", "2026-11-23")
    assert code == 0
    assert out.splitlines() == [
        f"CNY: {money(120_000)} in 1 there, {money(120_000)} in 1 here",
        "card, 2026-11-23 (UTC): the books agree",
    ]
    assert "2026-11-23 has not ended in UTC" in err


def test_command_names_each_difference_and_exits_1(customer: User, card: ScriptedChannel, frozen: Any) -> None:
    payout = paid(customer)
    card.refunds = {"x": foreign(payout.payment, amount=5_000)}
    code, out, _ = run("card", "--date", "2026-11-23")
    here, there = Difference.objects.order_by("id")
    assert code == 1
    assert out.splitlines() == [
        f"missing here: re_1, {money(5_000)} there, nothing here; {payout.payment} ({here})",
        f"missing there: re-{payout.key}, nothing there, {money(120_000)} here; {payout} ({there})",
        f"CNY: {money(5_000)} in 1 there, {money(120_000)} in 1 here",
        "card, 2026-11-23 (UTC): 2 to look at",
    ]


def test_command_takes_yesterday_of_the_channels_books(card: ScriptedChannel, frozen: Any) -> None:
    frozen.move_to(datetime(2026, 11, 23, 23, 30, tzinfo=UTC))
    assert "card, 2026-11-22 (UTC)" in run("card")[1]
    assert "balance, 2026-11-23 (Asia/Shanghai)" in run("balance")[1]


def test_command_tells_what_was_explained_and_exits_0(
    customer: User, card: ScriptedChannel, cashier: User, frozen: Any
) -> None:
    card.refunds = {"x": foreign(None)}
    [found] = compared("card", list(card.refunds.values())).open
    found.dismiss()
    found.resolved_by, found.note = cashier, "a test of the key"
    found.save()
    code, out, _ = run("card", "--date", "2026-11-23")
    assert code == 0
    assert "Explained: a test of the key" in out


def test_command_refuses_a_day_to_come(card: ScriptedChannel, frozen: Any) -> None:
    code, _, err = run("card", "--date", "2026-11-24")
    assert (code, err) == (2, "2026-11-24 has not begun in UTC")


@pytest.mark.parametrize("day", ["2026-11-31", "yesterday", "20"])
def test_command_refuses_what_is_no_day(card: ScriptedChannel, day: str) -> None:
    with pytest.raises(CommandError, match="is no day"):
        call_command("reconcile", "card", "--date", day)


def test_command_refuses_a_channel_that_is_not_connected(db: None, frozen: Any) -> None:
    code, _, err = run("alipay")
    assert code == 2
    assert "alipay is not connected" in err


def test_command_files_nothing_where_the_channel_does_not_answer(
    customer: User, card: ScriptedChannel, frozen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid(customer)

    def silent(day: date) -> Iterator[ChannelRefund]:
        yield foreign(None)
        raise Unanswered("timed out")

    monkeypatch.setattr(card, "refunds_on", silent)
    code, out, err = run("card", "--date", "2026-11-23")
    assert (code, out, err) == (2, "", "card does not answer: timed out")
    assert not Difference.objects.exists()


def test_command_needs_a_statement_for_the_bank_and_for_nothing_else(card: ScriptedChannel, frozen: Any) -> None:
    assert run("bank")[0] == 2
    assert run("card", "--file", "statement.csv")[0] == 2


def test_command_exits_2_for_a_statement_that_cannot_be_read(tmp_path: Any, db: None, frozen: Any) -> None:
    code, _, err = run("bank", "--file", str(tmp_path / "missing.csv"))
    assert code == 2
    assert "No such file" in err
    odd = tmp_path / "odd.csv"
    odd.write_text("reference,payout,amount,currency,day\nNB-1,,much,CNY,2026-11-22\nNB-2,,1.00,CNY,yesterday\n")
    code, _, err = run("bank", "--file", str(odd))
    assert (code, len(err.splitlines())) == (2, 2)
    assert not Difference.objects.exists()


def test_command_takes_the_days_lines_of_a_statement(customer: User, tmp_path: Any, frozen: Any) -> None:
    payout = ordered(customer, bank=120_000)
    statement = tmp_path / "statement.csv"
    statement.write_text(
        "reference,payout,amount,currency,day\n"
        f"NB-1,{payout},1200.00,CNY,2026-11-22\n"
        "NB-2,,50.00,CNY,2026-11-22\n"
        "NB-3,,70.00,CNY,2026-11-21\n"
    )
    code, out, _ = run("bank", "--date", "2026-11-22", "--file", str(statement))
    paid_now = again(payout)
    assert (paid_now.state, paid_now.external_reference, paid_now.booked_on) == ("paid", "NB-1", YESTERDAY)
    assert code == 1
    assert [found.external_reference for found in Difference.objects.all()] == ["NB-2"]
    assert out.splitlines()[-1] == "bank, 2026-11-22 (Asia/Shanghai): 1 to look at"
    before = everything()
    assert run("bank", "--date", "2026-11-22", "--file", str(statement))[0] == 1
    assert everything() == before
