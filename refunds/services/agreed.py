"""What a customer is shown before submitting and agrees to: policy, rule, review, amounts and warnings."""

from dataclasses import dataclass, fields

from certificates.models import Certificate
from refunds.rules.situation import Situation


@dataclass(frozen=True)
class Summary:
    """Policy, rule, review, amounts, channels and warnings as shown. Amounts are minor units of `currency`."""

    policy: str
    rule: str
    review: str | None
    paid: int
    voucher: int
    amount: int | None
    currency: str
    channels: tuple[tuple[str, int], ...]
    warnings: tuple[str, ...]


def summarise(situation: Situation) -> Summary:
    """What would happen to the certificate's money."""
    certificate, assessment = situation.certificate, situation.assessment
    return Summary(
        policy=situation.policy.name,
        rule=str(assessment.rule),
        review=str(assessment.review) if assessment.review else None,
        paid=certificate.paid_part,
        voucher=certificate.voucher_part,
        amount=assessment.amount,
        currency=certificate.currency,
        channels=channels_of(certificate),
        warnings=tuple(str(warning) for warning in assessment.warnings),
    )


def channels_of(certificate: Certificate) -> tuple[tuple[str, int], ...]:
    """Where the paid part came from and goes back to, with each part in minor units."""
    shares = certificate.shares.select_related("payment")
    return tuple((share.payment.channel, share.amount) for share in shares if share.amount)


def differences(seen: Summary, now: Summary) -> list[str]:
    """The names of what differs, in the order shown."""
    return [field.name for field in fields(Summary) if getattr(seen, field.name) != getattr(now, field.name)]
