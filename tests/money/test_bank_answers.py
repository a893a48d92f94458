"""The bank's answer to a file: nothing is recorded unless every line is right, and the same again changes nothing."""

import pytest

from core import audit
from core.models import AuditEntry, User
from core.money import plain_amount
from payments import services
from payments.channels import ChannelRefund, Outcome
from payments.channels.bank import ANSWER_COLUMNS
from payments.channels.bank_lines import BadFile
from payments.exceptions import AmountsDiffer, NotYours, RefundFound
from payments.models import BankBatch, Difference, LedgerEntry, Payout
from payments.services import (
    AnswerSummary,
    bank_answers,
    dismiss_difference,
    import_answer,
    not_possible,
    record_failed,
    record_paid,
    record_returned,
    take_in,
    try_again,
)
from payments.states import Cause
from refunds.models import RefundRequest
from tests.factories import NOON
from tests.money.bank_cast import LATER, again, approved, banker, batch_of, both, ordered

pytestmark = pytest.mark.django_db


@pytest.fixture
def sender() -> User:
    return banker()


@pytest.fixture
def payouts(customer: User) -> list[Payout]:
    return [ordered(customer), ordered(customer, 7), ordered(customer, 50_000)]


@pytest.fixture
def batch(payouts: list[Payout], sender: User) -> BankBatch:
    return batch_of(*payouts, by=sender)


def line(payout: Payout, /, **fields: str) -> dict[str, str]:
    """What the bank says of a payout that it has paid."""
    return {
        "payout": str(payout),
        "result": "paid",
        "reference": f"B-{payout.pk}",
        "amount": plain_amount(payout.amount, payout.currency),
        "currency": payout.currency,
        "day": "2026-11-23",
        "reason": "",
        **fields,
    }


def failed(payout: Payout, /, **fields: str) -> dict[str, str]:
    return line(payout, **{"result": "failed", "reference": "", "day": "", "reason": "closed account", **fields})


def answer(*lines: dict[str, str]) -> bytes:
    written = [",".join(ANSWER_COLUMNS), *(",".join(each[name] for name in ANSWER_COLUMNS) for each in lines)]
    return "\n".join(written).encode()


def imported(batch: BankBatch, *lines: dict[str, str], by: User) -> AnswerSummary:
    return import_answer(batch.pk, answer(*lines), by=by, at=LATER)


def refused(batch: BankBatch, *lines: dict[str, str], by: User) -> list[str]:
    """What is wrong with a file, of which nothing is recorded."""
    before = everything()
    with pytest.raises(BadFile) as caught:
        imported(batch, *lines, by=by)
    assert everything() == before
    return list(map(str, caught.value.problems))


def everything() -> list[object]:
    fields = ("state", "external_reference", "failure", "booked_on", "recorded_by")
    return [
        list(Payout.objects.order_by("pk").values_list(*fields)),
        list(RefundRequest.objects.order_by("pk").values_list("state")),
        LedgerEntry.objects.count(),
        AuditEntry.objects.count(),
    ]


def states(payouts: list[Payout]) -> list[str]:
    return [again(payout).state for payout in payouts]


# --- Recording ---------------------------------------------------------------------------------


def test_an_answer_is_recorded_and_the_requests_are_refunded(
    batch: BankBatch, payouts: list[Payout], sender: User
) -> None:
    first, second, third = payouts
    summary = imported(batch, line(first), line(second, day="20261123"), failed(third), by=sender)
    assert summary == AnswerSummary(paid=2, failed=1, paid_amounts={"CNY": 120_007})
    paid = again(first)
    assert (paid.state, paid.external_reference, paid.recorded_by) == ("paid", f"B-{first.pk}", sender)
    assert paid.booked_on is not None
    assert (paid.booked_on.isoformat(), paid.settled_at) == ("2026-11-23", LATER)
    assert (again(third).state, again(third).failure) == ("failed", "closed account")
    known = dict(RefundRequest.objects.values_list("reference", "state"))
    assert [known[payout.reference] for payout in payouts] == ["refunded", "refunded", "payment_failed"]
    assert LedgerEntry.objects.filter(cause=Cause.PAYOUT_PAID).count() == 2


def test_importing_is_audited(batch: BankBatch, payouts: list[Payout], sender: User) -> None:
    imported(batch, line(payouts[0]), failed(payouts[1]), by=sender)
    entry = audit.history(batch).get(act="answer_imported")
    counted = {name: entry.detail[name] for name in ("paid", "failed", "known")}
    assert (entry.by, counted) == (sender, {"paid": 1, "failed": 1, "known": 0})
    assert [each.act for each in audit.history(payouts[0])] == ["put_in_batch", "record_paid"]


def test_part_of_an_answer_is_fine_and_the_rest_comes_later(
    batch: BankBatch, payouts: list[Payout], sender: User
) -> None:
    assert imported(batch, line(payouts[1]), by=sender).paid == 1
    assert states(payouts) == ["sent", "paid", "sent"]
    # The bank's next file repeats what it has said before.
    summary = imported(batch, *map(line, payouts), by=sender)
    assert (summary.paid, summary.known) == (2, 1)
    assert states(payouts) == ["paid"] * 3


def test_the_same_file_again_changes_nothing_and_says_when_it_was_imported(
    batch: BankBatch, payouts: list[Payout], sender: User
) -> None:
    lines = [line(payouts[0]), failed(payouts[1])]
    imported(batch, *lines, by=sender)
    # What a person has done since stands: the file speaks of what was before.
    record_paid(payouts[1].pk, "B-by-hand", by=sender, at=LATER)
    before = everything()
    summary = imported(batch, *lines, by=sender)
    assert (summary.imported_at, summary.recorded) == (LATER, 0)
    assert everything() == before


def test_what_was_recorded_by_hand_already_changes_nothing(
    batch: BankBatch, payouts: list[Payout], sender: User
) -> None:
    first, second, third = payouts
    record_paid(first.pk, f"B-{first.pk}", by=sender, at=LATER)
    record_failed(second.pk, "by telephone", by=sender, at=LATER)
    record_paid(third.pk, f"B-{third.pk}", by=sender, at=LATER)
    record_returned(third.pk, "came back", by=sender, at=LATER)
    before = everything()
    assert imported(batch, line(first), failed(second), line(third), by=sender) == AnswerSummary(known=3)
    assert everything() == before


def test_what_failed_first_and_was_paid_after_all_is_recorded(
    batch: BankBatch, payouts: list[Payout], sender: User
) -> None:
    imported(batch, failed(payouts[0]), by=sender)
    imported(batch, line(payouts[0]), by=sender)
    assert again(payouts[0]).state == "paid"


def test_a_failure_without_a_reason_is_recorded_with_a_word_about_it(
    batch: BankBatch, payouts: list[Payout], sender: User
) -> None:
    imported(batch, failed(payouts[0], reason=""), by=sender)
    assert again(payouts[0]).failure == "The bank gave no reason."


# --- Made before -------------------------------------------------------------------------------


def before(payout: Payout, /, **fields: str) -> dict[str, str]:
    return line(payout, **{"result": "paid_before", "reference": "B-old", "day": "2026-11-20", **fields})


def test_a_transfer_that_the_bank_made_before_is_filed_and_its_payout_goes_to_staff(
    batch: BankBatch, payouts: list[Payout], sender: User
) -> None:
    payout = payouts[0]
    assert imported(batch, before(payout), by=sender).before == 1
    waiting, found = again(payout), Difference.objects.get()
    assert (waiting.state, waiting.handed_over_at) == ("sent", LATER)
    assert "B-old" in waiting.trouble
    assert (found.kind, found.external_reference, found.amount, str(found.day)) == (
        "missing_here",
        "B-old",
        120_000,
        "2026-11-20",
    )
    record_failed(payout.pk, "made before", by=sender, at=LATER)
    with pytest.raises(RefundFound):
        not_possible(payout.pk, "made before", by=sender, at=LATER)
    # Whatever day is typed, the bank's own books have it on theirs, before the payout was ordered.
    record_paid(payout.pk, "B-old", by=sender, at=LATER, day=LATER.date())
    assert (again(payout).state, Difference.objects.get().state) == ("paid", "healed")
    assert str(again(payout).booked_on) == "2026-11-20"


def test_a_transfer_made_before_that_was_recorded_by_hand_is_known(
    batch: BankBatch, payouts: list[Payout], sender: User
) -> None:
    record_failed(payouts[0].pk, "made before", by=sender, at=LATER)
    record_paid(payouts[0].pk, "B-old", by=sender, at=LATER)
    summary = imported(batch, before(payouts[0]), failed(payouts[1]), by=sender)
    assert (summary.known, summary.failed, Difference.objects.count()) == (1, 1, 0)


def test_a_transfer_made_before_is_looked_at_again_although_its_difference_was_explained(
    batch: BankBatch, payouts: list[Payout], sender: User
) -> None:
    """Explained while nobody knew that it was of this payment."""
    refund = ChannelRefund("B-old", Outcome.PAID, 120_000, "CNY", NOON, payment_reference="unknown")
    earlier = take_in("bank", refund, at=NOON)
    dismiss_difference(earlier.pk, "not ours", by=sender, at=NOON)
    imported(batch, before(payouts[0]), by=sender)
    record_failed(payouts[0].pk, "made before", by=sender, at=LATER)
    with pytest.raises(RefundFound):
        not_possible(payouts[0].pk, "made before", by=sender, at=LATER)


def test_a_transfer_made_before_is_filed_also_where_its_payout_had_failed_or_was_given_up(
    batch: BankBatch, payouts: list[Payout], sender: User
) -> None:
    record_failed(payouts[0].pk, "closed", by=sender, at=LATER)
    record_failed(payouts[1].pk, "closed", by=sender, at=LATER)
    not_possible(payouts[1].pk, "closed", by=sender, at=LATER)
    imported(batch, before(payouts[0]), before(payouts[1], reference="B-older"), by=sender)
    assert Difference.objects.filter(state="open").count() == 2
    assert RefundRequest.objects.get(reference=payouts[1].reference).certificate.refund_found_at is not None


def test_a_transfer_made_before_of_another_amount_makes_the_payout_wait(
    batch: BankBatch, payouts: list[Payout], sender: User
) -> None:
    imported(batch, before(payouts[0], amount="500.00"), by=sender)
    with pytest.raises(AmountsDiffer):
        record_paid(payouts[0].pk, "B-old", by=sender, at=LATER)
    [told] = refused(batch, line(payouts[0], reference="B-old"), by=sender)
    assert told == f"line 2: reference: is undecided as {Difference.objects.get()}, which is of another amount"


def test_a_transfer_made_before_is_decided_before_another_is_recorded_for_its_payout(
    batch: BankBatch, payouts: list[Payout], sender: User
) -> None:
    imported(batch, before(payouts[0]), by=sender)
    with pytest.raises(RefundFound):
        record_paid(payouts[0].pk, "B-new", by=sender, at=LATER)
    [told] = refused(batch, line(payouts[0], reference="B-new"), by=sender)
    assert told == (
        "line 2: reference: is another transfer than B-old, which the bank already made for this payment and which is "
        f"undecided as {Difference.objects.get()}"
    )


def test_the_same_transfer_made_before_is_filed_once(batch: BankBatch, payouts: list[Payout], sender: User) -> None:
    imported(batch, before(payouts[0]), by=sender)
    assert imported(batch, before(payouts[0]), failed(payouts[1]), by=sender).known == 1
    assert Difference.objects.count() == 1


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"reference": ""}, "reference: is missing"),
        ({"day": ""}, "day: is missing"),
        ({"day": "2026-12-01"}, "day: is still to come: today is 2026-11-23"),
        ({"currency": "USD"}, "amount: is not CNY 1,200.00"),
    ],
)
def test_a_line_about_a_transfer_made_before_says_which_it_was(
    batch: BankBatch, payouts: list[Payout], sender: User, fields: dict[str, str], told: str
) -> None:
    assert refused(batch, before(payouts[0], **fields), by=sender) == [f"line 2: {told}"]


def test_a_transfer_made_before_is_not_that_of_another_payout(
    batch: BankBatch, payouts: list[Payout], sender: User
) -> None:
    record_paid(payouts[1].pk, "B-old", by=sender, at=LATER)
    assert refused(batch, before(payouts[0]), by=sender) == ["line 2: reference: is another payout's already"]


# --- What is wrong -----------------------------------------------------------------------------


def test_every_wrong_line_is_told_and_nothing_is_recorded(
    batch: BankBatch, payouts: list[Payout], sender: User
) -> None:
    first, second, third = payouts
    lines = [line(first), line(second, amount="0.08"), line(third, result="maybe"), line(first, payout="RF-0/1")]
    assert refused(batch, *lines, by=sender) == [
        "line 3: amount: is not CNY 0.07",
        "line 4: result: must be one of paid, failed, paid_before",
        "line 5: reference: is that of line 2 already",
        "line 5: payout: is no payout of the bank's",
    ]


WRONG = {
    "amount": ({"amount": "1200.01"}, "amount: is not CNY 1,200.00"),
    "currency": ({"currency": "USD"}, "amount: is not CNY 1,200.00"),
    "unknown": ({"payout": "RF-20261123-AAAAAAAA/1"}, "payout: is no payout of the bank's"),
    "no name": ({"payout": "first"}, "payout: is no payout of the bank's"),
    "future": ({"day": "2026-11-24"}, "day: is still to come: today is 2026-11-23"),
    "past": ({"day": "2026-11-22"}, "day: is before the batch was made, on 2026-11-23"),
    "no reference": ({"reference": ""}, "reference: is missing"),
    "bad day": ({"day": "2026-02-30"}, "day: is no day, YYYY-MM-DD"),
    "day first": (
        {"day": "23.11.2026"},
        "day: doesn't begin with the year, so day and month could be confused: write 2026-11-03",
    ),
    "bad result": ({"result": "ok"}, "result: must be one of paid, failed, paid_before"),
}


@pytest.mark.parametrize(("fields", "told"), WRONG.values(), ids=WRONG)
def test_a_line_that_differs_from_its_payout_is_told(
    batch: BankBatch, payouts: list[Payout], sender: User, fields: dict[str, str], told: str
) -> None:
    lines = [line(payouts[1]), line(payouts[0], **fields)]
    assert refused(batch, *lines, by=sender) == [f"line 3: {told}"]


def test_a_failed_line_is_compared_as_well(batch: BankBatch, payouts: list[Payout], sender: User) -> None:
    assert refused(batch, failed(payouts[0], amount="1.00"), by=sender) == ["line 2: amount: is not CNY 1,200.00"]


def test_a_payout_of_another_batch_is_told(
    batch: BankBatch, payouts: list[Payout], customer: User, sender: User
) -> None:
    other = ordered(customer)
    batch_of(other, by=sender)
    assert refused(batch, line(other), by=sender) == ["line 2: payout: is not in BATCH-000001"]
    waits = ordered(customer)
    assert refused(batch, line(waits), by=sender) == ["line 2: payout: is not in BATCH-000001"]


def test_a_reference_of_another_payout_is_told(
    batch: BankBatch, payouts: list[Payout], customer: User, sender: User
) -> None:
    other = ordered(customer)
    record_paid(other.pk, "B-taken", by=sender, at=NOON)
    wrong = line(payouts[0], reference="B-taken")
    # It is told beside what is wrong with other lines.
    assert refused(batch, wrong, line(payouts[1], amount="1.00"), by=sender) == [
        "line 2: reference: is another payout's already",
        "line 3: amount: is not CNY 0.07",
    ]


def test_a_payout_and_a_reference_stand_in_one_line_alone(
    batch: BankBatch, payouts: list[Payout], sender: User
) -> None:
    first, second, _third = payouts
    twice = [line(first), line(first, reference="B-2"), line(second, reference=f"B-{first.pk}")]
    assert refused(batch, *twice, by=sender) == [
        "line 3: payout: is that of line 2 already",
        "line 4: reference: is that of line 2 already",
    ]


def test_what_is_recorded_otherwise_is_told(batch: BankBatch, payouts: list[Payout], sender: User) -> None:
    first, second, _third = payouts
    record_paid(first.pk, "B-by-hand", by=sender, at=LATER)
    record_paid(second.pk, "B-other", by=sender, at=LATER)
    assert refused(batch, line(first), failed(second), by=sender) == [
        "line 2: result: is paid under another reference already: B-by-hand",
        "line 3: result: is recorded as paid: if the money came back, record that on the payout's page",
    ]


def test_a_payout_that_was_given_up_is_told(batch: BankBatch, payouts: list[Payout], sender: User) -> None:
    record_failed(payouts[0].pk, "closed", by=sender, at=LATER)
    not_possible(payouts[0].pk, "closed", by=sender, at=LATER)
    assert refused(batch, line(payouts[0]), by=sender) == [
        "line 2: result: cannot be recorded: the refund was given up"
    ]


def test_money_that_the_bank_gave_back_by_itself_stops_a_payout_that_had_failed(
    batch: BankBatch, payouts: list[Payout], sender: User
) -> None:
    record_failed(payouts[0].pk, "closed", by=sender, at=LATER)
    reference = payouts[0].payment.reference
    take_in("bank", ChannelRefund("B-9", Outcome.PAID, 120_000, "CNY", payment_reference=reference), at=LATER)
    [told] = refused(batch, line(payouts[0]), by=sender)
    assert told.startswith("line 2: reference: is another transfer than B-9, which the bank already made")


def test_what_only_recording_finds_out_undoes_the_whole_file(
    batch: BankBatch, payouts: list[Payout], sender: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two people import at once: what the second read is taken when it records."""
    monkeypatch.setattr(bank_answers, "_references_taken", lambda _references: {})
    record_paid(payouts[2].pk, "B-taken", by=sender, at=LATER)
    lines = [line(payouts[0]), line(payouts[1], reference="B-taken")]
    assert refused(batch, *lines, by=sender) == ["line 3: reference: is another payout's already"]


# --- Who ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_superuser", [False, True])
def test_who_approved_a_payout_does_not_import_its_line(customer: User, sender: User, is_superuser: bool) -> None:
    approver = both("approver", is_superuser=is_superuser)
    theirs, other = approved(customer, approver), ordered(customer)
    batch = batch_of(theirs, other, by=sender)
    assert refused(batch, line(theirs), line(other), by=approver) == [
        "line 2: payout: was approved by you: somebody else imports this line"
    ]
    assert imported(batch, line(other), by=approver).paid == 1
    assert imported(batch, line(theirs), by=sender).paid == 1


@pytest.mark.parametrize("is_superuser", [False, True])
def test_who_receives_a_payout_does_not_import_its_line(sender: User, is_superuser: bool) -> None:
    receiver = banker("receiver", is_superuser=is_superuser)
    theirs = ordered(receiver)
    batch = batch_of(theirs, by=sender)
    assert refused(batch, failed(theirs), by=receiver) == [
        "line 2: payout: goes to your own account: somebody else imports this line"
    ]


@pytest.mark.parametrize("name", ["clerk", "reviewer", "customer"])
def test_others_import_nothing(
    batch: BankBatch, payouts: list[Payout], name: str, request: pytest.FixtureRequest
) -> None:
    before = everything()
    with pytest.raises(NotYours):
        imported(batch, line(payouts[0]), by=request.getfixturevalue(name))
    assert everything() == before


def test_who_left_imports_nothing(batch: BankBatch, payouts: list[Payout], sender: User) -> None:
    sender.is_active = False
    sender.save()
    with pytest.raises(NotYours):
        imported(batch, line(payouts[0]), by=User.objects.get(pk=sender.pk))


def test_a_successor_that_no_file_has_yet_is_not_of_the_batch(
    batch: BankBatch, payouts: list[Payout], sender: User
) -> None:
    imported(batch, line(payouts[0]), by=sender)
    record_returned(payouts[0].pk, "came back", by=sender, at=LATER)
    successor = try_again(payouts[0].pk, by=sender, at=LATER)
    assert refused(batch, line(successor), by=sender) == ["line 2: payout: is not in BATCH-000001"]
    assert services.plan_batch(sender).payouts == [successor]
