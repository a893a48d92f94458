"""What the desk's first page shows: how much waits for staff, by what each list says of itself."""

from dataclasses import dataclass
from typing import Any

from django import template
from django.contrib import admin
from django.template import Context
from django.urls import reverse

from core.desk.lists import Waiting, count_shown

register = template.Library()


@dataclass(frozen=True)
class Card:
    label: Any
    number: str
    address: str


@register.simple_tag(takes_context=True)
def waiting_cards(context: Context) -> list[Card]:
    """A card for every list that something waits in, of those that the reader may see."""
    request = context["request"]
    desks: list[Any] = [desk for desk in admin.site._registry.values() if desk.has_view_permission(request)]
    return [_card(desk, waiting) for desk in desks for waiting in desk.waiting()]


def _card(desk: Any, waiting: Waiting) -> Card:
    address = reverse(f"admin:{desk.opts.app_label}_{desk.opts.model_name}_changelist")
    return Card(waiting.label, count_shown(waiting.rows), address + waiting.query)
