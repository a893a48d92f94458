"""What conditions and their facts say, read as a person would: by the words and the events, never by the tables."""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import cache
from typing import Any

from refunds.rules.assess import Facts
from tests.policy.oracle import SHANGHAI

Judge = Callable[[Facts, datetime], bool]


@cache
def read(text: str) -> Judge:
    """What tells whether a sentence is true of the facts known at a moment. Raises ValueError for unknown words."""
    for pattern, judge in SENTENCES.items():
        if found := re.fullmatch(pattern, text, re.IGNORECASE):
            values = [_value(word) for word in found.groups()]
            return lambda facts, at: bool(judge(Known(facts, at), *values))
    for separator, combined in ((", or ", any), (", ", all)):
        if separator in text:
            parts = [read(part) for part in text.split(separator)]
            return lambda facts, at: combined(part(facts, at) for part in parts)
    raise ValueError(f"nobody knows what this means: {text}")


def _value(word: str) -> Any:
    if re.fullmatch(r"-?\d+", word):
        return int(word)
    return date.fromisoformat(word) if re.fullmatch(r"\d{4}-\d\d-\d\d", word) else word


class Known:
    """Events as a person knows them: the facts, and the days between them."""

    def __init__(self, facts: Facts, at: datetime) -> None:
        self.facts, self.at = facts, at

    def day(self, name: str) -> date:
        return getattr(self.facts, name).astimezone(SHANGHAI).date()

    @property
    def today(self) -> date:
        return self.at.astimezone(SHANGHAI).date()

    @property
    def is_issued(self) -> bool:
        return self.facts.issued_at is not None

    @property
    def is_revoked(self) -> bool:
        return self.is_issued and self.facts.revoked_at is not None

    @property
    def bought(self) -> int:
        """Days ago."""
        return (self.today - self.day("purchased_at")).days

    @property
    def issued(self) -> int:
        """Days ago."""
        return (self.today - self.day("issued_at")).days

    @property
    def left(self) -> int:
        return (self.day("expires_at") - self.today).days

    @property
    def revoked_after(self) -> int:
        return (self.day("revoked_at") - self.day("issued_at")).days

    @property
    def paid(self) -> str:
        steps = {"JPY": 0, "KWD": 3}.get(self.facts.currency, 2)
        return f"{self.facts.paid / 10**steps:,.{steps}f}"


SENTENCES: Mapping[str, Callable[..., Any]] = {
    # What is required.
    r"bought in this console": lambda known: known.facts.source == "purchased",
    r"not a free certificate": lambda known: not known.facts.free,
    r"paid for, not only with a voucher": lambda known: known.facts.paid > 0,
    r"not expired": lambda known: known.at < known.facts.expires_at,
    r"bought no more than (\d+) days? ago": lambda known, days: known.bought <= days,
    r"bought more than (\d+) days? ago": lambda known, days: known.bought > days,
    r"at least (\d+) days? left before it expires": lambda known, days: known.left >= days,
    r"fewer than (\d+) days? left before it expires": lambda known, days: known.left < days,
    r"issued no more than (\d+) days? ago": lambda known, days: known.is_issued and known.issued <= days,
    r"issued more than (\d+) days? ago": lambda known, days: known.is_issued and known.issued > days,
    r"revoked within (\d+) days? of the issue": lambda known, days: known.is_revoked and known.revoked_after <= days,
    r"not issued, and not approved by the certificate authority yet": lambda known: (
        not known.is_issued and known.facts.validated_at is None
    ),
    r"not approved by the certificate authority yet": lambda known: known.facts.validated_at is None,
    r"issued and then revoked": lambda known: known.is_revoked,
    r"revoked by (\S+) at the latest": lambda known, day: known.is_revoked and known.day("revoked_at") <= day,
    r"revoked": lambda known: known.is_revoked,
    # By which facts it was judged.
    r"uploaded on (\S+)": lambda known, day: known.facts.source == "uploaded" and known.day("purchased_at") == day,
    r"bought here on (\S+)": lambda known, day: known.facts.source == "purchased" and known.day("purchased_at") == day,
    r"free product": lambda known: known.facts.free,
    r"paid product": lambda known: not known.facts.free,
    r"([A-Z]{3}) (\S+) paid": lambda known, currency, amount: (
        (currency, str(amount)) == (known.facts.currency, known.paid)
    ),
    r"expired on (\S+)": lambda known, day: known.facts.expires_at <= known.at and known.day("expires_at") == day,
    r"expires on (\S+)": lambda known, day: known.at < known.facts.expires_at and known.day("expires_at") == day,
    r"(-?\d+) days? left": lambda known, days: known.left == days,
    r"(-?\d+) days? after the issue": lambda known, days: known.revoked_after == days,
    r"bought today": lambda known: known.bought == 0,
    r"bought (-?\d+) days? ago": lambda known, days: known.bought == days,
    r"issued today": lambda known: known.issued == 0,
    r"issued (-?\d+) days? ago": lambda known, days: known.issued == days,
    r"not issued": lambda known: not known.is_issued,
    r"approved on (\S+)": lambda known, day: not known.is_issued and known.day("validated_at") == day,
    r"revoked on (\S+)": lambda known, day: known.is_revoked and known.day("revoked_at") == day,
    r"not revoked": lambda known: known.is_issued and not known.is_revoked,
    r"revocation requested on (\S+), not completed yet": lambda known, day: (
        not known.is_revoked and known.day("revocation_requested_at") == day
    ),
}
