"""The worker's way: ask the channel outside any transaction, settle what it said under the job's lease.

The first try sends. Every later one looks the payout's key up first and sends only where the channel has never seen it:
a try that was not answered may have paid, and a channel forgets keys after a while, Stripe after 24 hours. So no key,
least of all one older than 12 hours, is sent again without looking it up.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from core import jobs
from core.money import format_money
from payments import hooks
from payments.channels import ChannelRefund, Outcome, Refused, Unanswered, connected
from payments.days import books_day
from payments.exceptions import NotInSteps, ReferenceTaken, RefundFound
from payments.models import Payout
from payments.services import settling
from payments.states import UNDER_WAY, PayoutState

Settled = Callable[[], jobs.TryAgain | jobs.Later | None]

# How long until a payout that the channel has taken on is looked up again; a notification is quicker.
PENDING_POLL = timedelta(minutes=15)


def pay_payout(payload: dict[str, Any], *, at: datetime) -> Settled | None:
    """Job handler: take the payout up, ask its channel, return what settles the answer."""
    channel = connected(Payout.objects.values_list("channel", flat=True).get(pk=payload["payout"]))
    if channel is None:
        return partial(_let_wait, payload["payout"])
    payout, was_sent = _take_up(payload["payout"], at=at)
    if payout.state not in UNDER_WAY or payout.handed_over_at:
        # Settled already, by this job's earlier try or by a person, or with staff: the channel must not be asked.
        return None
    try:
        refund = channel.look_up(payout) if was_sent else None
        if refund is None and (why := _why_not_to_send(payout)):
            return partial(hand_over, {"payout": payout.pk}, why)
        refund = refund or channel.pay_back(payout)
    except Unanswered as error:
        return partial(_settle_unanswered, payout.pk, error, at=at)
    except Refused as error:
        return partial(_settle_refused, payout.pk, str(error), at=at)
    return partial(settle, payout.pk, refund, at=at)


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


def settle(payout_id: int, refund: ChannelRefund, *, at: datetime) -> jobs.TryAgain | jobs.Later | None:
    """Bring the payout to where the channel's refund is. Repeated, or overtaken by another, it changes nothing more."""
    balance = settling.lock_balance_for(payout_id)
    payout = settling.lock(payout_id)
    if (refund.amount, refund.currency) != (payout.amount, payout.currency):
        _hand_over_odd_amount(payout, refund)
        return None
    if refund.outcome != Outcome.FAILED and is_reference_of_another(payout, refund):
        hand_over({"payout": payout.pk}, ReferenceTaken(_("Its reference at the channel stands at another payout.")))
        return None
    if refund.outcome == Outcome.PENDING:
        return _wait_for(payout, refund)
    if refund.outcome == Outcome.PAID and payout.state in UNDER_WAY:
        day = books_day(payout.channel, refund.at or at)
        # Whoever handed it over, perhaps before a backup was played back: the channel has seen the key.
        payout.first_sent_at = payout.first_sent_at or at
        settling.pay(payout, balance, external_reference=refund.reference, by=None, at=at, day=day)
    elif refund.outcome == Outcome.FAILED and payout.state in UNDER_WAY:
        settling.fail(payout, refund.reason, by=None, at=at)
    elif refund.outcome == Outcome.FAILED and payout.state == PayoutState.PAID:
        settling.take_back(payout, refund.reason, by=None, at=at)
    return None


def is_reference_of_another(payout: Payout, refund: ChannelRefund) -> bool:
    """Whether somebody wrote the refund's number down for another payout."""
    return settling.others_under(refund.reference, payout).filter(channel=payout.channel).exists()


def _wait_for(payout: Payout, refund: ChannelRefund) -> jobs.Later | None:
    if payout.state not in UNDER_WAY:
        return None
    if payout.state != PayoutState.SENT:
        payout.send()
    payout.external_reference, payout.trouble = refund.reference, ""
    payout.save()
    return jobs.Later(PENDING_POLL)


def _hand_over_odd_amount(payout: Payout, refund: ChannelRefund) -> None:
    """The channel gave another amount back than was ordered: nothing that a machine should settle."""
    if payout.state in UNDER_WAY:
        told = {"reference": refund.reference, "money": format_money(refund.amount, refund.currency)}
        words = _("The channel's refund %(reference)s is of another amount: %(money)s.") % told
        hand_over({"payout": payout.pk}, Unanswered(words))


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


def hand_over(payload: dict[str, Any], error: Exception) -> None:
    """The job was given up, in the caller's transaction: a person takes the payout on."""
    under_way = Payout.objects.filter(pk=payload["payout"], state__in=sorted(UNDER_WAY))
    under_way.update(handed_over_at=Now(), trouble=str(error)[: settling.LONGEST_WORDS])
