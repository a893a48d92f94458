"""What differs between the terms that a customer saw and those that hold now, in words."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core.money import format_money
from refunds.pages.payments_back import parts_from
from refunds.rules.assess import Warning
from refunds.rules.explain import name_of, warning_in_words
from refunds.rules.policies import POLICIES
from refunds.rules.table import Review
from refunds.services.agreed import Summary, differences
from refunds.wording import REVIEWS


@dataclass(frozen=True, slots=True)
class Change:
    label: str | Promise
    before: str
    now: str


def changes_between(seen: Summary, now: Summary) -> list[Change]:
    """Every difference, in the order shown; empty when nothing differs."""
    return [_change(name, seen, now) for name in differences(seen, now)]


def _change(name: str, seen: Summary, now: Summary) -> Change:
    label, in_words = _FIELDS[name]
    return Change(label, in_words(seen), in_words(now))


def _rule(summary: Summary) -> str:
    return name_of(summary.rule)


def _review(summary: Summary) -> str:
    return str(REVIEWS[Review(summary.review)]) if summary.review else _("none, since there is no refund")


def _money(name: str) -> Callable[[Summary], str]:
    def in_words(summary: Summary) -> str:
        amount: int | None = getattr(summary, name)
        return _("nothing") if amount is None else format_money(amount, summary.currency)

    return in_words


def _channels(summary: Summary) -> str:
    parts = parts_from(summary.channels, summary.currency)
    return ", ".join(f"{part.label}: {part.money}" for part in parts) or _("nowhere")


def _warnings(summary: Summary) -> str:
    return " ".join(warning_in_words(Warning(name), POLICIES[summary.policy]) for name in summary.warnings) or _("none")


def _policy(summary: Summary) -> str:
    return summary.policy


def _currency(summary: Summary) -> str:
    return summary.currency


_FIELDS: dict[str, tuple[Any, Callable[[Summary], str]]] = {
    "policy": (gettext_lazy("Refund policy"), _policy),
    "rule": (gettext_lazy("Refund rule"), _rule),
    "review": (gettext_lazy("Review"), _review),
    "paid": (gettext_lazy("Paid"), _money("paid")),
    "voucher": (gettext_lazy("Voucher (not refunded)"), _money("voucher")),
    "amount": (gettext_lazy("You get back"), _money("amount")),
    "currency": (gettext_lazy("Currency"), _currency),
    "channels": (gettext_lazy("To"), _channels),
    "warnings": (gettext_lazy("Warnings"), _warnings),
}
