"""The links in emails about a change of address."""

from typing import Any

from django import template
from django.utils.translation import gettext as _

from core import email_links
from core.email_links import EmailLink, LinkKind

register = template.Library()


@register.simple_tag(takes_context=True)
def email_change_link(context: Any) -> str:
    """The address of the link, while the email is sent; anyone who only reads the queue gets none."""
    if not context.get("reveal"):
        return _("[The link is shown only to the recipient.]")
    return email_links.address_of(EmailLink(context["change"], LinkKind(context["link"])))
