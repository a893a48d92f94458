"""What the Refund Application panel shows of a certificate: the terms, or why there are none."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from certificates.models import Certificate, Revocation
from certificates.states import CertificateState, RevocationState, shown_state
from certificates.wording import STATE_MARKS as CERTIFICATE_MARKS
from certificates.wording import kind_of
from core.email_addresses import shown_email
from core.templatetags.console_format import chip
from refunds.models import RefundRequest
from refunds.pages import before_submitting, request_form
from refunds.pages.payments_back import Part, parts_from, parts_of, payment
from refunds.pages.progress import Standing
from refunds.pages.request_form import Form
from refunds.pages.timeline import stands
from refunds.rules.explain import review_in_words
from refunds.rules.policies import Rule
from refunds.rules.situation import Situation, found_in_words
from refunds.services.agreed import summarise
from refunds.states import Reason, RequestState
from refunds.wording import CAME_BACK, CAME_BACK_MARK, STATE_MARKS

# --- Every panel -------------------------------------------------------------------------------


def certificate_facts(certificate: Certificate, at: datetime) -> dict[str, Any]:
    shown = shown_state(certificate.state, certificate.expires_at, at)
    return {
        "certificate": certificate,
        "kind": kind_of(certificate),
        "certificate_state": chip(shown.label, CERTIFICATE_MARKS[shown]),
    }


def request_chip(state: str, *, came_back: bool = False) -> SafeString:
    """A request's state as its customer sees it: an icon and a word. `came_back`: a part of its money did."""
    if came_back:
        return chip(CAME_BACK, CAME_BACK_MARK)
    known = RequestState(state)
    return chip(known.label, STATE_MARKS[known])


def request_facts(
    request: RefundRequest, at: datetime, parts: Sequence[Part] | None = None, *, checked: bool | None = None
) -> dict[str, Any]:
    """A request with where it stands. It comes with its certificate; its parts and `checked` as `timeline.stands`."""
    if parts is None and request.state == RequestState.PAYMENT_FAILED:
        parts = parts_of(request)
    has_come_back = any(part.standing == Standing.CAME_BACK for part in parts or [])
    return {
        **certificate_facts(request.certificate, at),
        "refund": request,
        "state": request_chip(request.state, came_back=has_come_back),
        "stands": stands(request, parts, checked=checked),
    }


# --- The two steps -----------------------------------------------------------------------------


def terms_of(situation: Situation, signed: Form | None) -> dict[str, Any]:
    """What both steps show; `signed` is the form that came back, None for one that is handed out first."""
    certificate, assessment, shown = situation.certificate, situation.assessment, summarise(situation)
    form = replace(signed, summary=shown) if signed else request_form.new_form(certificate, shown)
    parts = parts_from(shown.channels, shown.currency)
    return {
        **certificate_facts(certificate, situation.at),
        "token": request_form.sign(form),
        "summary": shown,
        "explanation": situation.explanation,
        "parts": parts,
        "review": before_submitting.review_of(assessment, situation.policy),
        "when": before_submitting.when_in_words(assessment, certificate, parts),
        "payments": [payment(part) for part in parts],
        "warnings": situation.explanation.warnings,
        "meanwhile": before_submitting.meanwhile(assessment, certificate),
        "reasons": Reason.choices,
    }


# --- Instead of them ---------------------------------------------------------------------------

NOT_REFUNDABLE = "refunds/not_refundable.html"
REVOCATIONS: dict[str, str] = {
    Rule.REVOKE_FIRST: "refunds/revoke_first.html",
    Rule.REVOCATION_PENDING: "refunds/revocation_pending.html",
}


def obstacle_of(situation: Situation) -> tuple[str, dict[str, Any]]:
    """The template and its context where no request can be made now."""
    context = certificate_facts(situation.certificate, situation.at)
    newest, rule = situation.newest, situation.assessment.rule
    if isinstance(newest, RefundRequest) and situation.is_open:
        return "refunds/requested_already.html", {**request_facts(newest, situation.at), **_overruled(situation)}
    if isinstance(newest, RefundRequest) and newest.state == RequestState.REFUNDED:
        return "refunds/refunded_already.html", {**request_facts(newest, situation.at), **_overruled(situation)}
    if situation.certificate.refund_found_at:
        return refunded_outside(situation)
    if rule in REVOCATIONS:
        return REVOCATIONS[rule], {**context, **_revocation(situation)}
    return NOT_REFUNDABLE, {**context, **_refusal(situation, situation.answer, is_overruled=bool(situation.overruled))}


def refunded_outside(situation: Situation) -> tuple[str, dict[str, Any]]:
    """The same while a refund that was made directly at the payment channel blocks it."""
    context = certificate_facts(situation.certificate, situation.at)
    why = found_in_words(situation.certificate.refund_found_at)
    return NOT_REFUNDABLE, {**context, **_refusal(situation, why, is_overruled=True)}


def _overruled(situation: Situation) -> dict[str, Any]:
    """What decides in place of the policy, with the policy's explanation to be shown below."""
    return {"answer": situation.answer, "is_overruled": True, "explanation": situation.explanation}


def _refusal(situation: Situation, why: str, *, is_overruled: bool) -> dict[str, Any]:
    """Why there is no refund now. Where something other than the policy decides, its answer is shown below."""
    explanation = situation.explanation
    return {"refund": situation.newest, "why": why, "is_overruled": is_overruled, "explanation": explanation}


def _revocation(situation: Situation) -> dict[str, Any]:
    """The dates of a revocation that must come first, and what is lost when it comes late."""
    return {
        "explanation": situation.explanation,
        "facts": situation.facts,
        "policy": situation.policy,
        "review": review_in_words(situation.policy),
        "is_confirmed_by_email": _is_confirmed_by_email(situation.certificate),
        "awaits_contact": _awaits_contact(situation.certificate),
    }


def _is_confirmed_by_email(certificate: Certificate) -> bool:
    """Whether the certificate's contact must confirm a revocation: not for DV."""
    return certificate.product is not None and certificate.product.is_checked_by_staff


def _awaits_contact(certificate: Certificate) -> str:
    """Whose confirmation a revocation waits for; empty where it waits for none."""
    waiting = Revocation.objects.filter(certificate=certificate, state=RevocationState.REQUESTED)
    return shown_email(waiting.values_list("contact_email", flat=True).first() or "")


def what_it_becomes(request: RefundRequest) -> str:
    """What Cancel Refund makes of the certificate. The request comes with it."""
    certificate = request.certificate
    if certificate.closing_since:
        return _(
            "The certificate is free again. Its application is still being closed at the certificate authority; "
            "what you entered is kept as a draft."
        )
    if certificate.state == CertificateState.REVOKED:
        return _("The certificate is free again and stays revoked.")
    if certificate.state == CertificateState.PENDING_APPLICATION and request.facts_at_submission.submitted_at:
        return _(
            "The certificate is free again: Pending Application, with what you entered for the application that was "
            "closed as a draft."
        )
    shown = certificate.get_state_display()
    return _("The certificate is free again, in the state it is in now: %(state)s.") % {"state": shown}
