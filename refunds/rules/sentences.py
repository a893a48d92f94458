"""The words of the refund rules. Numbers, days and amounts are placeholders, filled from the table that decided."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from refunds.rules.assess import Assessment, Case, Warning
from refunds.rules.policies import Rule
from refunds.rules.table import Outcome, Stage

Words = str | Promise


@dataclass(frozen=True, slots=True)
class Sentences:
    """One rule in words: the answer, the same for a row of a list, and what the customer can do."""

    answer: Words
    hint: Words
    advice: Words = ""


# What's left of a certificate that isn't refundable. One that is revoked, or is being revoked, is of no more use.
_STILL_USEFUL: Mapping[Stage, Words] = MappingProxyType(
    {
        Stage.UNISSUED: gettext_lazy("You can still apply for the certificate and use it until %(expires_on)s."),
        Stage.VALIDATED: gettext_lazy("You can use the certificate, once it's issued, until it expires."),
        Stage.ISSUED: gettext_lazy("You can keep using the certificate until it expires on %(expires_on)s."),
    }
)

_RULES: Mapping[str, Sentences] = MappingProxyType(
    {
        Rule.UPLOADED: Sentences(
            gettext_lazy("Not refundable: this certificate was bought elsewhere, so nothing was paid for it here."),
            gettext_lazy("Not refundable: bought elsewhere"),
            gettext_lazy("Ask for a refund where you bought it."),
        ),
        Rule.FREE_DV: Sentences(
            gettext_lazy("Not refundable: free DV certificates cost nothing, so there's nothing to give back."),
            gettext_lazy("Not refundable: free certificate"),
        ),
        Rule.NOTHING_PAID: Sentences(
            gettext_lazy("Not refundable: a voucher paid for all of it, and vouchers aren't refunded."),
            gettext_lazy("Not refundable: paid by voucher"),
        ),
        Rule.EXPIRED: Sentences(
            gettext_lazy("Not refundable: it expired on %(expires_on)s, and a refund has to be requested before that."),
            gettext_lazy("Not refundable: expired"),
        ),
        Rule.WINDOW_OVER: Sentences(
            gettext_lazy("Not refundable: it was bought more than %(days_since_payment)s ago."),
            gettext_lazy("Not refundable: bought more than %(days_since_payment)s ago"),
        ),
        Rule.ISSUED_REVOKED: Sentences(
            gettext_lazy("You can get %(amount)s back after a review. Request it by %(request_by)s."),
            gettext_lazy("%(amount)s, after a review, until %(request_by)s"),
            gettext_lazy("Request the refund by %(request_by)s. %(review)s"),
        ),
        Rule.REVOKED_TOO_LATE: Sentences(
            gettext_lazy("Not refundable: the revocation was completed more than %(revoked_after)s after the issue."),
            gettext_lazy("Not refundable: revoked more than %(revoked_after)s after the issue"),
        ),
        Rule.ISSUED_TOO_LONG: Sentences(
            gettext_lazy(
                "Not refundable: the certificate was issued more than %(days_since_issue)s ago. The revocation had to "
                "be completed by %(revocation_was_due)s."
            ),
            gettext_lazy("Not refundable: issued more than %(days_since_issue)s ago"),
        ),
        Rule.REVOCATION_PENDING: Sentences(
            gettext_lazy(
                "Not refundable yet: you can get %(amount)s back if the revocation is completed by %(revoke_by)s."
            ),
            gettext_lazy("%(amount)s if it's revoked by %(revoke_by)s"),
            gettext_lazy(
                "Wait until the revocation is completed, then request the refund by %(request_by)s. If the revocation "
                "is completed after %(revoke_by)s, the refund is lost."
            ),
        ),
        Rule.REVOKE_FIRST: Sentences(
            gettext_lazy("Not refundable yet: revoke it by %(safe_revoke_by)s to get %(amount)s back."),
            gettext_lazy("Revoke by %(safe_revoke_by)s to get %(amount)s back"),
            gettext_lazy(
                "Revoke the certificate by %(safe_revoke_by)s; the certificate authority may need %(allowance)s "
                "business days. You can't undo this. Then request the refund by %(request_by)s. %(review)s"
            ),
        ),
        Rule.VALIDATED_UNISSUED: Sentences(
            gettext_lazy(
                "Not refundable yet: the certificate authority has approved the application and is about to issue the "
                "certificate."
            ),
            gettext_lazy("Not refundable yet: about to be issued"),
            gettext_lazy(
                "Wait until the certificate is issued. If it's then revoked in time, you can request a refund until "
                "%(request_by)s."
            ),
        ),
        Rule.UNISSUED_IMMEDIATE: Sentences(
            gettext_lazy("You can get %(amount)s back at once, without a review, until %(until)s."),
            gettext_lazy("%(amount)s at once until %(until)s"),
            gettext_lazy("Request the refund by %(until)s. No review is needed."),
        ),
        Rule.UNISSUED_MANUAL: Sentences(
            gettext_lazy("You can get %(amount)s back after a review. Request it by %(request_by)s."),
            gettext_lazy("%(amount)s, after a review, until %(request_by)s"),
            gettext_lazy("Request the refund by %(request_by)s. %(review)s"),
        ),
        Rule.UNISSUED_TOO_LATE: Sentences(
            gettext_lazy("Not refundable: fewer than %(days_left)s are left before the service period ends."),
            gettext_lazy("Not refundable: fewer than %(days_left)s left"),
        ),
    }
)

# Past the safe day, following the calm sentence could lose the money.
_REVOKE_TODAY = Sentences(
    gettext_lazy(
        "Not refundable yet: revoke it today. It may be too late to get %(amount)s back, since the revocation must be "
        "completed by %(revoke_by)s."
    ),
    gettext_lazy("Revoke today: it may be too late for %(amount)s (must be completed by %(revoke_by)s)"),
    gettext_lazy(
        "Revoke the certificate today. The certificate authority may need %(allowance)s business days, and the refund "
        "is lost if the revocation is completed after %(revoke_by)s. You can't undo this. Then request the refund by "
        "%(request_by)s. %(review)s"
    ),
)


def of(assessment: Assessment, *, is_late: bool) -> Sentences:
    """The sentences of the rule that decided. `is_late`: the safe day to request a revocation has passed."""
    return _REVOKE_TODAY if is_late else _RULES[assessment.rule]


def still_useful(assessment: Assessment, *, is_expired: bool) -> Words:
    """What a certificate that isn't refundable is still good for; empty where it's good for nothing."""
    is_over = assessment.outcome != Outcome.NO or is_expired
    return "" if is_over else _STILL_USEFUL.get(assessment.stage, "")


# The rule in a word or two, for filters and comparisons.
NAMES: Mapping[str, Words] = MappingProxyType(
    {
        Rule.UPLOADED: gettext_lazy("Uploaded"),
        Rule.FREE_DV: gettext_lazy("Free DV"),
        Rule.NOTHING_PAID: gettext_lazy("Nothing paid"),
        Rule.EXPIRED: gettext_lazy("Expired"),
        Rule.WINDOW_OVER: gettext_lazy("Refund window over"),
        Rule.ISSUED_REVOKED: gettext_lazy("Revoked in time"),
        Rule.REVOKED_TOO_LATE: gettext_lazy("Revoked too late"),
        Rule.ISSUED_TOO_LONG: gettext_lazy("Issued too long ago"),
        Rule.REVOCATION_PENDING: gettext_lazy("Revocation under way"),
        Rule.REVOKE_FIRST: gettext_lazy("Revoke first"),
        Rule.VALIDATED_UNISSUED: gettext_lazy("Approved, not issued yet"),
        Rule.UNISSUED_IMMEDIATE: gettext_lazy("Not issued, paid at once"),
        Rule.UNISSUED_MANUAL: gettext_lazy("Not issued, with review"),
        Rule.UNISSUED_TOO_LATE: gettext_lazy("Too close to the end"),
    }
)

WARNINGS: Mapping[Warning, Words] = MappingProxyType(
    {
        Warning.MAY_NOT_FINISH_BEFORE_EXPIRY: gettext_lazy(
            "The review may not finish before the certificate expires. If it expires first, there is no refund."
        ),
        Warning.REVOCATION_MAY_FINISH_LATE: gettext_lazy(
            "A certificate authority may take up to %(allowance)s business days to revoke, so the revocation may be "
            "completed too late for a refund."
        ),
    }
)

# How long a review takes, before a request and after it.
REVIEW = gettext_lazy("Our staff decide within %(limit)s business days, usually within %(usual)s.")
REVIEW_DUE = gettext_lazy("Our staff decide by %(due)s at the latest, usually within %(usual)s business days.")

# What goes with a day that was counted in business days: after a sentence with it, and beside it in a list.
PROVISIONAL = gettext_lazy("%(day)s is provisional: it depends on holidays that haven't been announced yet.")
PROVISIONAL_NOTE = gettext_lazy("(provisional: it depends on holidays that haven't been announced yet)")

# What the days mean, in the order in which they come.
DATES: Mapping[str, Words] = MappingProxyType(
    {
        "safe_revoke_by": gettext_lazy("Last safe day to request the revocation"),
        "revoke_by": gettext_lazy("Revocation must be completed by"),
        "request_by": gettext_lazy("Last day to request the refund"),
        "review_due": gettext_lazy("Decided by, if you submit today"),
    }
)


def last_day_label(case: Case) -> str:
    """What the last day before a "no" is called: by what was late, not by how far the certificate is."""
    if case.row.tests.keys() & {"days_since_payment", "days_left"}:
        return _("Last day to request a refund was")
    return _("Revocation had to be completed by")


def end_label(case: Case) -> str:
    """What the end of the certificate is called."""
    if case.is_expired:
        return _("Expired on")
    return _("Expires on") if case.facts.issued_at else _("Service period ends on")


def in_days(days: int) -> str:
    """A number of days, such as "28 days"."""
    return ngettext("%(days)d day", "%(days)d days", days) % {"days": days}


def joined(separator: str, parts: Iterable[str]) -> str:
    """Parts of one sentence; only the first begins with a capital letter."""
    first, *others = [*parts] or [""]
    return separator.join([first, *(other[:1].lower() + other[1:] for other in others)])
