"""What revoking or deleting a certificate means for its refund, for the floor below (REFUND_PROSPECTS)."""

from datetime import datetime

from django.utils.translation import gettext as _

from certificates.hooks import Prospects
from certificates.models import Certificate
from core.clock import service_day
from core.money import format_money
from refunds.facts import facts_of, moment_of
from refunds.models import RefundRequest
from refunds.offer import Offer, offer
from refunds.policy import POLICIES, REVOCATION_LEADS_ON, Assessment, Facts, Rule, Warning, assess
from refunds.refusal import found_outside, revocation_limit
from refunds.states import OPEN, RequestState
from refunds.timeline import caution
from refunds.wording import RULES


def prospects_of(certificate: Certificate, *, at: datetime) -> Prospects:
    """What may become of the certificate's money as of `at`. It comes with its order and product."""
    facts = facts_of(certificate)
    at = moment_of(facts, at)
    assessment = assess(facts, at)
    newest = RefundRequest.objects.of(certificate).values_list("state", flat=True).first()
    found_at = certificate.refund_found_at
    if offer(assessment, certificate.state, newest, is_refunded_outside=found_at is not None) != Offer.REFUND:
        return Prospects(newest in OPEN, None, (_why_nothing(assessment.rule, facts, newest, found_at),))
    return Prospects(
        is_open=False,
        possible_until=assessment.request_by or assessment.revoke_by,
        sentences=_sentences(assessment, facts),
        safe_revoke_by=assessment.safe_revoke_by,
        revoke_by=assessment.revoke_by,
        amount=facts.paid,
        currency=facts.currency,
        is_late=Warning.REVOCATION_MAY_FINISH_LATE in assessment.warnings,
    )


# --- Nothing comes back ------------------------------------------------------------------------


def _why_nothing(rule: Rule, facts: Facts, newest: str | None, found_at: datetime | None) -> str:
    if newest in OPEN:
        return _("A refund of this certificate is under way.")
    if newest == RequestState.REFUNDED:
        return _("What you paid for this certificate has been given back.")
    if found_at:
        return found_outside(found_at).reason
    if rule == Rule.ISSUED_TOO_LONG:
        return _too_late(facts)
    return str(RULES[rule])


def _too_late(facts: Facts) -> str:
    policy = POLICIES[facts.policy]
    words = _(
        "Nothing you paid comes back any more: the revocation had to be completed within %(days)d days of the issue, "
        "by %(last)s."
    )
    return words % {"days": policy.revocation_days, "last": revocation_limit(facts, policy)}


# --- Something does ----------------------------------------------------------------------------


def _sentences(assessment: Assessment, facts: Facts) -> tuple[str, ...]:
    if assessment.rule in REVOCATION_LEADS_ON:
        return (_once_revoked(assessment, facts), *_safe(assessment, facts))
    told = {"amount": format_money(facts.paid, facts.currency), "day": assessment.request_by}
    return (_("You can request a refund of %(amount)s until %(day)s.") % told,)


def _once_revoked(assessment: Assessment, facts: Facts) -> str:
    words = _(
        "%(amount)s can come back: the revocation must be completed by %(last)s. Once it is, request the refund, by "
        "%(day)s."
    )
    return words % {
        "amount": format_money(facts.paid, facts.currency),
        "last": assessment.revoke_by,
        "day": service_day(facts.expires_at),
    }


def _safe(assessment: Assessment, facts: Facts) -> list[str]:
    """Whether there is time enough for an authority that takes all the days it may take."""
    days = POLICIES[facts.policy].revocation_business_days
    if assessment.safe_revoke_by is None:
        words = _("A certificate authority needs up to %(days)d business days to revoke; if that is later, it is lost.")
        return [words % {"days": days}]
    told = {
        "days": days,
        "safe": assessment.safe_revoke_by,
        "caution": caution(is_provisional=assessment.calendar == "provisional"),
    }
    if Warning.REVOCATION_MAY_FINISH_LATE in assessment.warnings:
        return [
            _(
                "The safe day, %(safe)s%(caution)s, is past: a certificate authority needs up to %(days)d business "
                "days to revoke, so the revocation may be completed too late for a refund."
            )
            % told
        ]
    return [
        _(
            "Request the revocation by %(safe)s%(caution)s to be safe: a certificate authority needs up to %(days)d "
            "business days to revoke."
        )
        % told
    ]
