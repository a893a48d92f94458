"""Bringing a payout to where its channel's refund is, under the payout's lock."""

from datetime import datetime, timedelta
from typing import Any

from django.db.models.functions import Now
from django.utils.translation import gettext as _

from core import jobs
from core.money import format_money
from payments.channels import ChannelRefund, Outcome, Unanswered
from payments.days import books_day
from payments.exceptions import ReferenceTaken
from payments.models import Payout
from payments.services import settling
from payments.states import UNDER_WAY, PayoutState

# How long until a payout that the channel has taken on is looked up again; a notification is quicker.
PENDING_POLL = timedelta(minutes=15)


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


def hand_over(payload: dict[str, Any], error: Exception) -> None:
    """The job was given up, in the caller's transaction: a person takes the payout on."""
    under_way = Payout.objects.filter(pk=payload["payout"], state__in=sorted(UNDER_WAY))
    under_way.update(handed_over_at=Now(), trouble=str(error)[: settling.LONGEST_WORDS])
