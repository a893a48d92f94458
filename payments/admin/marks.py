"""How a payout's state is shown, on every page of the desk."""

from typing import Any

from django.db.models import Prefetch
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from core.templatetags.console_format import chip
from payments.channels import connected
from payments.models import BankBatch, BatchLine, Payout
from payments.states import UNDER_WAY, Channel, PayoutState

STATE_MARKS = {
    PayoutState.ORDERED: ("busy", "clock"),
    PayoutState.SENT: ("busy", "send"),
    PayoutState.PAID: ("ok", "circle-check"),
    PayoutState.FAILED: ("bad", "triangle-alert"),
    PayoutState.UNKNOWN: ("near", "circle-alert"),
    PayoutState.RETURNED: ("bad", "undo-2"),
}
GIVEN_UP = ("ended", "ban")
MADE_GOOD = ("ended", "undo-2")

# What the marks read of other tables; a batch without its file, which is large and encrypted.
READ_ALONG = (
    Prefetch("successor", Payout.objects.only("reference", "follows")),
    Prefetch("batch_line", BatchLine.objects.select_related("batch").defer("batch__content")),
)


def payout_chip(payout: Payout) -> SafeString:
    """The state as icon and word, and what it waits for where the state alone does not say it."""
    note = waits_for(payout)
    if not note:
        return _state_chip(payout)
    return format_html('{} <span class="chip-note">{}</span>', _state_chip(payout), note)


def _state_chip(payout: Payout) -> SafeString:
    if payout.given_up_at:
        return chip(_("Given up"), GIVEN_UP)
    if successor_of(payout):
        return chip(_("Returned, ordered anew"), MADE_GOOD)
    return chip(payout.get_state_display(), STATE_MARKS[PayoutState(payout.state)])


def waits_for(payout: Payout) -> Any:
    """Why a payout stands where it stands, in three words; empty where its state says it."""
    if batch := batch_of(payout):
        return _("in batch %(batch)s") % {"batch": batch}
    if payout.state not in UNDER_WAY:
        return ""
    if payout.handed_over_at:
        return _("handed to staff")
    if payout.is_queued:
        return ""
    if connected(payout.channel):
        return _("waits for the worker")
    return _("waits: next bank file") if payout.channel == Channel.BANK else _("waits: channel not configured")


def successor_of(payout: Payout) -> Payout | None:
    """The payout that was ordered in place of one that came back."""
    return getattr(payout, "successor", None) if payout.state == PayoutState.RETURNED else None


def batch_of(payout: Payout) -> BankBatch | None:
    """The bank's file that a payout is in."""
    line = getattr(payout, "batch_line", None) if payout.channel == Channel.BANK else None
    return line.batch if line else None
