"""What staff record of a payout that was made, or failed, outside the console."""

from django import forms
from django.contrib import messages
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.desk.acts import Act, ActForm, Outcome, long_text
from core.templatetags.console_format import moment
from payments.channels import connected
from payments.exceptions import MoreThanPaid, NotYours, PayoutMoved, ReferenceTaken
from payments.models import Payout
from payments.services import may_record, record_failed, record_paid
from payments.states import UNDER_WAY, PayoutState


class PayoutAct(Act):
    """An act on a payout. Its page carries the state it showed."""

    template = "admin/payments/payout/act.html"
    forbidden = (NotYours,)
    thing: Payout

    def may(self) -> bool:
        return may_record(self.thing, self.by)

    def is_possible(self) -> bool:
        is_for_staff = connected(self.thing.channel) is None and not self.thing.given_up_at
        return is_for_staff and self.thing.state in self.states

    states: frozenset[str] = UNDER_WAY

    def seen(self) -> str:
        return self.thing.state

    def explain(self, error: Exception, form: ActForm) -> Outcome | None:
        self.thing = Payout.objects.select_related("recorded_by").get(pk=self.thing.pk)
        return super().explain(error, form)

    def why_not(self) -> str:
        payout = self.thing
        told = {"payout": payout, "state": payout.get_state_display(), "time": moment(payout.settled_at)}
        if connected(payout.channel):
            return gettext("Nothing was recorded: the console itself pays payouts of this channel.")
        if payout.settled_at:
            told["who"] = payout.recorded_by or gettext("the console")
            return gettext("Nothing was recorded: %(payout)s reads “%(state)s” since %(time)s, by %(who)s.") % told
        return gettext("Nothing was recorded: %(payout)s reads “%(state)s”. Look again.") % told


class PaidForm(ActForm):
    external_reference = forms.CharField(
        label=_("Outside reference"),
        max_length=200,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text=_("The number under which the channel's own books have this payout. Each can be used once."),
        error_messages={"required": _("Enter the outside reference: without it nobody finds the payout again.")},
    )


class RecordPaid(PayoutAct):
    slug = "record-paid"
    title = _("Record the payout as paid")
    button = submit = _("Record as paid")
    form_class = PaidForm
    refusals = (PayoutMoved, ReferenceTaken, MoreThanPaid)
    states = UNDER_WAY | {PayoutState.FAILED}

    def do(self, form: ActForm) -> Outcome:
        payout = record_paid(self.thing.pk, form.cleaned_data["external_reference"], by=self.by, at=self.at)
        told = {"payout": payout, "money": payout.money}
        return Outcome(gettext("%(payout)s is recorded as paid: %(money)s went back.") % told)

    def explain(self, error: Exception, form: ActForm) -> Outcome | None:
        if isinstance(error, ReferenceTaken):
            form.add_error(
                "external_reference", gettext("Another payout of this channel carries this reference already.")
            )
            return None
        if isinstance(error, MoreThanPaid):
            return Outcome(gettext("Nothing was recorded: more would go back than was paid in."), messages.ERROR)
        return super().explain(error, form)


class FailedForm(ActForm):
    reason = long_text(
        _("Reason"),
        limit=500,
        help_text=_("What the channel answered. For staff; it stays in the history."),
        missing=_("Write what the channel answered."),
    )


class RecordFailed(PayoutAct):
    slug = "record-failed"
    title = _("Record the payout as failed")
    button = submit = _("Record as failed")
    is_danger = True
    form_class = FailedForm
    refusals = (PayoutMoved,)

    def do(self, form: ActForm) -> Outcome:
        payout = record_failed(self.thing.pk, form.cleaned_data["reason"], by=self.by, at=self.at)
        return Outcome(gettext("%(payout)s is recorded as failed.") % {"payout": payout}, messages.WARNING)
