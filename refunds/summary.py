"""What a customer is shown before submitting, carried by the form so that nobody submits what they have not seen."""

from dataclasses import asdict, dataclass, fields
from typing import Any
from uuid import UUID, uuid4

from django.core import signing

from certificates.models import Certificate
from refunds.rules.situation import Situation

SALT = "refunds.form"


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


@dataclass(frozen=True)
class Form:
    """One form as it was handed out: to whom, for which certificate, showing what, under which key."""

    account_id: int
    instance_id: str
    key: UUID
    summary: Summary


def new_form(certificate: Certificate, summary: Summary) -> Form:
    return Form(certificate.account_id, certificate.instance_id, uuid4(), summary)


def sign(form: Form) -> str:
    """The form as a text that nobody can alter."""
    return signing.dumps({**asdict(form), "key": form.key.hex}, salt=SALT, compress=True)


def read(token: str, certificate: Certificate) -> Form | None:
    """The form that was signed, or None when it is not one of ours for this certificate and its account."""
    try:
        form = _form(signing.loads(token, salt=SALT))
    except (signing.BadSignature, KeyError, TypeError, ValueError):
        return None
    is_for_this = (form.account_id, form.instance_id) == (certificate.account_id, certificate.instance_id)
    return form if is_for_this else None


def _form(data: dict[str, Any]) -> Form:
    summary = data["summary"]
    return Form(
        data["account_id"],
        data["instance_id"],
        UUID(data["key"]),
        Summary(
            **{
                **summary,
                "channels": tuple((channel, amount) for channel, amount in summary["channels"]),
                "warnings": tuple(summary["warnings"]),
            }
        ),
    )
