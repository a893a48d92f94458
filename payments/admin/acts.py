"""What staff do to one payout: send it again, or give its refund up. `record_acts` says what was done outside."""

from typing import Any, ClassVar

from django.contrib import messages
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.desk.acts import Act, ActForm, Outcome, long_text
from core.templatetags.console_format import moment
from payments.admin.marks import waits_for
from payments.admin.standing import look_there_first, refund_found_sentence, standing_in_the_way, successor_sentence
from payments.exceptions import MoreThanPaid, NotYours, PayoutMoved, RefundFound
from payments.models import Payout
from payments.services import (
    can_be_sent_again,
    is_in_steps,
    is_to_make_good,
    is_with_staff,
    may_record,
    may_send,
    not_in_steps,
    not_possible,
    payout_token,
    try_again,
)
from payments.states import UNDER_WAY, Channel, PayoutState


class PayoutAct(Act):
    """An act on a payout. Its page carries where the payout stood; `nothing` says that nothing came of it."""

    template = "admin/payments/payout/act.html"
    forbidden = (NotYours,)
    refusals: ClassVar[tuple[type[Exception], ...]] = (PayoutMoved,)
    nothing: ClassVar[Any] = _("Nothing was recorded.")
    thing: Payout

    def may(self) -> bool:
        return may_record(self.thing, self.by)

    def seen(self) -> str:
        return payout_token(self.thing)

    def read_again(self) -> None:
        self.thing = Payout.objects.select_related("payment", "recorded_by").get(pk=self.thing.pk)

    def page(self) -> dict[str, Any]:
        return {"notice": self.notice(), "says": self.says()}

    def notice(self) -> str:
        """What the person must have looked at before."""
        payout = self.thing
        if found := refund_found_sentence(payout):
            return found
        may_have_paid = payout.state in UNDER_WAY and payout.first_sent_at and payout.channel != Channel.BANK
        return look_there_first(payout) if may_have_paid or payout.handed_over_at else ""

    def says(self) -> str:
        """What the act does."""
        return ""

    def prepare(self, form: ActForm) -> None:
        """What a form needs to know of the payout before it is shown."""

    def explain(self, error: Exception, form: ActForm) -> Outcome | None:
        """A refusal that leaves the form of use stands on it, with what was typed."""
        self.read_again()
        if isinstance(error, RefundFound):
            form.add_error(None, f"{self.nothing} {refund_found_sentence(self.thing)}")
            return None
        if isinstance(error, MoreThanPaid):
            form.add_error(None, f"{self.nothing} {gettext('More would go back than was paid in.')}")
            return None
        return super().explain(error, form)

    def why_not(self) -> str:
        return f"{self.nothing} {self._why_not()}"

    def _why_not(self) -> str:
        payout = self.thing
        told = {"payout": payout, "state": payout.get_state_display()}
        if payout.given_up_at:
            return gettext("%(payout)s was given up: the refund behind it has failed.") % told
        if sentence := successor_sentence(payout):
            return sentence
        if payout.state in UNDER_WAY and not is_with_staff(payout):
            return gettext("The console itself pays payouts of this channel, and does so now.")
        if ended_at := payout.returned_at or payout.settled_at:
            told["who"] = payout.recorded_by or gettext("the console")
            told["time"] = moment(ended_at)
            return gettext("%(payout)s reads “%(state)s” since %(time)s, by %(who)s.") % told
        told["state"] = " · ".join(filter(None, [str(told["state"]), str(waits_for(payout))]))
        return gettext("%(payout)s reads “%(state)s”. Look again.") % told


# --- Sending again -----------------------------------------------------------------------------


class TryAgain(PayoutAct):
    """A payout that failed, or that the worker gave up: same record, same key."""

    slug = "try-again"
    title = _("Try the payout again")
    button = submit = _("Try again")
    refusals = (PayoutMoved, RefundFound, MoreThanPaid)
    nothing = _("Nothing was sent.")

    def may(self) -> bool:
        return may_send(self.thing, self.by)

    def is_possible(self) -> bool:
        return self.thing.state != PayoutState.RETURNED and can_be_sent_again(self.thing)

    def notice(self) -> str:
        """None: whoever tries again need not have looked, since the console looks the key up before it sends."""
        return ""

    def _why_not(self) -> str:
        return super()._why_not() if is_in_steps(self.thing) else not_in_steps(self.thing)

    def says(self) -> str:
        words = gettext(
            "It goes out as the same record under the same key: the channel pays it once, however often it is tried."
        )
        if self.thing.handed_over_at:
            words += " " + gettext("The console looks the key up first and sends only what the channel has never seen.")
        return words

    def do(self, form: ActForm) -> Outcome:
        self.thing = try_again(self.thing.pk, by=self.by, at=self.at, seen=form.cleaned_data["seen"])
        told = {"payout": self.thing, "money": self.thing.money}
        return Outcome(gettext("%(payout)s is under way again, under the same key: %(money)s.") % told)


class SendAgain(TryAgain):
    """A payout that came back: another one is ordered in its place, and answers for it from then on."""

    slug = "send-again"
    title = _("Send the payout again")
    button = submit = _("Send again")

    def is_possible(self) -> bool:
        return self.thing.state == PayoutState.RETURNED and can_be_sent_again(self.thing)

    def says(self) -> str:
        return gettext(
            "This payout was paid and came back, so it is over. Another one is ordered in its place, under a new key."
        )

    def do(self, form: ActForm) -> Outcome:
        told = {"old": self.thing}
        self.thing = try_again(self.thing.pk, by=self.by, at=self.at, seen=form.cleaned_data["seen"])
        sentence = gettext("%(payout)s was ordered in place of %(old)s: %(money)s.")
        return Outcome(sentence % {**told, "payout": self.thing, "money": self.thing.money})


# --- Giving up ---------------------------------------------------------------------------------


class ImpossibleForm(ActForm):
    reason = long_text(
        _("Reason"),
        limit=500,
        help_text=_("For staff; it stays in the history. The customer is told that the refund failed."),
        missing=_("Write why the money cannot go back."),
    )


class NotPossible(PayoutAct):
    """The refund behind the payout fails as a whole: only while no part of it was paid or is under way."""

    slug = "not-possible"
    title = _("The money cannot go back")
    button = _("Not possible")
    submit = _("Give the refund up")
    is_danger = True
    form_class = ImpossibleForm
    refusals = (PayoutMoved, RefundFound)
    nothing = _("Nothing was done.")

    def is_possible(self) -> bool:
        return is_to_make_good(self.thing) and not standing_in_the_way(self.thing)

    def says(self) -> str:
        return gettext(
            "The whole refund fails: nothing of it can be sent or recorded any more, the certificate can be used "
            "again, and the customer is told."
        )

    def _why_not(self) -> str:
        parts = standing_in_the_way(self.thing) if is_to_make_good(self.thing) else ""
        return parts or super()._why_not()

    def do(self, form: ActForm) -> Outcome:
        typed = form.cleaned_data
        payout = not_possible(self.thing.pk, typed["reason"], by=self.by, at=self.at, seen=typed["seen"])
        told = {"reference": payout.reference}
        sentence = gettext("%(reference)s has failed: its certificate can be used again, and its customer is told.")
        return Outcome(sentence % told, messages.WARNING)
