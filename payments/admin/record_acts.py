"""What staff record about a payout that was paid, refused or sent back outside the console."""

from collections.abc import Callable
from datetime import date
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.csv_cells import damage_reason
from core.desk.acts import ActForm, Outcome, long_text
from core.forms import CodeField
from payments.admin.acts import PayoutAct
from payments.days import books_day, zone_name
from payments.exceptions import AmountsDiffer, MoreThanPaid, PayoutMoved, ReferenceTaken, RefundFound
from payments.models import Difference, Payout
from payments.services import (
    can_be_recorded,
    can_have_come_back,
    is_with_staff,
    record_failed,
    record_paid,
    record_returned,
)
from payments.services.differences import found_as
from payments.states import Channel, PayoutState


class WrongDay(Exception):
    """The day typed cannot be the one on which the channel booked the payout; the message says why."""


def _whole_number(reference: str) -> None:
    """Refuses what was copied from a spreadsheet after it had damaged the number. Raises ValidationError."""
    if damage_reason(reference):
        raise ValidationError(_("A spreadsheet has damaged this number. Copy it from the channel's own records."))


class PaidForm(ActForm):
    external_reference = CodeField(
        label=_("Outside reference"),
        max_length=200,
        validators=[_whole_number],
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text=_("The number under which the channel's own books have this payout. Each can be used once."),
        error_messages={"required": _("Enter the outside reference: without it nobody finds the payout again.")},
    )
    day = forms.DateField(
        label=_("Day in the channel's books"),
        required=False,
        input_formats=["%Y-%m-%d"],
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
        error_messages={"invalid": _("Enter a day as YYYY-MM-DD.")},
    )


class RecordPaid(PayoutAct):
    slug = "record-paid"
    title = _("Record the payout as paid")
    button = submit = _("Record as paid")
    form_class = PaidForm
    refusals = (PayoutMoved, ReferenceTaken, AmountsDiffer, MoreThanPaid, RefundFound, WrongDay)

    def is_possible(self) -> bool:
        """A balance is kept here alone: nobody pays into it outside."""
        return self.thing.channel != Channel.BALANCE and can_be_recorded(self.thing)

    def says(self) -> str:
        if self.thing.state == PayoutState.RETURNED:
            return gettext("This payout came back. What was paid instead is recorded as another one in its place.")
        return ""

    def prepare(self, form: ActForm) -> None:
        told = {"zone": zone_name(self.thing.channel)}
        # The form has made its field's shape already where it was sent: said to both.
        day = form["day"]
        day.help_text = gettext("A day in %(zone)s, as this channel's books count. Empty means today.") % told
        day.field.help_text = day.help_text
        day.field.widget.attrs.update({"min": self.first_day().isoformat(), "max": self.today().isoformat()})
        form.initial.setdefault("day", self.today())

    def today(self) -> date:
        return books_day(self.thing.channel, self.at)

    def first_day(self) -> date:
        """Before it was ordered it cannot have been paid, nor what makes it good before it was paid itself."""
        return self.thing.booked_on or books_day(self.thing.channel, self.thing.ordered_at)

    def do(self, form: ActForm) -> Outcome:
        typed = form.cleaned_data
        day, reference = typed["day"], typed["external_reference"]
        if not found_as(self.thing, reference):
            self._require_fitting(day)
        self.thing = record_paid(self.thing.pk, reference, by=self.by, at=self.at, day=day, seen=typed["seen"])
        told = {"payout": self.thing, "money": self.thing.money}
        return Outcome(gettext("%(payout)s is recorded as paid: %(money)s went back.") % told)

    def _require_fitting(self, day: date | None) -> None:
        told = {"today": self.today(), "zone": zone_name(self.thing.channel), "first": self.first_day()}
        if day and day > self.today():
            raise WrongDay(gettext("This day is still to come: in %(zone)s it is %(today)s.") % told)
        if day and day < self.first_day():
            raise WrongDay(gettext("It cannot have been paid before it was ordered, on %(first)s (%(zone)s).") % told)

    def explain(self, error: Exception, form: ActForm) -> Outcome | None:
        if isinstance(error, ReferenceTaken):
            form.add_error(
                "external_reference", gettext("Another payout of this channel carries this reference already.")
            )
            return None
        if isinstance(error, AmountsDiffer):
            form.add_error("external_reference", self._other_amount(error.difference))
            return None
        if isinstance(error, WrongDay):
            form.add_error("day", str(error))
            return None
        return super().explain(error, form)

    def _other_amount(self, difference: Difference) -> str:
        words = gettext(
            "The channel's refund under this number is of %(money)s, and this payout is of %(payout)s. Keep "
            "%(difference)s or explain it; until it is explained, the payout waits."
        )
        return words % {"money": difference.money, "payout": self.thing.money, "difference": difference}


class FailedForm(ActForm):
    reason = long_text(
        _("Reason"),
        limit=500,
        help_text=_("What the channel answered. For staff; it stays in the history."),
        missing=_("Write what the channel answered."),
    )


class RecordByReason(PayoutAct):
    """Records with a reason, for staff, that money did not reach its customer."""

    is_danger = True
    form_class = FailedForm
    record: Callable[..., Payout]
    recorded: Any

    def do(self, form: ActForm) -> Outcome:
        typed = form.cleaned_data
        payout = self.record(self.thing.pk, typed["reason"], by=self.by, at=self.at, seen=typed["seen"])
        return Outcome(self.recorded % {"payout": payout}, messages.WARNING)


class RecordFailed(RecordByReason):
    slug = "record-failed"
    title = _("Record the payout as failed")
    button = submit = _("Record as failed")
    record = staticmethod(record_failed)
    recorded = _("%(payout)s is recorded as failed.")

    def is_possible(self) -> bool:
        return is_with_staff(self.thing)

    def says(self) -> str:
        words = gettext("Its amount counts as here again, and may be sent once more.")
        if self.thing.channel == Channel.BANK:
            words += " " + gettext(
                "If the bank says it already made this transfer, record the payout as paid under that "
                "transfer's number instead."
            )
        return words


class RecordReturned(RecordByReason):
    """Money paid outside that came back, as banks say days later."""

    slug = "record-returned"
    title = _("Record that the money came back")
    button = submit = _("Record as returned")
    record = staticmethod(record_returned)
    recorded = _("%(payout)s is recorded as returned.")

    def is_possible(self) -> bool:
        return can_have_come_back(self.thing)

    def says(self) -> str:
        return gettext("The refund is open again, its customer reads so, and the money is to be sent once more.")
