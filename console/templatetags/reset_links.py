"""The link in the email that sets a new password, and for how long it works."""

from typing import Any

from django import template
from django.conf import settings

from console.sign_in import resets
from core.mail import revealed

register = template.Library()


@register.simple_tag(takes_context=True)
def reset_link(context: Any) -> str:
    return revealed(context, lambda: resets.address_of(context["reader"]))


@register.simple_tag
def reset_hours() -> int:
    return settings.PASSWORD_RESET_TIMEOUT // 3600
