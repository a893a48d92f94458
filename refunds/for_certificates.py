"""What revoking or deleting a certificate means for its refund, as the settings name it for the floor below."""

from datetime import datetime

from certificates.hooks import Prospects
from certificates.models import Certificate
from refunds.rules.facts import facts_of
from refunds.rules.offer import Offer
from refunds.rules.policies import POLICIES
from refunds.rules.situation import situation_of


def prospects_of(certificate: Certificate, *, at: datetime) -> Prospects:
    """What may become of the certificate's money as of `at`, an aware moment. Days are the service's.

    Requires `select_related("order", "product")`.
    """
    situation = situation_of(certificate, at)
    explained = {"facts": situation.facts.to_json(), "asked_at": situation.at.isoformat()}
    if situation.offer != Offer.REFUND:
        return Prospects(situation.is_open, None, (situation.answer,), explained=explained)
    assessment, explanation = situation.assessment, situation.explanation
    return Prospects(
        is_open=False,
        possible_until=explanation.revoke_by or explanation.request_by,
        sentences=(explanation.answer, explanation.advice),
        explained=explained,
        needs_revocation=assessment.needs_revocation,
        dates=explanation.dates,
        amount=situation.facts.paid,
        currency=situation.facts.currency,
        is_late=bool(explanation.warnings) and assessment.needs_revocation,
    )


def revocation_allowance_of(certificate: Certificate) -> int:
    """The business days that its policy gives a certificate authority to revoke it."""
    return POLICIES[facts_of(certificate).policy].revocation_allowance
