"""The customer's pages: the Refund Application panel, Cancel Refund, Refund Records."""

import logging
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import Max
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe
from django_htmx.http import trigger_client_event

from certificates.exceptions import CertificatesError
from certificates.models import Certificate
from core.paging import page_of
from core.requests import SignedInRequest, show_panel, wants_fragment
from payments.exceptions import PaymentsError
from refunds import services
from refunds.exceptions import (
    AlreadyRequested,
    FactsChanged,
    MayNotRequest,
    NotRefundable,
    RefundedOutside,
    RequestMoved,
    SummaryChanged,
)
from refunds.models import RefundRequest
from refunds.pages import panel, records, request_form
from refunds.pages.changes import Change, changes_between
from refunds.pages.request_form import Form, ReasonForm
from refunds.pages.timeline import is_checked
from refunds.rules.policies import POLICIES
from refunds.rules.printed import rows_of
from refunds.rules.situation import Situation, situation_of, situation_with
from refunds.services.agreed import Summary, summarise
from refunds.states import Reason, RequestState

logger = logging.getLogger(__name__)

BACK, SUBMIT = "back", "submit"
REQUESTED, CANCELLED = "requested", "cancelled"
CONFLICT, UNPROCESSABLE = 409, 422

# What the customer agreed to is no longer so: what holds now is shown instead.
NO_LONGER_SO = (AlreadyRequested, NotRefundable, SummaryChanged)
# Our own records are at odds, which nobody in front of the screen can mend.
AT_ODDS = (CertificatesError, PaymentsError, FactsChanged)


def owned_certificate(request: SignedInRequest, instance_id: str) -> Certificate:
    owned = Certificate.objects.owned_by(request.user).select_related("order", "product").defer("pem")
    return get_object_or_404(owned, instance_id=instance_id)


# --- Refund Application ------------------------------------------------------------------------


@dataclass(frozen=True)
class Sent:
    """What came back: what was typed, the form it was typed into (None when it is not one of ours), and the button."""

    form: ReasonForm
    signed: Form | None = None
    step: str = ""

    @property
    def own_words(self) -> str:
        """What must not get lost where no form can carry it on."""
        is_other = self.form["reason"].value() == Reason.OTHER
        return (self.form["reason_text"].value() or "").strip() if is_other else ""

    def differs_from(self, first: RefundRequest) -> bool:
        """Whether it gives another reason than the request that was made with the same form."""
        reason = self.form["reason"].value()
        if not reason:
            return False
        text = self.own_words.replace("\r\n", "\n")
        return (reason, text) != (first.reason, first.reason_text)

    def changes_to(self, now: Summary) -> list[Change]:
        return changes_between(self.signed.summary, now) if self.signed else []


@require_http_methods(["GET", "HEAD", "POST"])
def request_refund(request: SignedInRequest, instance_id: str) -> HttpResponse:
    """Step 1 on GET. A POST goes on to step 2, back to step 1, or submits; the form itself carries the steps."""
    certificate = owned_certificate(request, instance_id)
    if request.method == "POST":
        signed = request_form.read(request.POST.get("form", ""), certificate)
        return _take_step(request, certificate, Sent(ReasonForm(request.POST), signed, request.POST.get("step", "")))
    situation = situation_of(certificate, timezone.now())
    if not situation.can_request:
        return _show_obstacle(request, situation)
    return _show_step(request, 1, situation, Sent(ReasonForm()))


def _take_step(request: SignedInRequest, certificate: Certificate, sent: Sent) -> HttpResponse:
    first = sent.signed and RefundRequest.objects.of(certificate).filter(form_key=sent.signed.key).first()
    if first:
        return _answer_again(request, first, sent)
    if sent.step == SUBMIT and sent.signed and sent.form.is_valid():
        return _submit(request, certificate, sent, sent.signed)
    return _answer_step(request, situation_of(certificate, timezone.now()), sent)


def _submit(request: SignedInRequest, certificate: Certificate, sent: Sent, signed: Form) -> HttpResponse:
    typed = {name: sent.form.cleaned_data[name] for name in ("reason", "reason_text")}
    try:
        made = services.request_refund(
            certificate.pk,
            agreed=signed.summary,
            form_key=signed.key,
            by=request.user,
            at=timezone.now(),
            **typed,
        )
    except MayNotRequest as error:
        raise Http404 from error
    except NO_LONGER_SO:
        now = situation_of(owned_certificate(request, certificate.instance_id), timezone.now())
        return _answer_step(request, now, sent)
    except RefundedOutside:
        now = situation_of(owned_certificate(request, certificate.instance_id), timezone.now())
        return _show_obstacle(request, now, sent, status=CONFLICT, obstacle=panel.refunded_outside(now))
    except AT_ODDS:
        logger.exception("a refund of %s could not be requested", certificate)
        return _show_at_odds(request, certificate, sent)
    return _answer_again(request, made, sent)


def _answer_again(request: SignedInRequest, made: RefundRequest, sent: Sent) -> HttpResponse:
    """To the request that was made with this form: now, or before a double click or the back button.

    Where it was sent again with another reason, nothing of that is stored, and the customer is told so.
    """
    if not sent.differs_from(made):
        return _to_record(made, REQUESTED)
    context = {**panel.request_facts(made, timezone.now()), "own_words": sent.own_words}
    return show_panel(request, "refunds/kept_first.html", _("Refund Application"), context, status=CONFLICT)


def _answer_step(request: SignedInRequest, situation: Situation, sent: Sent) -> HttpResponse:
    """The step that follows, on the terms of now. A submission comes here only when they are not what was agreed to."""
    if not situation.can_request:
        return _show_obstacle(request, situation, sent, status=CONFLICT)
    if sent.step == BACK:
        return _show_step(request, 1, situation, sent)
    if not sent.form.is_valid():
        return _show_step(request, 1, situation, sent, status=UNPROCESSABLE)
    is_as_seen = sent.signed is not None and sent.signed.summary == summarise(situation) and sent.step != SUBMIT
    return _show_step(request, 2, situation, sent, status=200 if is_as_seen else CONFLICT)


def _show_step(
    request: SignedInRequest, number: int, situation: Situation, sent: Sent, *, status: int = 200
) -> HttpResponse:
    shown = panel.terms_of(situation, sent.signed)
    context = {
        **shown,
        "changes": sent.changes_to(shown["summary"]),
        "form": sent.form,
        "chosen": sent.form["reason"].value() or "",
        "own_words": sent.form["reason_text"].value() or "",
        "shows_errors": status == UNPROCESSABLE,
        "must_look_again": status == CONFLICT,
    }
    return show_panel(request, f"refunds/step_{number}.html", _("Refund Application"), context, status=status)


def _show_obstacle(
    request: SignedInRequest,
    situation: Situation,
    sent: Sent | None = None,
    *,
    status: int = 200,
    obstacle: tuple[str, dict[str, Any]] | None = None,
) -> HttpResponse:
    """Why no request can be made now; what was typed already is shown, so that it is not lost."""
    template, context = obstacle or panel.obstacle_of(situation)
    if sent:
        context |= {
            "was_sent": True,
            "own_words": sent.own_words,
            "changes": sent.changes_to(summarise(situation)),
        }
    return show_panel(request, template, _("Refund Application"), context, status=status)


def _show_at_odds(request: SignedInRequest, certificate: Certificate, sent: Sent) -> HttpResponse:
    context = {**panel.certificate_facts(certificate, timezone.now()), "own_words": sent.own_words}
    return show_panel(request, "refunds/at_odds.html", _("Refund Application"), context, status=CONFLICT)


# --- Cancel Refund -----------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def cancel_refund(request: SignedInRequest, instance_id: str) -> HttpResponse:
    """Asks once on GET. A POST cancels the request that the page named, or says what happened to it instead."""
    certificate = owned_certificate(request, instance_id)
    requests = RefundRequest.objects.owned_by(request.user).of(certificate)
    if request.method != "POST":
        return _ask_to_cancel(request, certificate, requests.first(), status=200)
    # PostgreSQL takes no NUL in a text.
    named = requests.filter(reference=request.POST.get("reference", "").replace("\0", "")).first()
    if named is None:  # a form that names no request of this certificate: asked again
        return _ask_to_cancel(request, certificate, requests.first(), status=UNPROCESSABLE)
    return _cancel(request, named)


def _cancel(request: SignedInRequest, named: RefundRequest) -> HttpResponse:
    try:
        return _to_record(services.cancel_refund(named.pk, by=request.user, at=timezone.now()), CANCELLED)
    except MayNotRequest as error:
        raise Http404 from error
    except RequestMoved as moved:
        if moved.request.state == RequestState.CANCELLED:
            return _to_record(moved.request, CANCELLED)
        return _show_too_late(request, moved.request, status=CONFLICT)
    except RefundedOutside:
        return _show_cancel_later(request, named, status=CONFLICT)


def _ask_to_cancel(
    request: SignedInRequest, certificate: Certificate, newest: RefundRequest | None, *, status: int
) -> HttpResponse:
    if newest is None:
        context = panel.certificate_facts(certificate, timezone.now())
        return show_panel(request, "refunds/nothing_to_cancel.html", _("Cancel Refund"), context, status=status)
    newest.certificate = certificate
    if not newest.can_be_cancelled:
        return _show_too_late(request, newest, status=status)
    if is_checked(newest):
        return _show_cancel_later(request, newest, status=status)
    now = timezone.now()
    context = {
        **panel.request_facts(newest, now),
        "becomes": panel.what_it_becomes(newest),
        "explanation": situation_with(certificate, newest, now).explanation,
    }
    return show_panel(request, "refunds/cancel.html", _("Cancel Refund"), context, status=status)


def _show_too_late(request: SignedInRequest, refund: RefundRequest, *, status: int) -> HttpResponse:
    context = panel.request_facts(refund, timezone.now())
    return show_panel(request, "refunds/too_late.html", _("Cancel Refund"), context, status=status)


def _show_cancel_later(request: SignedInRequest, refund: RefundRequest, *, status: int) -> HttpResponse:
    """A refund that the channel made by itself is being checked: it may be the very one that was asked for."""
    context = panel.request_facts(refund, timezone.now())
    return show_panel(request, "refunds/cancel_later.html", _("Cancel Refund"), context, status=status)


# --- Refund Records ----------------------------------------------------------------------------


@require_safe
def refund_records(request: SignedInRequest) -> HttpResponse:
    """The account's requests, newest first; for htmx the list alone, and 204 while it is as `since` says."""
    mine = RefundRequest.objects.owned_by(request.user).select_related("certificate").defer("certificate__pem")
    page = page_of(mine, request.GET)
    rows = records.rows_of(page.rows)
    version = records.version_of(rows)
    if wants_fragment(request) and request.GET.get("since") == version:
        return HttpResponse(status=204)
    context = {
        "page": page,
        "rows": rows,
        "refresh_url": records.refresh_address(request.GET, version),
        "poll_seconds": records.poll_seconds(page.rows),
    }
    return render(request, "refunds/_records.html" if wants_fragment(request) else "refunds/records.html", context)


@require_safe
def refund_record(request: SignedInRequest, reference: str) -> HttpResponse:
    """One request: the receipt after submitting, and its record ever after. While it moves it asks for itself again.

    `since` is the version that a page shows: 204 while it is still so, else what has changed and the news of it.
    """
    mine = RefundRequest.objects.owned_by(request.user).select_related("certificate__order", "certificate__product")
    refund = get_object_or_404(mine.defer("certificate__pem"), reference=reference)
    context = records.context_of(refund, timezone.now())
    if wants_fragment(request) and "since" in request.GET:
        if request.GET["since"] == context["version"]:
            return HttpResponse(status=204)
        return _announced(render(request, "refunds/_record_refresh.html", context))
    done = request.GET.get("done", "")
    context["done"] = done if records.may_say(done, refund) else ""
    answer = show_panel(request, "refunds/record.html", _("Refund %(reference)s") % {"reference": refund}, context)
    return _announced(answer) if done else answer


def _to_record(refund: RefundRequest, done: str) -> HttpResponse:
    """To the record, which says what was done and announces it: a page loaded again does no harm."""
    return redirect(f"{reverse('refund_record', args=[refund.reference])}?done={done}")


def _announced(answer: HttpResponse) -> HttpResponse:
    """Lists on the page fetch themselves again."""
    return trigger_client_event(answer, "refundChanged")


# --- The rules ---------------------------------------------------------------------------------


@require_safe
def refund_policy(request: SignedInRequest) -> HttpResponse:
    """Each policy that the account has certificates under, the one of the newest purchase first."""
    bought = Certificate.objects.owned_by(request.user).filter(order__isnull=False)
    newest = bought.order_by().values_list("order__policy").annotate(newest=Max("order__paid_at")).order_by("-newest")
    dates = dict(newest) or {settings.REFUND_POLICY: None}
    policies = [(POLICIES[name], rows_of(POLICIES[name]), at) for name, at in dates.items()]
    return render(request, "refunds/policy.html", {"policies": policies})
