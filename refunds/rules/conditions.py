"""The conditions of a refund, one by one: what is required, by which fact it was judged, and whether it's met. Pure.

They come from the rows of the policy's table, and so do the numbers in them. Days are those of the service's zone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from core.clock import service_day
from core.money import format_money
from refunds.rules.assess import Case, Facts
from refunds.rules.sentences import Words, in_days, joined
from refunds.rules.table import DayRange, Outcome, Row, Stage, Test


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition: what is required, the fact, and the day on which time alone changes whether it's met."""

    column: str
    text: str
    fact: str
    is_met: bool
    changes_on: date | None = None

    @property
    def change(self) -> str:
        """The day on which it changes, in words for beside the fact; empty where none is known."""
        return _("(changes on %(day)s)") % {"day": self.changes_on} if self.changes_on else ""


def conditions_of(case: Case) -> Iterator[Condition]:
    """In the table's order: what the rows above rule out, then what the deciding row itself asks."""
    for row in case.table.rows:
        if row is case.row:
            yield from _of_deciding(case, row)
            return
        if row.outcome == Outcome.NO and len(row.tests) == 1:
            yield from (_condition(case, column, test, wanted=False) for column, test in row.tests.items())


def _of_deciding(case: Case, row: Row) -> Iterator[Condition]:
    # A row that says no asks for the contrary of its tests, so that one of them not holding would be enough.
    wanted = row.outcome != Outcome.NO
    if wanted:
        yield _of_stage(case)
    conditions = [
        _condition(case, column, test, wanted=wanted) for column, test in row.tests.items() if column != "stage"
    ]
    yield from conditions if wanted else [_any_of(conditions)]


def _any_of(conditions: list[Condition]) -> Condition:
    """Requires at least one of these; none is met now. Changes on the earliest day on which one does."""
    first, *others = conditions
    if not others:
        return first
    return Condition(
        first.column,
        joined(_(", or "), (each.text for each in conditions)),
        ", ".join(each.fact for each in conditions),
        is_met=False,
        changes_on=min((each.changes_on for each in conditions if each.changes_on), default=None),
    )


def _of_stage(case: Case) -> Condition:
    text = str(_STAGES[case.stage])
    if case.stage in {Stage.ISSUED, Stage.REVOKING}:
        text %= {"revoke_by": case.last_useful_day_to_revoke}
    return Condition("stage", text, _stage_fact(case.stage, case.facts), is_met=case.row.outcome == Outcome.YES)


def _condition(case: Case, column: str, test: Test, *, wanted: bool) -> Condition:
    """The condition that a test holds, or that it doesn't."""
    is_met = _holds(case, column, test) is wanted
    return Condition(
        column,
        requirement(column, test, wanted=wanted),
        _fact(column, case),
        is_met,
        _changes_on(case, column, test),
    )


def _holds(case: Case, column: str, test: Test) -> bool:
    value = getattr(case.position(case.today, expired=case.is_expired), column)
    return value in test if isinstance(test, frozenset) else _is_within(value, test)


def _is_within(value: int | None, test: DayRange) -> bool:
    """The lowest piece of a column includes everything below 0."""
    return value is not None and test.first <= max(value, 0) and (test.last is None or value <= test.last)


def _changes_on(case: Case, column: str, test: Test) -> date | None:
    """The first later day on which time alone changes whether a test holds."""
    if column == "expired":
        return None if case.is_expired else date.fromordinal(case.expiration_day)
    if not isinstance(test, DayRange):
        return None
    holds = _holds(case, column, test)
    for day in case.days_of_bounds(column, test):
        if day > case.today and _is_within(getattr(case.position(day, expired=False), column), test) is not holds:
            return date.fromordinal(day)
    return None


# --- In words ----------------------------------------------------------------------------------

_REVOKED_BY = gettext_lazy("Revoked by %(revoke_by)s at the latest")
_STAGES: Mapping[Stage, Words] = MappingProxyType(
    {
        Stage.UNISSUED: gettext_lazy("Not issued, and not approved by the certificate authority yet"),
        Stage.VALIDATED: gettext_lazy("Not approved by the certificate authority yet, or issued and then revoked"),
        Stage.ISSUED: _REVOKED_BY,
        Stage.REVOKING: _REVOKED_BY,
        Stage.REVOKED: gettext_lazy("Revoked"),
    }
)
_FLAGS: Mapping[str, Words] = MappingProxyType(
    {
        "uploaded": gettext_lazy("Bought in this console"),
        "free": gettext_lazy("Not a free certificate"),
        "nothing_paid": gettext_lazy("Paid for, not only with a voucher"),
        "expired": gettext_lazy("Not expired"),
    }
)
# For each column of days: no more than so many, at least so many, within a range, outside it.
_AT_MOST: Mapping[str, Words] = MappingProxyType(
    {
        "days_since_payment": gettext_lazy("Bought no more than %(days)s ago"),
        "days_left": gettext_lazy("Fewer than %(beyond)s left before it expires"),
        "days_since_issue": gettext_lazy("Issued no more than %(days)s ago"),
        "revoked_after": gettext_lazy("Revoked within %(days)s of the issue"),
    }
)
_AT_LEAST: Mapping[str, Words] = MappingProxyType(
    {
        "days_since_payment": gettext_lazy("Bought more than %(before)s ago"),
        "days_left": gettext_lazy("At least %(days)s left before it expires"),
        "days_since_issue": gettext_lazy("Issued more than %(before)s ago"),
        "revoked_after": gettext_lazy("Revoked more than %(before)s after the issue"),
    }
)


_BETWEEN: Mapping[str, Words] = MappingProxyType(
    {
        "days_since_payment": gettext_lazy("Bought %(first)s to %(days)s ago"),
        "days_left": gettext_lazy("%(first)s to %(days)s left before it expires"),
        "days_since_issue": gettext_lazy("Issued %(first)s to %(days)s ago"),
        "revoked_after": gettext_lazy("Revoked %(first)s to %(days)s after the issue"),
    }
)


def requirement(column: str, test: Test, *, wanted: bool) -> str:
    """What a condition requires: that a test holds, or that it doesn't."""
    if not isinstance(test, DayRange):
        return str(_FLAGS[column])
    if wanted and test.first and test.last is not None:
        return str(_BETWEEN[column]) % {"first": test.first, "days": in_days(test.last)}
    if wanted:
        return _at_least(column, test.first) or _at_most(column, test.last)
    below = test.first - 1 if test.first else None
    above = 0 if test.last is None else test.last + 1
    return joined(_(", or "), filter(None, [_at_least(column, above), _at_most(column, below)]))


def _at_least(column: str, days: int) -> str:
    return str(_AT_LEAST[column]) % {"days": in_days(days), "before": in_days(days - 1)} if days else ""


def _at_most(column: str, days: int | None) -> str:
    return "" if days is None else str(_AT_MOST[column]) % {"days": in_days(days), "beyond": in_days(days + 1)}


def _fact(column: str, case: Case) -> str:
    """What a condition was judged by, as a person would say it."""
    facts = case.facts
    if column == "uploaded":
        words = _("uploaded on %(day)s") if facts.source == "uploaded" else _("bought here on %(day)s")
        return words % {"day": service_day(facts.purchased_at)}
    if column == "free":
        return _("free product") if facts.free else _("paid product")
    if column == "nothing_paid":
        return _("%(amount)s paid") % {"amount": format_money(facts.paid, facts.currency)}
    if column == "expired":
        words = _("expired on %(day)s") if case.is_expired else _("expires on %(day)s")
        return words % {"day": service_day(facts.expires_at)}
    return _in_days(column, getattr(case.position(case.today, expired=False), column))


def _in_days(column: str, days: int) -> str:
    if column == "days_left":
        return ngettext("%(days)d day left", "%(days)d days left", days) % {"days": days}
    if column == "revoked_after":
        return ngettext("%(days)d day after the issue", "%(days)d days after the issue", days) % {"days": days}
    if days == 0:
        return _("bought today") if column == "days_since_payment" else _("issued today")
    if column == "days_since_payment":
        return ngettext("bought %(days)d day ago", "bought %(days)d days ago", days) % {"days": days}
    return ngettext("issued %(days)d day ago", "issued %(days)d days ago", days) % {"days": days}


def _stage_fact(stage: Stage, facts: Facts) -> str:
    """How far the certificate is, with the day on which it got there."""
    if stage == Stage.UNISSUED:
        return _("not issued")
    if stage == Stage.VALIDATED and facts.validated_at:
        return _("approved on %(day)s") % {"day": service_day(facts.validated_at)}
    if stage == Stage.REVOKED and facts.revoked_at:
        return _("revoked on %(day)s") % {"day": service_day(facts.revoked_at)}
    if stage == Stage.REVOKING and facts.revocation_requested_at:
        words = _("revocation requested on %(day)s, not completed yet")
        return words % {"day": service_day(facts.revocation_requested_at)}
    return _("not revoked")
