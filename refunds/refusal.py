"""Why a certificate is not refundable, with the dates that decide it and what can be done instead.

The policy says which rule it is; here stand the days on which that rule turned, by the numbers of the same policy.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime

from django.utils.translation import gettext as _

from core.clock import service_day, shift_day
from core.money import format_money
from core.templatetags.console_format import moment
from refunds.policy import POLICIES, Facts, Policy, Rule
from refunds.wording import FOUND_FOR_ORDER, FOUND_OUTSIDE, RULES


@dataclass(frozen=True, slots=True)
class Refusal:
    """The reason, the dates behind it as label and text, and what can be done instead."""

    reason: str
    dates: list[tuple[str, str]] = field(default_factory=list)
    instead: str = ""


def refusal_of(rule: Rule, facts: Facts) -> Refusal:
    """Why the policy's `rule` refuses these facts."""
    if rule not in _REFUSALS:
        return Refusal(str(RULES[rule]))
    return _REFUSALS[rule](facts, POLICIES[facts.policy])


def found_outside(found_at: datetime | None) -> Refusal:
    """Why nothing is refunded while a refund stands that the channel made by itself; None: of its order, not of it."""
    reason = FOUND_OUTSIDE % {"time": moment(found_at)} if found_at else str(FOUND_FOR_ORDER)
    return Refusal(reason, instead=_("You need not do anything. To ask about it, name the instance ID."))


def _uploaded(facts: Facts, policy: Policy) -> Refusal:
    return Refusal(str(RULES[Rule.UPLOADED]), instead=_("Ask for a refund where you bought it."))


def _free(facts: Facts, policy: Policy) -> Refusal:
    return Refusal(str(RULES[Rule.FREE_DV]), instead=_("You can go on using the certificate."))


def _nothing_paid(facts: Facts, policy: Policy) -> Refusal:
    return Refusal(
        str(RULES[Rule.NOTHING_PAID]),
        [
            (_("Paid"), format_money(0, facts.currency)),
            (_("Voucher (not refunded)"), format_money(facts.voucher, facts.currency)),
        ],
        _("You can go on using the certificate."),
    )


def _expired(facts: Facts, policy: Policy) -> Refusal:
    return Refusal(str(RULES[Rule.EXPIRED]), [(_("Expired on"), moment(facts.expires_at))])


def _revoked_too_late(facts: Facts, policy: Policy) -> Refusal:
    return Refusal(
        str(RULES[Rule.REVOKED_TOO_LATE]),
        [*_issue(facts, policy), (_("Revocation completed on"), moment(facts.revoked_at))],
    )


def _issued_too_long(facts: Facts, policy: Policy) -> Refusal:
    words = _("You can go on using the certificate until it expires on %(day)s.")
    return Refusal(
        str(RULES[Rule.ISSUED_TOO_LONG]), _issue(facts, policy), words % {"day": service_day(facts.expires_at)}
    )


def _validated(facts: Facts, policy: Policy) -> Refusal:
    words = _(
        "Wait until the certificate is issued. Then revoke it: if the revocation is completed within %(days)d days of "
        "the issue, you can request the refund."
    )
    return Refusal(
        _("The certificate authority has approved the application and is about to issue the certificate."),
        [(_("Approved by the authority on"), moment(facts.validated_at))],
        words % {"days": policy.revocation_days},
    )


def _unissued_too_late(facts: Facts, policy: Policy) -> Refusal:
    last = shift_day(service_day(facts.expires_at), -policy.days_left)
    return Refusal(
        _("Less than %(days)d days are left before the service period ends.") % {"days": policy.days_left},
        [
            (_("Last day for a refund request was"), last.isoformat()),
            (_("Service period ends on"), moment(facts.expires_at)),
        ],
        _("You can still apply for the certificate and use it until the service period ends."),
    )


def _issue(facts: Facts, policy: Policy) -> list[tuple[str, str]]:
    last = revocation_limit(facts, policy)
    if facts.issued_at is None or last is None:
        return []
    label = _("Day %(days)d, the last for a completed revocation, was") % {"days": policy.revocation_days}
    return [(_("Issued on"), moment(facts.issued_at)), (label, last.isoformat())]


def revocation_limit(facts: Facts, policy: Policy) -> date | None:
    """The last day on which a completed revocation still counts; None for what is not issued."""
    return facts.issued_at and shift_day(service_day(facts.issued_at), policy.revocation_days)


_REFUSALS: dict[Rule, Callable[[Facts, Policy], Refusal]] = {
    Rule.UPLOADED: _uploaded,
    Rule.FREE_DV: _free,
    Rule.NOTHING_PAID: _nothing_paid,
    Rule.EXPIRED: _expired,
    Rule.REVOKED_TOO_LATE: _revoked_too_late,
    Rule.ISSUED_TOO_LONG: _issued_too_long,
    Rule.VALIDATED_UNISSUED: _validated,
    Rule.UNISSUED_TOO_LATE: _unissued_too_late,
}
