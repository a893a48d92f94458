"""How a payout's state is shown, on every page of the desk."""

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from core.templatetags.console_format import chip
from payments.models import Payout
from payments.states import PayoutState

STATE_MARKS = {
    PayoutState.ORDERED: ("busy", "clock"),
    PayoutState.SENT: ("busy", "send"),
    PayoutState.PAID: ("ok", "circle-check"),
    PayoutState.FAILED: ("bad", "triangle-alert"),
    PayoutState.UNKNOWN: ("near", "circle-alert"),
    PayoutState.RETURNED: ("bad", "undo-2"),
}
GIVEN_UP = ("ended", "ban")


def payout_chip(payout: Payout) -> SafeString:
    if payout.given_up_at:
        return chip(_("Given up"), GIVEN_UP)
    return chip(payout.get_state_display(), STATE_MARKS[PayoutState(payout.state)])
