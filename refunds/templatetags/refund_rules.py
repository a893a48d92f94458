"""The explanation that an email carries, in its reader's language."""

from datetime import datetime
from typing import Any

from django import template

from refunds.rules.assess import Facts
from refunds.rules.explain import Explanation, explain
from refunds.rules.policies import POLICIES, Policy

register = template.Library()


@register.simple_tag
def explanation_of(facts: dict[str, Any], asked_at: str) -> Explanation:
    """Why the policy answers as it does for facts as `Facts.to_json` keeps them, at an ISO 8601 moment."""
    return explain(Facts.from_json(facts), datetime.fromisoformat(asked_at))


@register.filter
def policy_named(name: str) -> Policy:
    return POLICIES[name]
