"""The dated refund policies, as the provider's pages state them.

`intl-2021` is the product page "Request a refund for an SSL certificate"; the others come from later editions of the
same provider's pages. Every number that a page, an email or a date shows comes from these tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from types import MappingProxyType

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from refunds.rules.table import Outcome, Review, Row, Stage, Table, days, days_or_more, row

YES, NOT_YET, NO = Outcome.YES, Outcome.NOT_YET, Outcome.NO
UNISSUED, VALIDATED, ISSUED, REVOKING, REVOKED = Stage


class Rule(StrEnum):
    """The names of all rules, whichever policy states them."""

    UPLOADED = "uploaded"
    FREE_DV = "free-dv"
    NOTHING_PAID = "nothing-paid"
    EXPIRED = "expired"
    WINDOW_OVER = "window-over"
    ISSUED_REVOKED = "issued-revoked"
    REVOKED_TOO_LATE = "revoked-too-late"
    ISSUED_TOO_LONG = "issued-too-long"
    REVOCATION_PENDING = "revocation-pending"
    REVOKE_FIRST = "revoke-first"
    VALIDATED_UNISSUED = "validated-unissued"
    UNISSUED_IMMEDIATE = "unissued-immediate"
    UNISSUED_MANUAL = "unissued-manual"
    UNISSUED_TOO_LATE = "unissued-too-late"


@dataclass(frozen=True, slots=True)
class Policy:
    """One dated policy. `first_day` is in the service's zone; the last three count business days."""

    name: str
    source: str
    first_day: date
    table: Table
    # A review is decided within this many business days, on average within `usual_review`.
    review_limit: int = 15
    usual_review: int = 5
    # A certificate authority may take this many to revoke.
    revocation_allowance: int = 5
    # What isn't stated on the source's page.
    note: str | Promise = ""


# Before everything else: what was never paid for here, and what is over.
_EVERYWHERE = (
    row(Rule.UPLOADED, NO, uploaded=True),
    row(Rule.FREE_DV, NO, free=True),
    row(Rule.NOTHING_PAID, NO, nothing_paid=True),
    row(Rule.EXPIRED, NO, expired=True),
)

_INTL_2021 = (
    *_EVERYWHERE,
    row(Rule.ISSUED_REVOKED, YES, Review.MANUAL, stage=REVOKED, revoked_after=days(0, 28)),
    row(Rule.REVOKED_TOO_LATE, NO, stage=REVOKED, revoked_after=days_or_more(29)),
    row(Rule.ISSUED_TOO_LONG, NO, stage={ISSUED, REVOKING}, days_since_issue=days_or_more(29)),
    row(Rule.REVOCATION_PENDING, NOT_YET, stage=REVOKING, days_since_issue=days(0, 28)),
    row(Rule.REVOKE_FIRST, NOT_YET, stage=ISSUED, days_since_issue=days(0, 28)),
    row(Rule.VALIDATED_UNISSUED, NOT_YET, stage=VALIDATED),
    row(Rule.UNISSUED_IMMEDIATE, YES, Review.NONE, stage=UNISSUED, days_since_payment=days(0, 5)),
    row(
        Rule.UNISSUED_MANUAL,
        YES,
        Review.MANUAL,
        stage=UNISSUED,
        days_since_payment=days_or_more(6),
        days_left=days_or_more(15),
    ),
    row(
        Rule.UNISSUED_TOO_LATE,
        NO,
        stage=UNISSUED,
        days_since_payment=days_or_more(6),
        days_left=days(0, 14),
    ),
)


def _by_payment_date(window: int, unissued: Row) -> tuple[Row, ...]:
    """Later editions count from the payment alone; `unissued` says what holds until a certificate is issued."""
    return (
        *_EVERYWHERE,
        row(Rule.WINDOW_OVER, NO, days_since_payment=days_or_more(window + 1)),
        row(Rule.ISSUED_REVOKED, YES, Review.MANUAL, stage=REVOKED),
        row(Rule.REVOCATION_PENDING, NOT_YET, stage=REVOKING),
        row(Rule.REVOKE_FIRST, NOT_YET, stage=ISSUED),
        row(Rule.VALIDATED_UNISSUED, NOT_YET, stage=VALIDATED),
        unissued,
    )


_UNISSUED_REVIEWED = row(Rule.UNISSUED_MANUAL, YES, Review.MANUAL, stage=UNISSUED)
_UNISSUED_AT_ONCE = row(Rule.UNISSUED_IMMEDIATE, YES, Review.NONE, stage=UNISSUED)


def _policy(name: str, first_day: date, rows: tuple[Row, ...], *, source: str, note: str | Promise = "") -> Policy:
    return Policy(name, source, first_day, Table(name, rows), note=note)


_ALL = (
    _policy(
        "intl-2021",
        date(2021, 5, 20),
        _INTL_2021,
        source='International site, "Request a refund for an SSL certificate"',
    ),
    _policy(
        "cn-2021-07",
        date(2021, 7, 14),
        _by_payment_date(7, _UNISSUED_REVIEWED),
        source="Chinese site, July 2021",
    ),
    _policy(
        "cn-2021-07-package",
        date(2021, 7, 14),
        _by_payment_date(30, _UNISSUED_REVIEWED),
        source="Chinese site, July 2021, orders with a value-added service package",
    ),
    _policy(
        "intl-2026-03",
        date(2026, 3, 18),
        _by_payment_date(7, _UNISSUED_AT_ONCE),
        source="International site, seen 2026-03-18",
        note=_(
            "The provider's page doesn't say which refunds need a review. That revoked certificates need one, and "
            "unissued ones don't, is our reading."
        ),
    ),
)
POLICIES: Mapping[str, Policy] = MappingProxyType({policy.name: policy for policy in _ALL})
# The rules under which money goes back, whatever the policy.
SUPPORTED = tuple(dict.fromkeys(row.rule for policy in _ALL for row in policy.table.rows if row.outcome == Outcome.YES))


def known_policies() -> frozenset[str]:
    """The names under which an order may have been made."""
    return frozenset(POLICIES)
