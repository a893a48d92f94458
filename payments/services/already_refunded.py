"""What happens when a channel or the bank refuses a payout because money of its payment has already been refunded.

To count it as an ordinary failure could leave a customer with both the money and the certificate. So what the channel
has and we do not know is filed as a difference, and a person takes the payout on. A payout of ours is left to its own
job: to settle it here would lock a request after a payment, and others do not.
"""

from collections.abc import Sequence
from datetime import date, datetime

from django.utils.translation import gettext as _

from core import audit, jobs
from core.models import User
from payments.channels import ChannelRefund, Outcome
from payments.days import books_day
from payments.models import Difference, Payout
from payments.services import differences, settling, taking_in
from payments.services.outcomes import settle
from payments.states import CLOSES_REFUND, UNDER_WAY, DifferenceKind, PayoutState


def hand_over_refunded(
    payout_id: int, refunds: Sequence[ChannelRefund], reason: str, *, at: datetime
) -> jobs.TryAgain | jobs.Later | None:
    """File what went back of the payment without us, in the caller's transaction, and hand the payout to staff.

    `refunds` is what the channel has of the payment, `reason` its words. Where that explains nothing, the payout is
    filed as paid there and not here: a person must say what it was before the refund can be given up.
    """
    channel, payment_id = Payout.objects.values_list("channel", "payment_id").get(pk=payout_id)
    owners = [(refund, taking_in.payout_of(channel, refund)) for refund in refunds]
    own = [each for each, owner in owners if owner and owner.pk == payout_id and each.outcome != Outcome.FAILED]
    if own:
        return settle(payout_id, own[0], at=at)
    with differences.certificates_follow(payment_id, at=at):
        payout = settling.lock(payout_id)
        for refund, owner in owners:
            if owner is None:
                taking_in.take_in(channel, refund, at=at)
        _hand_over(payout, reason, at=at)
    return None


def _hand_over(payout: Payout, reason: str, *, at: datetime) -> None:
    if payout.state not in UNDER_WAY:
        return
    if not settling.is_found(payout.payment):
        _file_unexplained(payout, at=at)
    # Stripe repeats its refusal under the old key for a day: a later attempt has a key of its own.
    payout.refusals += 1
    settling.give_to_staff(payout, reason, at=at)


def wait_unexplained(payout_id: int, error: Exception, *, at: datetime) -> jobs.TryAgain | None:
    """The channel refused since money has gone back, and gave no answer to which; in the caller's transaction.

    The next try asks for that again, and sends nothing.
    """
    payment_id = Payout.objects.values_list("payment_id", flat=True).get(pk=payout_id)
    with differences.certificates_follow(payment_id, at=at):
        payout = settling.lock(payout_id)
        if payout.state not in UNDER_WAY:
            return None
        if not settling.is_found(payout.payment):
            _file_unexplained(payout, at=at)
        if payout.state != PayoutState.UNKNOWN:
            payout.lose_sight()
        payout.trouble = str(error)[: settling.LONGEST_WORDS]
        payout.save()
    return jobs.TryAgain(error)


def is_unexplained(payout: Payout) -> bool:
    """Whether the channel has refused the payout since money has gone back, and hasn't said which."""
    of_payout = Difference.objects.filter(payout=payout.pk, kind=DifferenceKind.DIFFERENT_STATE, amount=None)
    return of_payout.filter(state__in=CLOSES_REFUND).exists()


def _file_unexplained(payout: Payout, *, at: datetime) -> Difference:
    return differences.file(
        DifferenceKind.DIFFERENT_STATE,
        payout.channel,
        str(payout.key),
        at=at,
        day=books_day(payout.channel, at),
        payment_id=payout.payment_id,
        payout_id=payout.pk,
        our_amount=payout.amount,
        currency=payout.currency,
    )


def record_paid_before(
    payout: Payout, refund: ChannelRefund, day: date, reason: str, *, by: User, at: datetime
) -> Difference:
    """Record that the bank had made a locked payout's transfer before, as `refund` on `day` of its books.

    In the transaction of the caller, who has locked what the payment paid for. A person decides what follows.
    """
    difference = taking_in.file_refund(
        DifferenceKind.MISSING_HERE, payout.channel, refund, at=at, day=day, payment_id=payout.payment_id
    )
    if difference.state not in CLOSES_REFUND or difference.payment_id != payout.payment_id:
        # Decided earlier, when nobody knew that it was of this payment: now somebody must look again.
        _file_unexplained(payout, at=at)
    if payout.state in UNDER_WAY:
        told = {"reference": refund.reference, "reason": reason}
        words = _("The bank says it already made this transfer, as %(reference)s. %(reason)s") % told
        settling.give_to_staff(payout, words.strip(), at=at)
    audit.record(payout, "paid_before", by=by, at=at, note=refund.reference, detail=settling.facts(payout))
    return difference
