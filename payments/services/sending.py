"""The worker's way: ask the channel outside any transaction, settle what it said under the job's lease.

The first try sends. Every later one looks the payout's key up first and sends only where the channel has never seen it:
a try that was not answered may have paid, and a channel forgets keys after a while, Stripe after 24 hours. So no key,
least of all one older than 12 hours, is sent again without looking it up.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from core import jobs
from payments import hooks
from payments.channels import AlreadyRefunded, PayoutChannel, Refused, Unanswered, connected
from payments.exceptions import NotInSteps, RefundFound
from payments.models import Payout
from payments.services import settling
from payments.services.already_refunded import hand_over_refunded, is_unexplained, wait_unexplained
from payments.services.outcomes import hand_over, settle
from payments.states import UNDER_WAY, PayoutState

Settled = Callable[[], jobs.TryAgain | jobs.Later | None]


def pay_payout(payload: dict[str, Any], *, at: datetime) -> Settled | None:
    """Job handler: take the payout up, ask its channel, return what settles the answer."""
    channel = connected(Payout.objects.values_list("channel", flat=True).get(pk=payload["payout"]))
    if channel is None:
        return partial(_let_wait, payload["payout"])
    payout, was_sent = _take_up(payload["payout"], at=at)
    if payout.state not in UNDER_WAY or payout.handed_over_at:
        # Settled already, by this job's earlier try or by a person, or with staff: the channel must not be asked.
        return None
    return _ask(payout, channel, was_sent=was_sent, at=at)


def _ask(payout: Payout, channel: PayoutChannel, *, was_sent: bool, at: datetime) -> Settled:
    """Ask the channel, and return what settles its answer. One that was sent is looked up first."""
    try:
        refund = channel.look_up(payout) if was_sent else None
        if refund is None and is_unexplained(payout):
            return _ask_what_went_back(payout, channel, AlreadyRefunded(payout.trouble), at=at)
        if refund is None and (why := _why_not_to_send(payout)):
            return partial(hand_over, {"payout": payout.pk}, why)
        refund = refund or channel.pay_back(payout)
    except Unanswered as error:
        return partial(_settle_unanswered, payout.pk, error, at=at)
    except AlreadyRefunded as error:
        return _ask_what_went_back(payout, channel, error, at=at)
    except Refused as error:
        return partial(_settle_refused, payout.pk, str(error), at=at)
    return partial(settle, payout.pk, refund, at=at)


def _ask_what_went_back(payout: Payout, channel: PayoutChannel, refusal: AlreadyRefunded, *, at: datetime) -> Settled:
    """Money of the payment has gone back already: find out which.

    Where the channel can't say now, a difference is filed all the same: without one, staff could end up giving the
    refund up, and the customer would keep both the money and the certificate.
    """
    try:
        refunds = channel.refunds_of(payout.payment)
    except Unanswered as error:
        return partial(wait_unexplained, payout.pk, error, at=at)
    return partial(hand_over_refunded, payout.pk, refunds, str(refusal), at=at)


def _let_wait(payout_id: int) -> jobs.TryAgain | None:
    """This worker has no connection (any more): the payout waits for one that has, or for a person.

    One that a channel may have seen is not given away: another worker may be connected, else a person gets it at last.
    """
    under_way = Payout.objects.filter(pk=payout_id, state__in=sorted(UNDER_WAY))
    if under_way.filter(first_sent_at=None).update(is_queued=False) or not under_way.exists():
        return None
    return jobs.TryAgain(Unanswered(_("The channel is not configured (any more).")))


def _why_not_to_send(payout: Payout) -> Exception | None:
    """Why a person must take the payout instead; None where it may be sent."""
    if settling.is_found(payout.payment):
        # The channel has given money of the payment back by itself: sending more is not for a machine to decide.
        return RefundFound(settling.FOUND)
    if not settling.is_in_steps(payout):
        return NotInSteps(settling.not_in_steps(payout))
    return None


def _take_up(payout_id: int, *, at: datetime) -> tuple[Payout, bool]:
    """The payout, taken up, and whether the channel may have seen its key."""
    with transaction.atomic():
        payout = settling.lock(payout_id)
        was_sent = payout.first_sent_at is not None
        is_to_send = payout.state in UNDER_WAY and not payout.handed_over_at
        if is_to_send and not (was_sent and payout.state == PayoutState.SENT):
            payout.first_sent_at = payout.first_sent_at or at
            if payout.state != PayoutState.SENT:
                payout.send()
            payout.save()
            hooks.payout_settled(payout, at=at)
        return payout, was_sent


# --- What the channel said ---------------------------------------------------------------------


def _settle_refused(payout_id: int, reason: str, *, at: datetime) -> None:
    payout = settling.lock(payout_id)
    if payout.state in UNDER_WAY:
        settling.fail(payout, reason, by=None, at=at)


def _settle_unanswered(payout_id: int, error: Unanswered, *, at: datetime) -> jobs.TryAgain | None:
    payout = settling.lock(payout_id)
    if payout.state not in UNDER_WAY:
        return None
    if payout.state != PayoutState.UNKNOWN:
        payout.lose_sight()
    payout.trouble = str(error)[: settling.LONGEST_WORDS]
    payout.save()
    return jobs.TryAgain(error)
