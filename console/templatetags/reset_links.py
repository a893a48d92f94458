"""The link in the email that sets a new password, and for how long it works."""

from typing import Any

from django import template
from django.conf import settings
from django.utils.translation import gettext as _

from console.sign_in import resets

register = template.Library()


@register.simple_tag(takes_context=True)
def reset_link(context: Any) -> str:
    """A new link, while the email is sent; anyone who only reads the queue gets none."""
    if not context.get("reveal"):
        return _("[The link is shown only to the recipient.]")
    return resets.address_of(context["reader"])


@register.simple_tag
def reset_hours() -> int:
    return settings.PASSWORD_RESET_TIMEOUT // 3600
