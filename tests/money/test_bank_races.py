"""Two who make batches, or import answers, at once: each payout is in one file, each number is used once."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import OperationalError

from certificates.models import Certificate
from core.models import User
from payments.exceptions import PayoutMoved
from payments.models import BankBatch, BatchLine, LedgerEntry, Payment, Payout
from payments.services import (
    AccountFixed,
    AnswerSummary,
    NothingToSend,
    bank,
    bank_answers,
    import_answer,
    make_batch,
    record_bank_account,
    record_paid,
)
from payments.states import Cause
from refunds.models import RefundRequest
from tests import factories
from tests.factories import NOON
from tests.invariants import broken
from tests.money.bank_cast import PAYER, again, approved, banker, batch_of, both, name_account, ordered
from tests.money.test_bank_answers import answer, line
from tests.races.running import overtake, together
from tests.races.test_lock_order import Locks, locks

__all__ = ["locks"]

pytestmark = pytest.mark.django_db(transaction=True)

LOOKED = (bank, "lock_many")

Act = Callable[[], Any]


def making(by: User) -> Act:
    return partial(make_batch, by=by, at=NOON)


def importing(batch: BankBatch, content: bytes, by: User) -> Act:
    return partial(import_answer, batch.pk, content, by=by, at=NOON)


def placed() -> list[tuple[int, int]]:
    """Each line as the number of its batch and its payout."""
    return list(BatchLine.objects.order_by("payout").values_list("batch__number", "payout"))


def test_a_second_sender_waits_and_finds_nothing_to_send(customer: User) -> None:
    first, second = banker("first"), banker("second")
    payouts = [ordered(customer) for _ in range(2)]

    made, told = overtake(making(first), making(second), at=LOOKED)

    assert made.number == 1
    assert isinstance(told, NothingToSend)
    assert placed() == [(1, payout.pk) for payout in payouts]
    assert not broken()


def test_of_many_senders_at_once_one_makes_the_batch(customer: User) -> None:
    payouts = [ordered(customer) for _ in range(3)]

    outcomes = together(*[making(banker(f"sender-{n}")) for n in range(4)])

    assert sorted(type(each).__name__ for each in outcomes) == ["BankBatch", *["NothingToSend"] * 3]
    assert placed() == [(1, payout.pk) for payout in payouts]


def test_senders_of_different_payouts_at_once_get_numbers_of_their_own(customer: User) -> None:
    """Each approved what the other sends, so that neither waits for the other's payouts."""
    first, second = both("first"), both("second")
    of_first, of_second = approved(customer, first), approved(customer, second)

    outcomes = together(making(first), making(second))

    assert [type(each) for each in outcomes] == [BankBatch, BankBatch]
    assert sorted(each.number for each in outcomes) == [1, 2]
    numbers = {payout: number for number, payout in placed()}
    assert numbers == {of_second.pk: outcomes[0].number, of_first.pk: outcomes[1].number}


def test_second_number_waits_for_the_first(customer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second has counted before the first has stored: the number is taken, and it counts again."""
    first, second = both("first"), both("second")
    approved(customer, first)
    approved(customer, second)

    outcomes = overtake(making(first), making(second), at=(bank, "_batch"))

    assert [each.number for each in outcomes] == [1, 2]
    assert BankBatch.objects.count() == 2


def test_payout_that_is_just_recorded_by_hand_is_not_put_into_a_batch(customer: User) -> None:
    payout = ordered(customer)
    recorded = partial(record_paid, payout.pk, "B-1", by=banker("first"), at=NOON)

    outcomes = together(recorded, making(banker("second")))

    # Put into the batch first, it may still be recorded; recorded first, there is nothing to send.
    assert isinstance(outcomes[0], Payout)
    assert isinstance(outcomes[1], BankBatch | NothingToSend)
    assert again(payout).state == "paid"
    assert LedgerEntry.objects.filter(cause=Cause.PAYOUT_PAID).count() == 1


def test_account_is_not_corrected_while_a_file_with_it_is_made(customer: User) -> None:
    payout = ordered(customer)
    corrected = partial(record_bank_account, payout.payment_id, PAYER, by=banker("second"), at=NOON)

    made, told = overtake(making(banker("first")), corrected, at=LOOKED)

    assert isinstance(made, BankBatch)
    assert isinstance(told, AccountFixed)


def test_the_same_answer_twice_at_once_is_recorded_once(customer: User) -> None:
    first, second = banker("first"), banker("second")
    payouts = [ordered(customer) for _ in range(2)]
    batch = batch_of(*payouts, by=first)
    content = answer(*map(line, payouts))

    outcomes = overtake(
        importing(batch, content, first), importing(batch, content, second), at=(bank_answers, "_references_taken")
    )

    assert [type(each) for each in outcomes] == [AnswerSummary, AnswerSummary]
    assert [each.recorded for each in outcomes] == [2, 0]
    assert LedgerEntry.objects.filter(cause=Cause.PAYOUT_PAID).count() == 2
    assert set(RefundRequest.objects.values_list("state", flat=True)) == {"refunded"}
    assert not broken()


# --- Locks -------------------------------------------------------------------------------------


def two_of_one_order(customer: User) -> list[Payout]:
    """Payouts of two certificates that one payment paid for."""
    for certificate in factories.bought_together(customer, [70_000, 50_000], {"bank": 120_000}):
        factories.submit(certificate)
    name_account(Payment.objects.get())
    return list(Payout.objects.order_by("pk"))


def make_it(customer: User, sender: User) -> Act:
    two_of_one_order(customer)
    ordered(customer)
    return making(sender)


def import_it(customer: User, sender: User) -> Act:
    payouts = [*two_of_one_order(customer), ordered(customer)]
    batch = batch_of(*payouts, by=sender)
    return importing(batch, answer(*map(line, payouts)), sender)


@pytest.mark.parametrize("prepare", [make_it, import_it], ids=lambda act: act.__name__)
def test_many_payouts_are_locked_floor_by_floor(
    customer: User, locks: Locks, prepare: Callable[[User, User], Act]
) -> None:
    """All certificates before any payment, though each payout alone would lock its own first."""
    act = prepare(customer, banker())
    locks.clear()

    act()

    models = [model for model in locks.models() if model is not RefundRequest]
    assert {Certificate, Payment, Payout} <= set(models)
    of_floors = [place for place in locks if place[0] != 2]
    assert of_floors == sorted(of_floors)
    last_request = max(n for n, model in enumerate(locks.models()) if model is RefundRequest)
    assert last_request < locks.models().index(Payment)


def test_requests_of_one_order_and_a_batch_of_its_payouts_are_no_deadlock(customer: User) -> None:
    """The payouts of some certificates are put into a batch while those of the others are asked for."""
    sender = banker()
    certificates = factories.bought_together(customer, [30_000] * 4, {"bank": 120_000})
    for certificate in certificates[1::2]:
        factories.submit(certificate)
    name_account(Payment.objects.get())

    outcomes = together(making(sender), *[partial(factories.submit, certificate) for certificate in certificates[::2]])

    assert not [each for each in outcomes if isinstance(each, OperationalError | PayoutMoved)]
    assert isinstance(outcomes[0], BankBatch)
    assert Payout.objects.count() == 4
    assert not broken()
