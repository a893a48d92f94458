"""Mails: one row a notice, rendered for its reader, sent by the worker until the server takes it."""

import smtplib
from html.parser import HTMLParser

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend

from core import jobs
from core.mail import compose, notify
from core.models import Job, Notice, User
from tests import factories
from tests.factories import NOON

EVENTS = ["received", "approved", "rejected", "cancelled", "lapsed", "failed", "refunded", "returned"]
CONTEXT = {
    "reference": "RF-20261123-ABCDEFGH",
    "certificate": "shop.example.com",
    "instance_id": "cas-sg-0123456789ab",
    "amount": 120_000,
    "currency": "CNY",
    "answer": "",
    "lapse_cause": "expired",
    "review_due": "2026-12-14",
    "part": {"amount": 120_000, "currency": "CNY", "channel": "card"},
}
LINK = "http://localhost:8000/refunds/RF-20261123-ABCDEFGH/"


def noon():
    return NOON


def send_due() -> int:
    return jobs.run_due("worker", clock=noon)


def composed(event: str, reader: User, **context: str):
    notice = Notice(
        recipient=reader, template=f"refund_{event}", context={**CONTEXT, **context}, message_id="<1@example.com>"
    )
    message = compose(notice)
    [(html, kind)] = message.alternatives
    assert kind == "text/html"
    return message, html


class Outline(HTMLParser):
    """The tags of a document and the texts in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in {"href", "src"}]

    def handle_data(self, data):
        self.words += data


# --- What is written ---------------------------------------------------------------------------


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_says_the_same_in_both_forms(customer, event):
    message, html = composed(event, customer)
    outline = Outline(html)
    assert "RF-20261123-ABCDEFGH" in message.subject
    for said in ("CNY 1,200.00", "shop.example.com", "cas-sg-0123456789ab"):
        assert said in message.body
        assert said in outline.words
    assert LINK in message.body
    assert outline.links == [LINK]
    words = message.body.split("\n\n")[1]
    assert len(words) > 20
    assert words in outline.words


@pytest.mark.parametrize("event", EVENTS)
def test_mail_fetches_nothing_and_leaves_no_placeholder(customer, event):
    message, html = composed(event, customer)
    assert not {"img", "script", "link", "iframe"} & set(Outline(html).tags)
    assert "color-scheme" in html
    for form in (message.subject, message.body, html):
        assert "{{" not in form
        assert "{%" not in form
        assert "None" not in form


@pytest.mark.parametrize(
    ("cause", "said"), [("expired", "expired before"), ("issued", "issued the certificate"), ("unanswered", "question")]
)
def test_lapsed_request_says_why(customer, cause, said):
    message, html = composed("lapsed", customer, lapse_cause=cause)
    assert said in message.body
    assert said in html
    assert "\n\n\n" not in message.body


def test_rejection_carries_the_answer_as_written_and_escaped_in_html(customer):
    answer = "We see <3 uses &\nno refund."
    message, html = composed("rejected", customer, answer=answer)
    assert answer in message.body
    assert "We see &lt;3 uses &amp;<br>no refund." in html


def test_name_that_looks_like_markup_stays_text(customer):
    message, html = composed("refunded", customer, certificate="<b>x & y</b>")
    assert "<b>x & y</b>" in message.body
    assert "<b>" not in html


def test_subject_is_one_line_whatever_the_reference(customer):
    message, _ = composed("refunded", customer, reference="RF-1\r\nBcc: all@example.com")
    assert "\n" not in message.subject


def test_amount_is_written_in_the_readers_language(customer, settings):
    settings.LANGUAGES = [("en", "English"), ("de", "Deutsch")]
    customer.language = "de"
    message, html = composed("refunded", customer)
    assert "CNY 1.200,00" in message.body
    assert 'lang="de"' in html


# --- How it is sent ----------------------------------------------------------------------------


def tell(user: User, key: str = "RF-1:refunded") -> None:
    notify(user, "refund_refunded", key=key, context=CONTEXT, at=NOON)


def test_notice_is_mailed_once_under_its_own_message_id(customer):
    tell(customer)
    tell(customer)
    assert send_due() == 1
    [sent] = mail.outbox
    notice = Notice.objects.get()
    assert sent.to == ["customer@example.com"]
    assert sent.message()["Message-ID"] == notice.message_id
    assert notice.sent_at == NOON
    assert send_due() == 0


def test_message_id_names_the_senders_domain_alone(customer, settings):
    settings.DEFAULT_FROM_EMAIL = "Refunds <refunds@example.org>"
    tell(customer)
    assert Notice.objects.get().message_id.endswith("@example.org>")


def test_person_without_an_address_gets_no_mail(db):
    tell(factories.UserFactory(email=""))
    assert not Notice.objects.exists()
    assert not Job.objects.exists()


def test_person_whose_address_went_away_meanwhile_gets_no_mail(customer):
    tell(customer)
    User.objects.filter(pk=customer.pk).update(email="")
    assert send_due() == 1
    assert mail.outbox == []
    assert Job.objects.get().state == Job.State.DONE


class FailingBackend(EmailBackend):
    """Refuses the first mail, as a server that is away does."""

    failures = 1

    def send_messages(self, messages):
        if FailingBackend.failures:
            FailingBackend.failures -= 1
            raise smtplib.SMTPServerDisconnected("Connection unexpectedly closed")
        return super().send_messages(messages)


def test_mail_that_the_server_refused_is_tried_again(customer, settings):
    settings.EMAIL_BACKEND = "tests.jobs.test_mail.FailingBackend"
    FailingBackend.failures = 1
    tell(customer)
    assert send_due() == 1
    job = Job.objects.get()
    assert (job.state, mail.outbox) == (Job.State.QUEUED, [])
    assert job.last_error.startswith("SMTPServerDisconnected")
    Job.objects.update(run_at=job.created_at)
    assert send_due() == 1
    assert len(mail.outbox) == 1


def test_second_copy_carries_the_same_message_id(customer):
    """The server took the mail and the worker died before it could say so."""
    tell(customer)
    killed = jobs.claim("killed")
    compose(Notice.objects.get()).send()
    Job.objects.filter(pk=killed.pk).update(lease="", leased_until=None)
    assert send_due() == 1
    first, second = mail.outbox
    assert first.message()["Message-ID"] == second.message()["Message-ID"]


def test_notice_that_was_sent_is_not_sent_again(customer):
    tell(customer)
    Notice.objects.update(sent_at=NOON)
    assert send_due() == 1
    assert mail.outbox == []
