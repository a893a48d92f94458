"""Where a payout stands, in sentences: why, and what a person does now."""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from core.models import Job, User
from core.templatetags.console_format import moment
from payments.admin.marks import batch_of, successor_of
from payments.channels import connected, missing_settings
from payments.models import Difference, Payout
from payments.services import (
    can_be_sent_again,
    can_have_come_back,
    is_in_steps,
    is_involved,
    is_to_make_good,
    is_with_staff,
    not_in_steps,
)
from payments.states import UNDER_WAY, Channel, DifferenceKind, DifferenceState, PayoutState


@dataclass(frozen=True)
class Advice:
    """What a payout's page says above everything else."""

    sentence: str
    is_warning: bool = False


def advice_for(payout: Payout) -> list[Advice]:
    """What stands in the way, and what is to be done now; empty where it is over."""
    if payout.given_up_at:
        return [Advice(_("Given up: the refund behind it has failed, and nothing more is sent or recorded."))]
    if sentence := successor_sentence(payout):
        return [Advice(sentence)]
    if payout.state in UNDER_WAY:
        found = refund_found_sentence(payout)
        return [Advice(found, is_warning=True)] if found else [_under_way(payout)]
    if is_to_make_good(payout):
        return _to_make_good(payout)
    if can_have_come_back(payout):
        return [Advice(_("Paid. Should the money come back, as banks say days later, record it as returned."))]
    return []


# --- Under way ---------------------------------------------------------------------------------


def _under_way(payout: Payout) -> Advice:
    if is_with_staff(payout) and not is_in_steps(payout):
        return Advice(not_in_steps(payout), is_warning=True)
    if payout.handed_over_at:
        return Advice(look_there_first(payout), is_warning=True)
    return Advice(_by_the_console(payout) if payout.is_queued else _by_hand(payout))


def look_there_first(payout: Payout) -> str:
    """For a payout that may have been paid, though nobody here knows."""
    if not is_in_steps(payout):
        return not_in_steps(payout)
    words = _(
        "The channel may have paid this already. Before you record anything, look into the channel's own books for "
        "the key %(key)s and the payment %(payment)s: paid there, record it as paid under the number it has there; "
        "certainly not there, try again."
    )
    if payout.channel == Channel.BALANCE:
        words = _(
            "The console could not pay this by itself. Look why under the jobs that need a person, then try again."
        )
    return words % {"key": payout.key, "payment": payout.payment}


def _by_hand(payout: Payout) -> str:
    if batch := batch_of(payout):
        words = _(
            "It is in %(batch)s and never in another file. Record what the bank says, or import the bank's answer."
        )
        return words % {"batch": batch}
    if payout.channel == Channel.BANK:
        return _("It goes into the next file for the bank. Transferred by hand instead, it is recorded as paid.")
    if payout.first_sent_at:
        return look_there_first(payout)
    if connected(payout.channel):
        return _(
            "The console sends it by itself as soon as a worker runs. Made outside before, it is recorded as paid."
        )
    words = _(
        "The channel is not configured%(missing)s, so this payout waits. Once it is, the console sends it by itself; "
        "until then it can be made outside and recorded as paid."
    )
    missing = ", ".join(missing_settings(payout.channel))
    return words % {"missing": _(" (missing: %(names)s)") % {"names": missing} if missing else ""}


def _by_the_console(payout: Payout) -> str:
    if payout.state == PayoutState.UNKNOWN:
        return _(
            "The channel gave no answer, so it may have paid or not. The console asks it again by itself; nothing is "
            "to be done, and nothing can be recorded meanwhile."
        )
    if payout.external_reference:
        return _("The channel has taken it on and says later how it ended. The console asks again by itself.")
    return _("The console pays this channel by itself: there is nothing to record.")


# --- With us again -----------------------------------------------------------------------------


def _to_make_good(payout: Payout) -> list[Advice]:
    found, part = refund_found_sentence(payout), standing_in_the_way(payout)
    first = Advice(found, is_warning=True) if found else Advice(_what_now(payout))
    return [first, Advice(part)] if part else [first]


def _what_now(payout: Payout) -> str:
    if not is_in_steps(payout):
        return not_in_steps(payout)
    if payout.state == PayoutState.RETURNED:
        return _(
            "It was paid and came back. Send it again, which orders another payout in its place, or make it outside "
            "and record that as paid."
        )
    if not can_be_sent_again(payout):
        return _(
            "It was in a file for the bank, so it is not sent again: the bank may still act on that file. Transfer it "
            "by hand once the bank has said that it did not, and record it as paid."
        )
    return _("Try it again, under the same record and key, or make it outside and record it as paid.")


def standing_in_the_way(payout: Payout) -> str:
    """Why “Not possible” cannot be said: the parts of the refund that were paid or are under way; empty without any."""
    parts = Payout.objects.current().filter(reference=payout.reference).exclude(pk=payout.pk).order_by("pk")
    named = [_part(part) for part in parts if not is_to_make_good(part)]
    if not named:
        return ""
    words = _("The refund cannot be given up, since a part of it was paid or is under way: %(parts)s.")
    return words % {"parts": "; ".join(named)}


def _part(payout: Payout) -> str:
    told = {"money": payout.money, "channel": payout.get_channel_display(), "state": payout.get_state_display()}
    return f"{payout} " + _("(%(money)s, %(channel)s, %(state)s)") % told


def refund_found(payout: Payout) -> Difference | None:
    """What closes every other refund of the payment: one that the channel made by itself.

    One that says how much before one that doesn't, and one that waits for a decision before one that was kept.
    """
    closing = Difference.objects.closing_refunds().filter(payment=payout.payment_id)
    return min(
        closing, key=lambda each: (each.amount is None, each.state == DifferenceState.KEPT, each.pk), default=None
    )


def refund_found_sentence(payout: Payout) -> str:
    """What `refund_found` means for this payout; empty without one."""
    found = refund_found(payout)
    if found is None:
        return ""
    told = {
        "money": found.money,
        "difference": found,
        "reference": found.external_reference or "–",
        "payout": payout.money,
        "key": payout.key,
    }
    return f"{_what_was_found(payout, found) % told} {_what_then(payout, found) % told}"


def _what_was_found(payout: Payout, found: Difference) -> str:
    if found.amount is None:
        return _(
            "The channel refused the payout because money of this payment has already been refunded, but didn't say "
            "which refund it means (%(difference)s)."
        )
    if found.payout_id == payout.pk and found.kind == DifferenceKind.DIFFERENT_STATE:
        return _("The channel says that it has paid %(money)s as %(reference)s (%(difference)s).")
    return _("The channel itself gave %(money)s of this payment back (%(difference)s, %(reference)s).")


def _what_then(payout: Payout, found: Difference) -> str:
    """The way on from a refund found. Nothing is sent or given up meanwhile, else it would go back twice."""
    if found.amount is None:
        return _(
            "Look in the channel's own books for refunds of this payment. If this payout is among them, record it as "
            "paid under the number it has there, which settles the difference. Otherwise explain the difference first."
        )
    if (found.amount, found.currency) == (payout.amount, payout.currency):
        return _(
            "If that is this refund, record the payout as paid under %(reference)s, which settles the difference. "
            "Otherwise explain the difference; until then nothing is sent or given up, since it would go back twice."
        )
    if found.state == DifferenceState.OPEN:
        return _(
            "That isn't the %(payout)s of this payout, so keep the difference, or explain it if it has nothing to do "
            "with this refund. The payout waits; sent now, money would go back twice."
        )
    return _(
        "That isn't the %(payout)s of this payout, and the difference is kept, so the payout waits. Give the customer "
        "what is still missing, then explain the difference and record the payout as paid under the number of that "
        "transfer. If the refund has nothing to do with this payout, explain the difference and go on as usual."
    )


def successor_sentence(payout: Payout) -> str:
    """Where to go on from a payout that came back and was ordered anew; empty for any other."""
    successor = successor_of(payout)
    if successor is None:
        return ""
    return _("It came back, and %(successor)s was ordered in its place: go on there.") % {"successor": successor}


# --- The worker, and the person ----------------------------------------------------------------


def job_state(payout: Payout) -> str:
    """What the worker does about a payout that it was given; empty for one that it was not."""
    job = Job.objects.filter(key=f"pay_payout:{payout.key}").first() if payout.is_queued else None
    if job is None:
        return ""
    told = {"time": moment(job.run_at), "tries": job.attempts}
    if job.state == Job.State.GIVEN_UP:
        return _("given up after %(tries)s tries") % told
    if job.state != Job.State.QUEUED:
        return _("done")
    if job.leased_until:
        return _("being tried now")
    return _("next try at %(time)s, after %(tries)s") % told if job.attempts else _("queued for %(time)s") % told


def why_no_buttons(payout: Payout, by: User) -> str:
    """Why this person finds no buttons, where another one would."""
    is_cashier = by.has_perm("payments.record_payout") or by.has_perm("payments.send_payout")
    is_open = is_with_staff(payout) or is_to_make_good(payout) or can_have_come_back(payout)
    if not is_cashier or not is_open or not is_involved(payout, by):
        return ""
    if by.pk == payout.approved_by_id:
        return _("You approved this refund: somebody else sends, records or releases its payout.")
    return _("The money goes to your own account: somebody else sends, records or releases its payout.")
