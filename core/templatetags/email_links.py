"""The links in emails about a change of address."""

from typing import Any

from django import template

from core import email_links
from core.email_links import EmailLink, LinkKind
from core.mail import revealed

register = template.Library()


@register.simple_tag(takes_context=True)
def email_change_link(context: Any) -> str:
    return revealed(context, lambda: email_links.address_of(EmailLink(context["change"], LinkKind(context["link"]))))
