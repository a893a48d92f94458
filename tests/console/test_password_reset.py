"""Resetting a password: a link by email, made while the email is sent, and an answer that gives nobody away."""

import json
import re
from datetime import timedelta
from smtplib import SMTPServerDisconnected

import pytest
import time_machine
from django.contrib.admin.models import LogEntry
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from console.worker import keep_house
from core import jobs
from core.mail import compose
from core.models import Job, Notice, User
from tests.conftest import signed_in
from tests.factories import NOON, staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("frozen")]
RESET = "/accounts/password/reset/"
DOOR = "/accounts/login/"
PASSWORD = "refund-demo"
NEW_PASSWORD = "another-long-one-7"
LINK = re.compile(r"\S+/accounts/password/reset/key/\S+")


def ask(email: str = "customer@example.com", **extra: str):
    return Client().post(RESET, {"email": email}, **extra)


def work() -> None:
    """What the worker does with what is queued."""
    jobs.run_due("worker", clock=lambda: NOON)


def sent_link(email: str = "customer@example.com", **extra: str) -> str:
    mail.outbox.clear()
    assert ask(email, **extra).status_code == 302
    work()
    [message] = mail.outbox
    [link] = set(LINK.findall(message.body))
    return link


def path_of(link: str) -> str:
    return link.removeprefix("http://localhost:8000")


def opened(client: Client, link: str) -> tuple[str, str]:
    """Where a link leads, and what is read there."""
    answer = client.get(path_of(link), follow=True)
    return answer.request["PATH_INFO"], answer.content.decode()


def set_by(client: Client, link: str, password: str = NEW_PASSWORD):
    where, _ = opened(client, link)
    return client.post(where, {"password1": password, "password2": password}, follow=True)


def signs_in(client: Client, password: str, login: str = "customer") -> bool:
    return client.post(DOOR, {"login": login, "password": password}).status_code == 302


# --- The way through ---------------------------------------------------------------------------


def test_a_customer_who_forgot_the_password_gets_a_link_by_mail_and_a_new_one_through_it(customer: User) -> None:
    client = Client()
    assert "Your password is set" in set_by(client, sent_link()).content.decode()
    assert signs_in(Client(), NEW_PASSWORD)
    assert not signs_in(Client(), PASSWORD)


def test_a_customer_without_a_password_gets_a_first_one(db: None) -> None:
    User.objects.create_user("imported", "imported@example.com")
    set_by(Client(), sent_link("imported@example.com"))
    assert signs_in(Client(), NEW_PASSWORD, "imported")


def test_the_mail_speaks_of_this_console_and_says_how_long_the_link_works(customer: User) -> None:
    sent_link()
    [message] = mail.outbox
    assert (message.subject, message.to) == ("Set a new password for SSL Certificates", ["customer@example.com"])
    [(page, kind)] = message.alternatives
    assert kind == "text/html"
    for form in (message.body, page):
        assert "for 24 hours after this email was sent" in form
        assert "Your user name is customer." in form


def test_the_mail_leads_to_this_console_whatever_host_was_asked(customer: User) -> None:
    for host in ("127.0.0.1:6666", "localhost:1", "[::1]"):
        assert sent_link(HTTP_HOST=host).startswith("http://localhost:8000/accounts/password/reset/key/")
        [(page, _)] = mail.outbox[0].alternatives
        assert host not in mail.outbox[0].body + page


def test_a_customer_who_left_gets_no_link(customer: User) -> None:
    customer.is_active = False
    customer.save()
    ask()
    work()
    assert mail.outbox == []


def test_the_link_goes_to_the_address_that_the_account_has_when_it_is_sent(customer: User) -> None:
    ask()
    [job] = jobs.due()
    jobs.run(jobs.claim("worker"), at=NOON)
    User.objects.filter(pk=customer.pk).update(email="new@example.com")
    work()
    assert [message.to for message in mail.outbox] == [["new@example.com"]]
    assert job.kind == "order_reset_link"


# --- What an answer gives away -----------------------------------------------------------------


class AwayBackend(EmailBackend):
    def send_messages(self, messages):
        raise SMTPServerDisconnected("please run connect() first")


def test_a_known_and_an_unknown_address_are_answered_alike_while_the_mail_server_is_away(
    customer: User, settings: Settings
) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.AwayBackend"
    answers = [ask("customer@example.com"), ask("nobody@example.com")]
    assert [(answer.status_code, answer["Location"]) for answer in answers] == [(302, f"{RESET}done/")] * 2


def test_a_link_asked_for_while_the_mail_server_is_away_comes_when_it_is_back(
    customer: User, settings: Settings, frozen: time_machine.Traveller
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EmailBackend, "send_messages", AwayBackend.send_messages)
        ask()
        work()
    assert mail.outbox == []
    assert "reset/key" not in Job.objects.get(kind="send_mail").last_error
    # Longer than a link works: it is made when the server is back.
    frozen.shift(timedelta(days=3))
    Job.objects.filter(state=Job.State.QUEUED).update(run_at=Job.objects.get(kind="send_mail").created_at)
    work()
    [link] = LINK.findall(mail.outbox[0].body)
    assert "Your password is set" in set_by(Client(), link).content.decode()


def test_a_request_does_the_same_whether_an_account_has_the_address(customer: User) -> None:
    ask("warm-up@example.com")
    asked: list[list[str]] = []
    for email in ("customer@example.com", "nobody@example.com"):
        with CaptureQueriesContext(connection) as queries:
            ask(email)
        asked.append([re.sub(r"'[^']*'|\d+", "?", query["sql"]) for query in queries])
    assert asked[0] == asked[1]
    assert mail.outbox == []
    assert not Notice.objects.exists()


def test_an_unknown_address_gets_no_mail_and_stays_in_no_table(customer: User, frozen: time_machine.Traveller) -> None:
    ask("nobody@example.com")
    work()
    assert mail.outbox == []
    assert Job.objects.get().state == Job.State.DONE
    Job.objects.update(finished_at=NOON)
    keep_house(NOON + timedelta(days=8))
    assert not Job.objects.exists()


# --- The queue ---------------------------------------------------------------------------------


def test_no_queue_and_no_page_of_staff_holds_the_link(customer: User) -> None:
    link = sent_link()
    token = path_of(link).rstrip("/").rpartition("/")[2]
    stored = json.dumps([*Job.objects.values(), *Notice.objects.values(), *LogEntry.objects.values()], default=str)
    assert "reset/key" not in stored
    assert token not in stored
    notice = Notice.objects.get()
    [(page, _)] = compose(notice).alternatives
    for form in (compose(notice).body, page):
        assert not LINK.search(form)
        assert "[The link is shown only to the recipient.]" in form
    clerk = signed_in(staff("looker", "core.view_notice", "core.view_job"))
    shown = clerk.get(f"/admin/core/notice/{notice.pk}/change/").content.decode()
    assert "The link is shown only to the recipient." in shown
    assert token not in shown


def test_a_mail_that_is_sent_again_after_a_crash_is_one_notice(customer: User) -> None:
    ask()
    job = jobs.claim("worker")
    jobs.run(job, at=NOON)
    Job.objects.filter(pk=job.pk).update(state=Job.State.QUEUED)
    work()
    assert Notice.objects.count() == 1
    assert len(mail.outbox) == 1


# --- Limits ------------------------------------------------------------------------------------


def test_nobody_fills_a_mailbox_and_the_answer_stays_the_same(customer: User, frozen: time_machine.Traveller) -> None:
    answers = [ask("customer@example.com", REMOTE_ADDR=f"192.0.2.{number}") for number in range(8)]
    answers.append(ask("Customer@Example.com"))
    work()
    assert len(mail.outbox) == 5
    assert {(answer.status_code, answer["Location"]) for answer in answers} == {(302, f"{RESET}done/")}
    # Those that came keep working, so the owner isn't locked out.
    [link] = LINK.findall(mail.outbox[0].body)
    assert "Your password is set" in set_by(Client(), link).content.decode()
    frozen.shift(timedelta(hours=1, seconds=1))
    ask()
    work()
    assert len(mail.outbox) == 6


def test_links_for_one_account_are_not_used_up_by_another(customer: User, neighbour: User) -> None:
    for _ in range(6):
        ask("neighbour@example.com")
    work()
    assert sent_link()


# --- Links that no longer work -----------------------------------------------------------------


def test_a_link_works_for_as_long_as_its_mail_says(customer: User, frozen: time_machine.Traveller) -> None:
    link = sent_link()
    frozen.shift(timedelta(hours=24))
    assert "Set the password" in opened(Client(), link)[1]
    frozen.shift(timedelta(seconds=1))
    assert "This link has expired or was already used." in opened(Client(), link)[1]


def test_a_link_that_expires_while_its_page_is_open_says_so(customer: User, frozen: time_machine.Traveller) -> None:
    client, link = Client(), sent_link()
    where, _ = opened(client, link)
    frozen.shift(timedelta(hours=25))
    answer = client.post(where, {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD})
    assert "This link has expired or was already used." in answer.content.decode()
    assert "Request a new link" in answer.content.decode()
    assert not signs_in(Client(), NEW_PASSWORD)


@pytest.mark.parametrize("spoil", [lambda link: f"{link[:-2]}x/", lambda _: f"{RESET}key/1-abc-def/"])
def test_a_link_that_is_not_ours_says_so(spoil, customer: User) -> None:
    assert "This link has expired or was already used." in opened(Client(), spoil(sent_link()))[1]


def test_a_link_works_once(customer: User) -> None:
    first, second = sent_link(), sent_link()
    assert "Your password is set" in set_by(Client(), first).content.decode()
    for link in (first, second):
        assert "This link has expired or was already used." in opened(Client(), link)[1]


# --- Afterwards --------------------------------------------------------------------------------


def test_an_owner_gets_in_by_a_link_while_a_stranger_keeps_guessing(customer: User) -> None:
    for number in range(5):
        Client().post(DOOR, {"login": "customer", "password": "wrong"}, REMOTE_ADDR=f"192.0.2.{number}")
    assert not signs_in(Client(), PASSWORD)
    client = Client()
    set_by(client, sent_link())
    assert signs_in(client, NEW_PASSWORD)


def test_a_link_opened_only_makes_no_device_known(customer: User) -> None:
    client = Client()
    opened(client, sent_link())
    assert "known_device" not in client.cookies


def test_allauth_sends_no_mail_of_its_own(customer: User, settings: Settings) -> None:
    """Not even with its notices switched on: they would leave during the request, past the queue."""
    client = signed_in(customer)
    settings.ACCOUNT_EMAIL_NOTIFICATIONS = True
    typed = {"oldpassword": PASSWORD, "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    with pytest.raises(NotImplementedError, match="account/email/password_changed"):
        client.post("/accounts/password/change/", typed)
    assert mail.outbox == []
