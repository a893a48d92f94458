"""`explain(facts, at)`: the policy's answer as people read it. Pure, and the only place where a rule is put into words.

Every number in a sentence comes from the row that decided or from its policy. Days are those of the service's zone.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property, partial

from django.utils.translation import gettext as _

from core.business_days import BusinessDay, add_business_days, is_announced, last_day_with_nth_business_day_by
from core.clock import service_day
from core.money import format_money
from refunds.rules import sentences
from refunds.rules.assess import Assessment, Case, Facts, Warning, assess_case, case_of
from refunds.rules.conditions import Condition, conditions_of
from refunds.rules.policies import Policy
from refunds.rules.sentences import in_days
from refunds.rules.table import DAYS, DayRange, Outcome, Review, Stage


@dataclass(frozen=True, slots=True)
class NamedDate:
    """A day of the service's zone or an aware moment, and what it means."""

    label: str
    when: date | datetime
    # That the day is provisional; empty for any other.
    note: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a certificate can or can't be refunded, as of the moment asked about.

    `answer` is one sentence; `hint` says the same in a few words, for a list; `advice` is what the customer can do and
    until when, empty where there's nothing to do. `request_by`, `revoke_by` and `safe_revoke_by` are the days of the
    service's zone that all of them name: the assessment's, but a revocation's aren't after the last day to request the
    refund, which is known while the revocation still comes first too. `expected_revocation` is the day by which an
    authority has usually completed one that is under way.
    """

    policy: str
    rule: str
    outcome: Outcome
    answer: str
    hint: str
    advice: str
    conditions: tuple[Condition, ...]
    dates: tuple[NamedDate, ...]
    warnings: tuple[str, ...]
    request_by: date | None = None
    revoke_by: date | None = None
    safe_revoke_by: date | None = None
    expected_revocation: date | None = None

    @property
    def unmet(self) -> tuple[Condition, ...]:
        return tuple(condition for condition in self.conditions if not condition.is_met)


def explain(facts: Facts, at: datetime) -> Explanation:
    """Why the policy answers as `assess` does for the same facts and moment. Raises the same errors."""
    case = case_of(facts, at)
    return explain_case(case, assess_case(case))


def explain_case(case: Case, assessment: Assessment) -> Explanation:
    told = Placeholders(case, assessment)
    said = sentences.of(assessment, is_late=told.is_late)
    return Explanation(
        policy=case.policy.name,
        rule=assessment.rule,
        outcome=assessment.outcome,
        answer=str(said.answer) % told,
        hint=str(said.hint) % told,
        advice=_advice(said, told),
        conditions=tuple(conditions_of(case)),
        dates=tuple(_dates(told)),
        warnings=tuple(warning_in_words(warning, case.policy) for warning in _warnings(assessment, told)),
        request_by=told.request_by,
        revoke_by=told.revoke_by,
        safe_revoke_by=told.safe_revoke_by,
        expected_revocation=told.expected_revocation,
    )


def hint_of(case: Case, assessment: Assessment) -> str:
    """The explanation's hint alone, for lists."""
    told = Placeholders(case, assessment)
    return str(sentences.of(assessment, is_late=told.is_late).hint) % told


def _advice(said: sentences.Sentences, told: "Placeholders") -> str:
    advice = str(said.advice or sentences.still_useful(told.assessment, is_expired=told.case.is_expired)) % told
    # Past the safe day the advice no longer names it.
    is_provisional = told.safe_day is not None and told.safe_day.provisional and not told.is_late
    return f"{advice} {str(sentences.PROVISIONAL) % {'day': told.safe_revoke_by}}" if is_provisional else advice


def _warnings(assessment: Assessment, told: "Placeholders") -> tuple[Warning, ...]:
    """The assessment's, and the one about a late revocation where the day that sentences name has passed."""
    may_finish_late = told.is_late or told.may_finish_late
    return (Warning.REVOCATION_MAY_FINISH_LATE,) if may_finish_late else assessment.warnings


def name_of(rule: str) -> str:
    """The rule in a word or two, for filters and comparisons."""
    return str(sentences.NAMES[rule])


def warning_in_words(warning: Warning, policy: Policy) -> str:
    return str(sentences.WARNINGS[warning]) % {"allowance": policy.revocation_allowance}


def review_in_words(policy: Policy, due: date | None = None) -> str:
    """How long a review takes under a policy; with `due`, the day by which the request is decided."""
    numbers = {"limit": policy.review_limit, "usual": policy.usual_review}
    if due is None:
        return str(sentences.REVIEW) % numbers
    words = str(sentences.REVIEW_DUE) % {**numbers, "due": due}
    return words if is_announced(due) else f"{words} {str(sentences.PROVISIONAL) % {'day': due}}"


class Placeholders(Mapping[str, str]):
    """What sentences may ask for, worked out only when one does."""

    def __init__(self, case: Case, assessment: Assessment) -> None:
        self.case, self.assessment, self.policy = case, assessment, case.policy

    def __getitem__(self, name: str) -> str:
        return str(_TOLD[name](self))

    def __iter__(self) -> Iterator[str]:
        return iter(_TOLD)

    def __len__(self) -> int:
        return len(_TOLD)

    @property
    def revoke_by(self) -> date | None:
        return self.case.last_useful_day_to_revoke if self.assessment.needs_revocation else None

    @cached_property
    def safe_day(self) -> BusinessDay | None:
        if self.revoke_by is None or self.case.stage == Stage.REVOKING:
            return None
        return last_day_with_nth_business_day_by(self.revoke_by, self.policy.revocation_allowance)

    @property
    def safe_revoke_by(self) -> date | None:
        return self.safe_day.date if self.safe_day else None

    @property
    def request_by(self) -> date | None:
        """The last day to request the refund, also where the revocation still comes first."""
        if self.assessment.needs_revocation:
            return self.case.last_day_to_request_once_revoked
        if self.assessment.outcome == Outcome.NOT_YET:
            return last_day_before(self.assessment.changes_at)
        # `assess` names the expiration day also where the certificate expires as it begins.
        request_by = self.assessment.request_by
        return request_by and min(request_by, self.case.last_day_before_expiration)

    @property
    def is_late(self) -> bool:
        """Whether the safe day to request a revocation has passed."""
        return self.safe_revoke_by is not None and self.safe_revoke_by.toordinal() < self.case.today

    @property
    def expected_revocation(self) -> date | None:
        """The day by which an authority has usually done what was asked of it; None where nothing is under way."""
        requested_at = self.case.facts.revocation_requested_at
        if requested_at is None or self.case.stage != Stage.REVOKING:
            return None
        return add_business_days(service_day(requested_at), self.policy.revocation_allowance).date

    @property
    def may_finish_late(self) -> bool:
        """Whether a revocation that is under way may be completed only after the last useful day."""
        expected = self.expected_revocation
        return expected is not None and self.revoke_by is not None and expected > self.revoke_by

    def revocation_was_due(self) -> date | None:
        """The day by which a revocation would have had to be completed."""
        return last_day_without(self.case)

    def bound(self, column: str) -> int:
        """The number that the deciding row's test of a column turns on, such as 28 for "29 or more"."""
        test = self.case.row.tests[column]
        assert isinstance(test, DayRange)
        if column == "days_left":
            return test.first if test.last is None else test.last + 1
        return test.first - 1 if test.last is None else test.last


def _bound_in_words(column: str, told: Placeholders) -> str:
    return in_days(told.bound(column))


_TOLD: Mapping[str, Callable[[Placeholders], object]] = {
    "amount": lambda told: format_money(told.case.facts.paid, told.case.facts.currency),
    "request_by": lambda told: told.request_by,
    "revoke_by": lambda told: told.revoke_by,
    "safe_revoke_by": lambda told: told.safe_revoke_by,
    "revocation_was_due": lambda told: told.revocation_was_due(),
    "until": lambda told: last_day_before(told.assessment.changes_at),
    "expires_on": lambda told: date.fromordinal(told.case.expiration_day),
    "review": lambda told: review_in_words(told.policy),
    "allowance": lambda told: told.policy.revocation_allowance,
    **{column: partial(_bound_in_words, column) for column in DAYS},
}


def last_day_before(moment: datetime | None) -> date | None:
    """The last day that lies, at least in part, before a moment."""
    return None if moment is None else service_day(moment - timedelta(microseconds=1))


# --- The dates ---------------------------------------------------------------------------------


def _dates(told: Placeholders) -> Iterator[NamedDate]:
    """The days that matter next, or that mattered, each with its meaning."""
    case, assessment = told.case, told.assessment
    if assessment.outcome == Outcome.NO:
        yield from _past(case)
    at_once = last_day_before(assessment.changes_at) if assessment.review == Review.NONE else None
    if at_once:
        yield NamedDate(_("Without a review until"), at_once)
    for name, label in sentences.DATES.items():
        when, is_provisional = _DAYS[name](told)
        if when is not None and when != at_once:
            yield NamedDate(str(label), when, str(sentences.PROVISIONAL_NOTE) if is_provisional else "")
    if assessment.supported and assessment.changes_at == case.facts.expires_at:
        yield NamedDate(sentences.end_label(case), case.facts.expires_at)


# Each day with whether it's provisional: only those that business days are counted to can be.
_DAYS: Mapping[str, Callable[[Placeholders], tuple[date | None, bool]]] = {
    "safe_revoke_by": lambda told: (told.safe_revoke_by, told.safe_day is not None and told.safe_day.provisional),
    "revoke_by": lambda told: (told.revoke_by, False),
    "request_by": lambda told: (told.request_by, False),
    "review_due": lambda told: (told.assessment.review_due, told.assessment.calendar == "provisional"),
}


def _past(case: Case) -> Iterator[NamedDate]:
    """For a "no": what happened when, and the day until which it would have been otherwise."""
    if case.stage in {Stage.ISSUED, Stage.REVOKING, Stage.REVOKED} and case.facts.issued_at:
        yield NamedDate(_("Issued on"), case.facts.issued_at)
    if case.stage == Stage.REVOKED and case.facts.revoked_at:
        yield NamedDate(_("Revocation completed on"), case.facts.revoked_at)
    last = last_day_without(case)
    if last:
        yield NamedDate(sentences.last_day_label(case), last)
    yield NamedDate(sentences.end_label(case), case.facts.expires_at)


def last_day_without(case: Case) -> date | None:
    """The last day before the row that decides began to hold; None where no bound of its days was passed."""
    tests = [(column, test) for column, test in case.row.tests.items() if isinstance(test, DayRange)]
    ends = [end for column, test in tests if (end := case.last_day_without(column, test)) is not None]
    return date.fromordinal(max(ends)) if ends else None
