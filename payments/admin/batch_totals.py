"""What a bank batch comes to: its payouts counted, their money and what became of them."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.desk.marks import Fact, facts, money_mark, mono
from core.models import User
from payments.days import zone_name
from payments.models import BankBatch
from payments.services import tallies_of
from payments.states import UNDER_WAY, Channel, PayoutState


@dataclass(frozen=True)
class Standing:
    """A batch's lines, counted: per currency what they sum to, and how many are open, paid, failed and came back."""

    count: int
    totals: dict[str, int]
    states: dict[str, int]

    @property
    def money(self) -> SafeString:
        marks = ((money_mark(amount, currency),) for currency, amount in self.totals.items())
        return format_html_join(", ", "{}", marks)

    @property
    def words(self) -> str:
        labels = {
            "open": _("%(number)s open"),
            PayoutState.PAID: _("%(number)s paid"),
            PayoutState.FAILED: _("%(number)s failed"),
            PayoutState.RETURNED: _("%(number)s returned"),
        }
        told = [str(label) % {"number": self.states[state]} for state, label in labels.items() if self.states[state]]
        return " · ".join(told)


def standings(batches: Iterable[BankBatch]) -> dict[int, Standing]:
    """The standing of each of these batches, in one query."""
    tallies = defaultdict(list)
    for tally in tallies_of(batch.pk for batch in batches):
        tallies[tally.batch_id].append(tally)
    return {batch.pk: _standing(tallies[batch.pk]) for batch in batches}


def _standing(tallies: list[Any]) -> Standing:
    totals: dict[str, int] = defaultdict(int)
    states: dict[str, int] = defaultdict(int)
    for tally in tallies:
        totals[tally.currency] += tally.amount
        states["open" if tally.state in UNDER_WAY else tally.state] += tally.number
    return Standing(sum(states.values()), dict(sorted(totals.items())), states)


def day_in_words(batch: BankBatch) -> str:
    return f"{batch.day} ({zone_name(Channel.BANK)})"


def batch_facts(batch: BankBatch, by: User) -> list[Fact]:
    standing = standings([batch])[batch.pk]
    return [
        Fact(gettext("Day in the bank's books"), day_in_words(batch)),
        Fact(gettext("Payouts"), standing.count),
        *(Fact(currency, money_mark(amount, currency)) for currency, amount in standing.totals.items()),
        Fact(gettext("State"), standing.words),
        *facts(batch, by, "made_at", "made_by"),
        Fact(gettext("SHA-256 of the file"), mono(batch.digest)),
    ]
