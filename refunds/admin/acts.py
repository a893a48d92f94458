"""What staff may do to one request, each on a page of its own."""

from typing import Any

from django.contrib import messages
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.desk.acts import Act, ActForm, Outcome, long_text
from payments.exceptions import MoreThanPaid, NotYours, PayoutMoved, RefundFound
from payments.models import Payout
from payments.services import is_to_make_good, may_record
from refunds.admin import words
from refunds.admin.page import money_of
from refunds.admin.story import what_happened, why_not_approved
from refunds.exceptions import (
    FactsChanged,
    InvalidReason,
    MayNotDecide,
    NotRefundable,
    RefundedOutside,
    RequestMoved,
)
from refunds.models import LONGEST_ANSWER, RefundRequest
from refunds.rules.facts import facts_of
from refunds.services import approve_refund, fail_refund, may_decide, reject_refund, review_token
from refunds.services.preview import Check, Effect, preview_approval
from refunds.states import RequestState


class RequestAct(Act):
    """An act on a request. Its page carries `review_token`, so that nobody decides on what is no longer so."""

    template = "admin/refunds/refundrequest/act.html"
    thing: RefundRequest

    def seen(self) -> str:
        return review_token(self.thing, facts_of(self.thing.certificate))

    def read_again(self) -> None:
        stored = RefundRequest.objects.select_related("certificate__order", "certificate__product")
        self.thing = stored.get(pk=self.thing.pk)

    def page(self) -> dict[str, Any]:
        return {"money": money_of(self.thing), "lapses": bool(self.preview.lapse_cause), "notice": self.notice()}

    @property
    def preview(self) -> Check:
        return preview_approval(self.thing, by=self.by, at=self.at)

    def notice(self) -> str:
        """What the person should know before deciding."""
        return why_not_approved(self.thing, self.preview)


class Decision(RequestAct):
    forbidden = (MayNotDecide,)
    refusals = (RequestMoved, NotRefundable, RefundedOutside, MoreThanPaid, InvalidReason)

    def may(self) -> bool:
        return may_decide(self.thing, self.by)

    def why_not(self) -> str:
        if self.thing.state == RequestState.UNDER_REVIEW:
            return why_not_approved(self.thing, self.preview)
        told = {"request": self.thing, "what": what_happened(self.thing)}
        return gettext("%(request)s is no longer under review, so nothing was done. %(what)s") % told

    def explain(self, error: Exception, form: ActForm) -> Outcome | None:
        self.read_again()
        return Outcome(self._explanation(error), messages.WARNING)

    def _explanation(self, error: Exception) -> str:
        if isinstance(error, MoreThanPaid):
            return gettext("Nothing was done: more would go back than was paid in.")
        is_still_open = self.thing.state == RequestState.UNDER_REVIEW
        if isinstance(error, FactsChanged) and is_still_open and self.preview.does_something:
            return gettext("Nothing was done: the certificate has changed since the page was opened. Look again.")
        return gettext("Nothing was done.") + " " + self.why_not() if is_still_open else self.why_not()

    def outcome(self, request: RefundRequest, sentence: str) -> Outcome:
        """What came of a decision: what was decided, or that the request lapsed over it."""
        if request.state != RequestState.LAPSED:
            return Outcome(sentence % {"request": request, "money": request.money})
        told = {"request": request, "cause": request.get_lapse_cause_display()}
        return Outcome(gettext("%(request)s has lapsed: %(cause)s. No money goes back.") % told, messages.WARNING)


class ApproveForm(ActForm):
    note = long_text(
        _("Note"),
        limit=LONGEST_ANSWER,
        required=False,
        help_text=_("Optional, for staff alone. It stays in the history."),
    )


class Approve(Decision):
    slug = "approve"
    title = _("Approve the refund")
    button = submit = _("Approve")
    form_class = ApproveForm

    def is_possible(self) -> bool:
        return self.preview.does_something

    def do(self, form: ActForm) -> Outcome:
        told = form.cleaned_data
        request = approve_refund(self.thing.pk, seen=told["seen"], by=self.by, at=self.at, note=told["note"])
        if request.state == RequestState.APPROVED and request.certificate.closing_since:
            sentence = gettext("%(request)s is approved. %(money)s go back once the application is closed.")
        else:
            sentence = gettext("%(request)s is approved. %(money)s are on the way back.")
        return self.outcome(request, sentence)


class RejectForm(ActForm):
    answer = long_text(
        _("Reason"),
        limit=LONGEST_ANSWER,
        help_text=_("The customer reads it in the console and gets it by email."),
        missing=_("Write the reason: the customer reads it."),
    )


class Reject(Decision):
    slug = "reject"
    title = _("Reject the refund")
    button = submit = _("Reject")
    is_danger = True
    form_class = RejectForm

    def is_possible(self) -> bool:
        return self.thing.state == RequestState.UNDER_REVIEW and self.preview.effect != Effect.UNDECIDABLE

    def notice(self) -> str:
        return super().notice() if self.preview.lapse_cause else ""

    def do(self, form: ActForm) -> Outcome:
        told = form.cleaned_data
        request = reject_refund(self.thing.pk, answer=told["answer"], seen=told["seen"], by=self.by, at=self.at)
        return self.outcome(request, gettext("%(request)s is rejected, and its customer is told why."))


class FailForm(ActForm):
    reason = long_text(
        _("Reason"),
        limit=500,
        help_text=_("For staff; it stays in the history. The customer is told that the refund failed."),
        missing=_("Write why the money cannot go back."),
    )


class Fail(RequestAct):
    """All payouts have failed or came back: the refund is given up, and the certificate can be used again."""

    slug = "fail"
    title = _("The refund failed")
    button = _("The refund failed…")
    submit = _("Give the refund up")
    is_danger = True
    form_class = FailForm
    forbidden = (NotYours,)
    refusals = (RequestMoved, PayoutMoved, RefundFound, InvalidReason)

    def payouts(self) -> list[Payout]:
        return list(Payout.objects.current().filter(reference=self.thing.reference).select_related("payment"))

    def may(self) -> bool:
        """Recording that money cannot go back is a cashier's act; before payouts exist there is nothing to record."""
        payouts = self.payouts()
        is_cashier = self.by.is_active and self.by.has_perm("payments.record_payout")
        return is_cashier and all(may_record(payout, self.by) for payout in payouts)

    def is_possible(self) -> bool:
        return self.thing.state == RequestState.PAYMENT_FAILED and all(map(is_to_make_good, self.payouts()))

    def notice(self) -> str:
        return ""

    def why_not(self) -> str:
        self.read_again()
        thing = self.thing
        if thing.state == RequestState.PAYMENT_FAILED:
            return gettext(
                "Nothing was done: a part was paid or is being paid, so the rest must be paid too; or a channel has "
                "given money back by itself, on which somebody decides first."
            )
        told = {"request": thing, "state": words.STATES[thing.state], "what": what_happened(thing)}
        return gettext("Nothing was done: %(request)s reads “%(state)s”. %(what)s") % told

    def do(self, form: ActForm) -> Outcome:
        typed = form.cleaned_data
        request = fail_refund(self.thing.pk, reason=typed["reason"], by=self.by, at=self.at, seen=typed["seen"])
        return Outcome(gettext("%(request)s has failed, and its certificate can be used again.") % {"request": request})
