"""The explanation that an email carries, in its reader's language."""

from datetime import date, datetime
from typing import Any

from django import template

from refunds.rules.assess import Facts
from refunds.rules.explain import Explanation, explain, review_in_words
from refunds.rules.policies import POLICIES
from refunds.rules.situation import found_in_words

register = template.Library()


@register.simple_tag
def explanation_of(facts: dict[str, Any], asked_at: str) -> Explanation:
    """Why the policy answers as it does for facts as `Facts.to_json` keeps them, at an ISO 8601 moment."""
    return explain(Facts.from_json(facts), datetime.fromisoformat(asked_at))


@register.simple_tag
def found_refund(found_at: str) -> str:
    """Why no other refund can be requested after one was found at the channel at an ISO 8601 moment."""
    return found_in_words(datetime.fromisoformat(found_at))


@register.simple_tag
def review_of(policy: str, due: str) -> str:
    """How long the review of a request takes under a policy; `due` is a day as `date.isoformat` writes it."""
    return review_in_words(POLICIES[policy], date.fromisoformat(due))
