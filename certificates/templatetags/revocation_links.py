"""The link in the mail to a certificate's contact, and until when it works."""

from typing import Any

from django import template

from certificates import links
from core.mail import revealed

register = template.Library()


@register.simple_tag(takes_context=True)
def revocation_link(context: Any) -> str:
    return revealed(context, lambda: links.address_of(links.Link(context["revocation"], context["link"])))
