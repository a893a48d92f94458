"""What staff decide about a difference: it's a request's payout, it has no request, or it's explained."""

from functools import cached_property
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.desk.acts import Act, ActForm, Outcome, long_text
from core.templatetags.console_format import moment
from payments import hooks
from payments.admin.difference_facts import money_facts
from payments.exceptions import MoreThanPaid, NotYours
from payments.models import Difference
from payments.services import (
    Candidate,
    DifferenceMoved,
    NoteMissing,
    can_be_confirmed,
    can_be_dismissed,
    can_be_kept,
    confirm_difference,
    difference_token,
    dismiss_difference,
    keep_difference,
    may_resolve,
)
from payments.states import CLOSES_REFUND, DifferenceKind


def candidates_of(difference: Difference) -> list[Candidate]:
    return hooks.refund_candidates(difference) if can_be_confirmed(difference) else []


class DifferenceAct(Act):
    """An act on a difference. Its page carries the state it showed."""

    template = "admin/payments/difference/act.html"
    forbidden = (NotYours,)
    refusals: ClassVar[tuple[type[Exception], ...]] = (DifferenceMoved,)
    thing: Difference

    def may(self) -> bool:
        return may_resolve(self.thing, self.by)

    def seen(self) -> str:
        return difference_token(self.thing)

    def read_again(self) -> None:
        self.thing = Difference.objects.select_related("payment", "payout", "resolved_by").get(pk=self.thing.pk)

    def page(self) -> dict[str, Any]:
        return {"facts": money_facts(self.thing), "says": self.says()}

    def says(self) -> str:
        """What the act does."""
        return ""

    def prepare(self, form: ActForm) -> None:
        """What the form needs to know of the difference before it is shown."""

    @cached_property
    def candidates(self) -> list[Candidate]:
        return candidates_of(self.thing)

    def explain(self, error: Exception, form: ActForm) -> Outcome | None:
        self.read_again()
        if isinstance(error, MoreThanPaid):
            form.add_error(None, gettext("Nothing was done: more would have gone back than was paid in."))
            return None
        if self.thing.state in CLOSES_REFUND:
            return Outcome(gettext("Nothing was done: what was chosen does not fit any more."), messages.WARNING)
        return super().explain(error, form)

    def why_not(self) -> str:
        difference = self.thing
        told = {"difference": difference, "state": difference.get_state_display()}
        if difference.state in CLOSES_REFUND and not difference.resolved_at:
            return gettext("Nothing was done: this cannot be done to %(difference)s.") % told
        told["who"] = difference.resolved_by or gettext("the console")
        told["time"] = moment(difference.resolved_at)
        return gettext("Nothing was done: %(difference)s reads “%(state)s” since %(time)s, by %(who)s.") % told


class ConfirmForm(ActForm):
    candidate = forms.CharField(
        label=_("Request"),
        widget=forms.Select,
        error_messages={"required": _("Choose the request that this refund belongs to.")},
    )


class Confirm(DifferenceAct):
    slug = "confirm"
    title = _("Confirm the channel's refund")
    button = submit = _("Confirm")
    form_class = ConfirmForm
    refusals = (DifferenceMoved, MoreThanPaid)

    def requests(self) -> list[tuple[str, str]]:
        return [(each.id, each.label) for each in self.candidates if each.is_request]

    def is_possible(self) -> bool:
        return bool(self.requests())

    def says(self) -> str:
        return gettext(
            "The request is refunded, with the channel's refund as its payout: no other money goes back for it, and "
            "its customer is told. This cannot be undone."
        )

    def prepare(self, form: ActForm) -> None:
        requests = self.requests()
        choose = [] if len(requests) == 1 else [("", gettext("Choose a request"))]
        form.fields["candidate"].widget.choices = [*choose, *requests]

    def why_not(self) -> str:
        if not can_be_confirmed(self.thing):
            return super().why_not()
        return gettext(
            "Nothing was done: no request under review is of this payment and this amount. A request that was paid by "
            "several payments can be confirmed once a refund of each was found."
        )

    def do(self, form: ActForm) -> Outcome:
        request = form.cleaned_data["candidate"]
        confirm_difference(self.thing.pk, request, by=self.by, at=self.at, seen=form.cleaned_data["seen"])
        return Outcome(gettext("%(request)s is refunded: the channel had given the money back.") % {"request": request})


class KeepForm(ActForm):
    assigned_to = forms.CharField(
        label=_("Certificate"),
        required=False,
        max_length=100,
        widget=forms.Select,
        help_text=_(
            "Its Refund action stays closed. Where nobody knows which it is, it is closed for every certificate of "
            "the payment whose part is this amount, else for all."
        ),
    )
    note = long_text(_("Note"), limit=500, required=False, help_text=_("For staff; it stays in the history."))


class Keep(DifferenceAct):
    slug = "keep"
    title = _("Keep as unmatched")
    button = submit = _("Keep as unmatched")
    form_class = KeepForm

    def is_possible(self) -> bool:
        return can_be_kept(self.thing)

    def says(self) -> str:
        return gettext("The refund is right and has no request. It leaves this list, and goes on closing Refund.")

    def prepare(self, form: ActForm) -> None:
        certificates = [(each.id, each.label) for each in self.candidates if not each.is_request]
        form.fields["assigned_to"].widget.choices = [("", gettext("Not known")), *certificates]
        if len(certificates) == 1:
            form.initial.setdefault("assigned_to", certificates[0][0])

    def do(self, form: ActForm) -> Outcome:
        told = form.cleaned_data
        kept = keep_difference(
            self.thing.pk,
            assigned_to=told["assigned_to"],
            note=told["note"],
            by=self.by,
            at=self.at,
            seen=told["seen"],
        )
        return Outcome(gettext("%(difference)s is kept as unmatched.") % {"difference": kept})


class DismissForm(ActForm):
    note = long_text(
        _("Explanation"),
        limit=500,
        help_text=_("For staff; it stays in the history."),
        missing=_("Write how the difference is explained."),
    )


class Dismiss(DifferenceAct):
    slug = "dismiss"
    title = _("Explain the difference")
    button = _("Explain")
    submit = _("Mark as explained")
    is_danger = True
    form_class = DismissForm
    refusals = (DifferenceMoved, NoteMissing)

    def is_possible(self) -> bool:
        return can_be_dismissed(self.thing)

    def says(self) -> str:
        if self.thing.kind == DifferenceKind.MISSING_HERE:
            return gettext("Nothing follows from it any more: what the payment paid for can be refunded again.")
        return gettext("Nothing follows from it any more, however often the books are compared again.")

    def do(self, form: ActForm) -> Outcome:
        told = form.cleaned_data
        dismissed = dismiss_difference(self.thing.pk, told["note"], by=self.by, at=self.at, seen=told["seen"])
        return Outcome(gettext("%(difference)s is explained.") % {"difference": dismissed})
