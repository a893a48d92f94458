"""The link in the mail to a certificate's contact, and until when it works."""

from typing import Any

from django import template
from django.utils.translation import gettext as _

from certificates import links

register = template.Library()


@register.simple_tag(takes_context=True)
def revocation_link(context: Any) -> str:
    """The address that confirms the revocation, while the mail is sent; whoever only reads the queue gets no link."""
    if not context.get("reveal"):
        return _("[The link is shown to the recipient alone.]")
    return links.address_of(links.Link(context["revocation"], context["link"]))
