"""One queue for every mail: a row a notice, sent by the worker in its reader's language and time zone."""

from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import make_msgid, parseaddr
from functools import partial
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from core import jobs
from core.models import Notice, User
from core.text import isolated


def notify(user: User, template: str, *, key: str, context: dict[str, Any], at: datetime, address: str = "") -> None:
    """Queue one mail in the caller's transaction. A person without an address, or a known key, gets nothing more.

    `address` sends it elsewhere, in the language and zone of `user`, whose matter it is.
    """
    if not (address or user.email):
        return
    notice, created = Notice.objects.get_or_create(
        key=key,
        defaults={
            "recipient": user,
            "address": address,
            "template": template,
            "context": context,
            "message_id": make_msgid(domain=_sender_domain()),
            "created_at": at,
        },
    )
    if created:
        jobs.enqueue("send_mail", key=key, payload={"notice": notice.pk})


def send_notice(payload: dict[str, Any], *, at: datetime) -> Callable[[], None] | None:
    """Job handler: render and send. Raises what the mail server raises, so that it is tried again."""
    notice = Notice.objects.select_related("recipient").get(pk=payload["notice"])
    if notice.sent_at is None:
        compose(notice, reveal=True).send()
    return partial(_note_sent, notice, at=at)


def compose(notice: Notice, *, reveal: bool = False) -> EmailMultiAlternatives:
    """The message of a notice, in its reader's language and time zone.

    `reveal` is for sending alone: what nobody but the recipient may read, such as a link that acts for them, is made
    by a template tag only then, and stands neither in the notice's row nor on the desk.
    """
    reader = notice.recipient
    typed = {name: _isolated(value) for name, value in notice.context.items()}
    context = {**typed, "reader": reader, "base_url": settings.BASE_URL, "reveal": reveal}
    with translation.override(reader.language), timezone.override(reader.time_zone):
        subject = " ".join(render_to_string(f"mail/{notice.template}.subject.txt", context).split())
        text = render_to_string(f"mail/{notice.template}.txt", context)
        html = render_to_string(f"mail/{notice.template}.html", context)
    message = EmailMultiAlternatives(
        subject, text, to=[notice.address or reader.email], headers={"Message-ID": notice.message_id}
    )
    message.attach_alternative(html, "text/html")
    return message


def revealed(context: Mapping[str, Any], make_link: Callable[[], str]) -> str:
    """A link for an email's template: made while the email is sent; anyone who only reads the queue gets a stand-in."""
    return make_link() if context.get("reveal") else _("[The link is shown only to the recipient.]")


def _isolated(value: Any) -> Any:
    """What people typed can't turn the words of a mail around it; anything else is left as it is."""
    if isinstance(value, dict):
        return {name: _isolated(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_isolated(each) for each in value]
    return isolated(value) if isinstance(value, str) else value


def _sender_domain() -> str:
    """What stands behind the @ of the sender, which may be written with a name before it."""
    return parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]


def _note_sent(notice: Notice, *, at: datetime) -> None:
    Notice.objects.filter(pk=notice.pk, sent_at=None).update(sent_at=at)
