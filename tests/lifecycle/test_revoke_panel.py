"""Where a revocation stands: what its owner reads, sends again and withdraws, and what they are told at its end."""

from datetime import timedelta

import pytest
from django.test import Client

from certificates.exceptions import TooManyLinks, WrongState
from certificates.models import Certificate, Revocation
from certificates.services import authority_answers, revocations
from certificates.services.mails import tell_revoked
from certificates.services.revocations import MOST_LINKS, send_link_again, withdraw_revocation
from certificates.states import CertificateState, RevocationState
from core.models import Notice, User
from tests import factories
from tests.customer.conftest import HTMX
from tests.customer.pages import poll_address, poll_seconds, words
from tests.factories import NOON
from tests.lifecycle.engine import FakeAuthority, advance
from tests.lifecycle.revoking import (
    CONTACT,
    confirmed,
    dv,
    imported,
    link_of,
    ov,
    panel_of,
    requested,
    send_mails,
    state_of,
)
from tests.refunds import cases
from tests.refunds.cases import DAY, HOUR, acts, anew, everything

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("frozen", "authority")]

S, R = CertificateState, RevocationState
MINUTE = timedelta(minutes=1)


def shown(client: Client, certificate: Certificate, **query: str) -> str:
    page = client.get(panel_of(certificate, "revocation"), query)
    assert page.status_code == 200
    return words(page)


def act(client: Client, certificate: Certificate, action: str):
    return client.post(panel_of(certificate, "revocation"), {"action": action})


# --- Where it stands ---------------------------------------------------------------------------


def test_a_waiting_request_says_what_is_awaited_and_until_when(customer: User, as_customer: Client) -> None:
    certificate = ov(customer)
    requested(certificate)
    text = shown(as_customer, certificate)
    assert f"We wait for {CONTACT} to confirm the revocation." in text
    assert f"2026-11-23 12:00 Link is being sent to {CONTACT}" in text
    assert "before 2026-11-26 12:00" in text
    assert "Revocation must be completed by 2026-12-18" in text
    assert "Withdraw Request" in text
    assert "Send Link Again" in text
    send_mails()
    assert f"Link sent to {CONTACT}" in shown(as_customer, certificate)


def test_a_confirmed_request_says_who_confirmed_and_what_is_awaited(customer: User, as_customer: Client) -> None:
    certificate = ov(customer)
    confirmed(certificate)
    text = shown(as_customer, certificate)
    assert "We wait for the certificate authority to revoke it, since 2026-11-23 12:00." in text
    assert f"Confirmed by {CONTACT}" in text
    assert "Withdraw Request" not in text
    assert "Send Link Again" not in text


def test_a_silent_authority_is_told_of(customer: User, as_customer: Client, authority: FakeAuthority) -> None:
    certificate = dv(customer)
    requested(certificate)
    authority.fails = {"revoke"}
    advance(rounds=1)
    text = shown(as_customer, certificate)
    assert "The certificate authority has not answered since 2026-11-23 12:00." in text
    assert state_of(certificate) == S.REVOKING


def test_a_revoked_one_leads_on_to_its_refund(customer: User, as_customer: Client) -> None:
    certificate = dv(customer)
    requested(certificate)
    advance()
    text = shown(as_customer, certificate, done="requested")
    assert "The certificate is revoked." in text
    assert "You can get CNY 1,200.00 back after a review. Request it by 2027-11-20." in text
    page = as_customer.get(panel_of(certificate, "revocation"))
    assert panel_of(certificate, "refund") in page.content.decode()


def test_one_revoked_too_late_leads_to_no_refund(customer: User, as_customer: Client) -> None:
    certificate = cases.late(customer)
    page = as_customer.get(panel_of(certificate, "revocation"))
    assert "completed more than 28 days after the issue" in words(page)
    assert panel_of(certificate, "refund") not in page.content.decode()


@pytest.mark.parametrize("build", [cases.revoking, factories.revoked])
def test_one_that_came_with_its_revocation_is_shown_by_its_dates(customer: User, as_customer: Client, build) -> None:
    text = shown(as_customer, build(customer))
    assert "Revocation requested" in text


def test_an_imported_one_says_who_is_awaited(customer: User, as_customer: Client) -> None:
    certificate = imported(customer)
    requested(certificate)
    page = as_customer.get(panel_of(certificate, "revocation"))
    assert "Our staff have the certificate authority revoke it" in words(page)
    assert poll_seconds(page) == 10


def test_where_nothing_was_requested_there_is_nothing_to_see(customer: User, as_customer: Client) -> None:
    certificate = dv(customer)
    before = everything()
    for answer in (as_customer.get(panel_of(certificate, "revocation")), act(as_customer, certificate, "withdraw")):
        assert answer.status_code == 409
        assert "“Issued”" in words(answer)
    assert everything() == before


@pytest.mark.parametrize("done", ["withdrawn", "sent", "nonsense", "x" * 5000])
def test_an_address_cannot_make_the_panel_say_what_is_not_so(customer: User, as_customer: Client, done: str) -> None:
    certificate = dv(customer)
    requested(certificate)
    text = shown(as_customer, certificate, done=done)
    assert "is withdrawn" not in text
    assert "on its way" not in text


# --- It keeps itself true ----------------------------------------------------------------------


def test_the_panel_asks_again_until_it_is_over(customer: User, as_customer: Client) -> None:
    certificate = dv(customer)
    requested(certificate)
    page = as_customer.get(panel_of(certificate, "revocation"))
    assert poll_seconds(page) == 2
    assert as_customer.get(poll_address(page), headers=HTMX).status_code == 204
    advance()
    news = as_customer.get(poll_address(page), headers=HTMX)
    assert news.status_code == 200
    assert "certificatesChanged" in news["HX-Trigger"]
    assert "The certificate is revoked." in words(news)
    assert "<html" not in news.content.decode()
    assert poll_seconds(news) == 0


def test_a_waiting_panel_notices_the_confirmation(customer: User, as_customer: Client) -> None:
    certificate = ov(customer)
    wish = requested(certificate)
    page = as_customer.get(panel_of(certificate, "revocation"))
    assert poll_seconds(page) == 10
    revocations.confirm_revocation(link_of(wish), at=NOON)
    news = as_customer.get(poll_address(page), headers=HTMX)
    assert "Withdraw Request" not in words(news)


# --- The link again ----------------------------------------------------------------------------


def test_the_link_is_sent_again_and_works_longer(customer: User, as_customer: Client, frozen) -> None:
    certificate = ov(customer)
    wish = requested(certificate)
    frozen.move_to(NOON + DAY)
    answer = act(as_customer, certificate, "resend")
    assert answer["Location"] == f"{panel_of(certificate, 'revocation')}?done=sent"
    assert f"Another link is on its way to {CONTACT}." in words(as_customer.get(answer["Location"]))
    stored = anew(wish)
    assert (stored.links_sent, stored.link_expires_at) == (2, NOON + DAY + timedelta(days=3))
    assert [message.to for message in send_mails()] == [[CONTACT], [CONTACT]]
    assert acts(certificate)[-1] == "revocation_link_sent"


def test_not_more_often_than_once_a_minute(customer: User, as_customer: Client) -> None:
    certificate = ov(customer)
    requested(certificate)
    before = everything()
    answer = act(as_customer, certificate, "resend")
    assert answer.status_code == 409
    assert "A link was sent less than a minute ago." in words(answer)
    assert everything() == before
    with pytest.raises(TooManyLinks):
        send_link_again(certificate.pk, by=customer, at=NOON + MINUTE - timedelta(seconds=1))
    assert send_link_again(certificate.pk, by=customer, at=NOON + MINUTE).links_sent == 2


def test_not_more_than_five_in_all(customer: User, as_customer: Client, frozen) -> None:
    certificate = ov(customer)
    requested(certificate)
    for number in range(1, MOST_LINKS):
        send_link_again(certificate.pk, by=customer, at=NOON + number * HOUR)
    frozen.move_to(NOON + DAY)
    assert "Send Link Again" not in shown(as_customer, certificate)
    answer = act(as_customer, certificate, "resend")
    assert answer.status_code == 409
    assert "5 links were sent already" in words(answer)
    assert Notice.objects.filter(template="revocation_link").count() == MOST_LINKS


@pytest.mark.parametrize("at", [NOON + 3 * DAY, NOON + 4 * DAY])
def test_no_link_is_sent_once_the_last_has_expired(customer: User, as_customer: Client, at, frozen) -> None:
    certificate = ov(customer)
    requested(certificate)
    frozen.move_to(at)
    text = shown(as_customer, certificate)
    assert "was not confirmed in time and is about to end" in text
    assert "Send Link Again" not in text
    with pytest.raises(WrongState):
        send_link_again(certificate.pk, by=customer, at=at)


# --- Withdraw ----------------------------------------------------------------------------------


def test_a_customer_withdraws_the_request(customer: User, as_customer: Client) -> None:
    certificate = ov(customer)
    wish = requested(certificate)
    answer = act(as_customer, certificate, "withdraw")
    assert answer["Location"] == f"{panel_of(certificate, 'revocation')}?done=withdrawn"
    page = as_customer.get(answer["Location"])
    assert "The request is withdrawn." in words(page)
    assert "certificatesChanged" in page["HX-Trigger"]
    stored = anew(certificate)
    assert (stored.state, stored.revocation_requested_at, stored.revocation_confirmed_at) == (S.ISSUED, None, None)
    assert (anew(wish).state, anew(wish).ended_at) == (R.WITHDRAWN, NOON)
    assert acts(certificate) == ["revocation_requested", "revocation_withdrawn"]


def test_after_withdrawing_it_can_be_requested_again(customer: User) -> None:
    certificate = ov(customer)
    requested(certificate)
    withdraw_revocation(certificate.pk, by=customer, at=NOON)
    assert requested(anew(certificate)).state == R.REQUESTED
    assert Revocation.objects.count() == 2


@pytest.mark.parametrize("action", ["withdraw", "resend"])
@pytest.mark.parametrize("build", [dv, ov])
def test_too_late_is_said(customer: User, as_customer: Client, action: str, build) -> None:
    certificate = build(customer)
    confirmed(certificate) if build is ov else requested(certificate)
    before = everything()
    answer = act(as_customer, certificate, action)
    assert answer.status_code == 409
    assert "Nothing was done: the request no longer waits for this." in words(answer)
    assert "We wait for the certificate authority to revoke it" in words(answer)
    assert everything() == before


@pytest.mark.parametrize("action", ["", "confirm", "x" * 100_000, "withdraw\0"])
def test_an_unknown_act_does_nothing(customer: User, as_customer: Client, action: str) -> None:
    certificate = ov(customer)
    requested(certificate)
    before = everything()
    assert act(as_customer, certificate, action).status_code == 422
    assert as_customer.post(panel_of(certificate, "revocation")).status_code == 422
    assert everything() == before


# --- The end -----------------------------------------------------------------------------------


def ended(certificate: Certificate) -> Certificate:
    stored = Certificate.objects.select_related("order", "product", "account").get(pk=certificate.pk)
    tell_revoked(stored, at=NOON)
    return stored


def test_the_owner_is_told_of_the_end_and_the_refund(customer: User) -> None:
    certificate = dv(customer)
    requested(certificate)
    advance()
    ended(certificate)
    message = send_mails()[-1]
    assert message.to == [customer.email]
    assert message.subject == "Revoked: the certificate of shop.example.com"
    assert "has revoked the certificate, as you asked." in message.body
    assert "request the refund of CNY 1,200.00, until 2027-11-20" in message.body
    assert f"http://localhost:8000{panel_of(certificate, 'refund')}" in message.body


@pytest.mark.parametrize(
    "build",
    [
        lambda account: factories.revoked(account, payments={}, voucher=120_000),
        lambda account: factories.revoked(account, product=factories.ProductFactory(free=True)),
    ],
)
def test_where_nothing_comes_back_the_mail_does_not_speak_of_it(customer: User, build) -> None:
    ended(build(customer))
    [message] = send_mails()
    assert "refund" not in message.body
    assert "on its own; nobody asked for it here" in message.body


def test_where_it_came_too_late_the_mail_says_so(customer: User) -> None:
    ended(cases.late(customer))
    [message] = send_mails()
    assert "You can now request" not in message.body
    assert "Not refundable: the revocation was completed more than 28 days after the issue." in message.body


def test_the_end_is_told_once_and_not_of_what_was_deleted(customer: User) -> None:
    certificate = factories.revoked(customer)
    ended(certificate)
    ended(certificate)
    ended(factories.revoked(customer, deleted_at=NOON, domains=("gone.example.com",)))
    assert Notice.objects.filter(template="revocation_done").count() == 1


def test_an_authority_that_revokes_of_itself_ends_an_open_wish(customer: User) -> None:
    certificate = ov(customer)
    wish = requested(certificate)
    authority_answers.end_as_revoked(anew(certificate), revoked_at=NOON, at=NOON)
    assert anew(wish).state == R.COMPLETED
