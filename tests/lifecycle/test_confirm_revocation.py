"""The link in the contact's mail: who sees it, what opening it does (nothing), and what its page does."""

import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.core import mail
from django.core.signing import Signer
from django.test import Client

from certificates import links
from certificates.exceptions import CertificateHeld, DeadLink
from certificates.models import Certificate, Revocation
from certificates.services import authority_answers, revocations
from certificates.services.revocations import LINK_LIFETIME, confirm_revocation, lapse_revocations
from certificates.states import CertificateState, RevocationState
from core.mail import compose
from core.models import AuditEntry, Job, Notice, User
from tests import factories
from tests.conftest import signed_in
from tests.customer.pages import words
from tests.factories import NOON
from tests.lifecycle.engine import FakeAuthority, advance
from tests.lifecycle.revoking import (
    CONTACT,
    confirmed,
    link_in,
    link_of,
    ov,
    page_of,
    panel_of,
    requested,
    send_mails,
    state_of,
)
from tests.refunds.cases import DAY, HOUR, acts, anew, everything

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("frozen", "authority")]

S, R = CertificateState, RevocationState


@pytest.fixture
def certificate(customer: User) -> Certificate:
    return ov(customer)


@pytest.fixture
def wish(certificate: Certificate) -> Revocation:
    return requested(certificate)


@pytest.fixture
def contact() -> Client:
    """Somebody without an account; the form's token is checked as in real life."""
    return Client(enforce_csrf_checks=True)


def confirm(contact: Client, path: str):
    page = contact.get(path)
    token = page.content.decode().split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
    return contact.post(path, {"csrfmiddlewaretoken": token})


# --- The mail ----------------------------------------------------------------------------------


def test_the_contact_gets_a_link_and_words_that_explain_it(customer: User, wish: Revocation) -> None:
    [message] = send_mails()
    assert message.to == [CONTACT]
    assert message.subject == "Please confirm: revoke the certificate of shop.example.com"
    assert message.body.startswith("Hello Ida,\n")
    assert "customer asks for the revocation" in message.body
    assert "until 2026-11-26 12:00 (Asia/Shanghai)" in message.body
    [(html, _)] = message.alternatives
    assert f'href="http://localhost:8000{link_in(message)}"' in html
    assert link_in(message) == page_of(link_of(wish))


def test_the_link_stands_nowhere_but_in_the_mail_itself(
    customer: User, wish: Revocation, certificate: Certificate
) -> None:
    """Not in the queue, its jobs, the trail, or on the desk, before and after it was sent."""
    token = links.token_of(link_of(wish))
    secret = token.rpartition(":")[2]
    reader = factories.staff("mail-reader", "core.view_notice", "core.view_job", "core.view_auditentry")
    client = signed_in(reader)
    for is_sent in (False, True):
        if is_sent:
            assert token in send_mails()[0].body
        rows = [*Notice.objects.values(), *Job.objects.values(), *AuditEntry.objects.values()]
        assert secret not in json.dumps(rows, default=str)
        notice = Notice.objects.get(template="revocation_link")
        page = client.get(f"/admin/core/notice/{notice.pk}/change/")
        assert page.status_code == 200
        assert secret not in page.content.decode()
        assert "[The link is shown only to the recipient.]" in page.content.decode()
        assert secret not in client.get("/admin/core/notice/").content.decode()
    assert secret not in str(compose(notice).alternatives)
    assert Permission.objects.filter(codename="view_notice").exists()


def test_the_owner_does_not_get_the_link_of_somebody_else(wish: Revocation, as_customer: Client) -> None:
    page = as_customer.get(panel_of(wish.certificate, "revocation"))
    assert links.token_of(link_of(wish)) not in page.content.decode()
    assert [message.to for message in send_mails()] == [[CONTACT]]


def test_a_mail_tried_again_brings_the_same_link(wish: Revocation) -> None:
    notice = Notice.objects.get(template="revocation_link")
    assert compose(notice, reveal=True).body == compose(notice, reveal=True).body


def test_the_mail_is_in_the_owners_zone(customer: User, certificate: Certificate) -> None:
    User.objects.filter(pk=customer.pk).update(time_zone="UTC")
    requested(anew(certificate))
    assert "until 2026-11-26 04:00 (UTC)" in send_mails()[0].body


# --- Opening it --------------------------------------------------------------------------------


def test_opening_the_link_shows_what_will_happen_and_changes_nothing(contact: Client, wish: Revocation) -> None:
    before = everything()
    for _ in range(3):
        page = contact.get(page_of(link_of(wish)))
    assert page.status_code == 200
    assert contact.head(page_of(link_of(wish))).status_code == 200
    text = words(page)
    assert "Revoke this certificate?" in text
    assert "shop.example.com" in text
    assert "Requested by customer" in text
    assert "Another certificate has taken its place" in text
    assert "This cannot be undone" in text
    assert "2026-11-26 12:00" in text
    assert everything() == before
    assert anew(wish).state == R.REQUESTED


def test_the_page_leaks_its_address_to_nobody(contact: Client, wish: Revocation) -> None:
    answer = contact.get(page_of(link_of(wish)))
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["X-Robots-Tag"] == "noindex, nofollow"
    assert "no-store" in answer["Cache-Control"]
    assert 'href="http' not in answer.content.decode()
    assert 'src="http' not in answer.content.decode()


# --- Confirming --------------------------------------------------------------------------------


def test_the_contact_confirms_and_the_worker_revokes(
    contact: Client, certificate: Certificate, wish: Revocation, authority: FakeAuthority
) -> None:
    path = page_of(link_of(wish))
    answer = confirm(contact, path)
    assert (answer.status_code, answer["Location"]) == (302, path)
    stored = anew(certificate)
    assert (stored.state, stored.revocation_requested_at, stored.revocation_confirmed_at) == (S.REVOKING, NOON, NOON)
    assert (anew(wish).state, anew(wish).confirmed_at) == (R.CONFIRMED, NOON)
    assert "The revocation is confirmed" in words(contact.get(path))
    assert acts(certificate) == ["revocation_requested", "revocation_confirmed"]
    advance()
    assert state_of(certificate) == S.REVOKED
    assert authority.calls == ["revoke"]
    assert "revoked the certificate on 2026-11-23 12:00" in words(contact.get(path))


def test_a_post_without_the_pages_token_confirms_nothing(contact: Client, wish: Revocation) -> None:
    assert contact.post(page_of(link_of(wish))).status_code == 403
    assert anew(wish).state == R.REQUESTED


def test_a_link_used_twice_confirms_once(contact: Client, certificate: Certificate, wish: Revocation) -> None:
    path = page_of(link_of(wish))
    confirm(contact, path)
    jobs = Job.objects.count()
    plain = Client()
    assert plain.post(path)["Location"] == path
    with pytest.raises(DeadLink):
        confirm_revocation(link_of(wish), at=NOON)
    assert (acts(certificate).count("revocation_confirmed"), Job.objects.count()) == (1, jobs)


def test_an_owner_who_is_signed_in_may_use_the_link_too(as_customer: Client, wish: Revocation) -> None:
    assert as_customer.post(page_of(link_of(wish))).status_code == 302
    assert anew(wish).state == R.CONFIRMED


# --- Links that no longer work -----------------------------------------------------------------


def dead(wish: Revocation, link: links.Link, *, at=NOON, client: Client | None = None) -> str:
    """What the page of a dead link says; nothing can be done with it, by the page or by the service."""
    before, state = everything(), anew(wish).state
    client = client or Client()
    shown, refused = client.get(page_of(link)), client.post(page_of(link))
    assert (shown.status_code, refused.status_code) == (200, 409)
    assert "<button" not in shown.content.decode().partition("<main")[2].partition("</main>")[0]
    with pytest.raises(DeadLink):
        confirm_revocation(link, at=at)
    assert (everything(), anew(wish).state) == (before, state)
    assert words(refused) == words(shown)
    return words(shown)


def test_an_expired_link_says_so(wish: Revocation, frozen) -> None:
    link = link_of(wish)
    frozen.move_to(NOON + LINK_LIFETIME)
    assert "This link has expired" in dead(wish, link, at=NOON + LINK_LIFETIME)
    lapse_revocations(at=NOON + LINK_LIFETIME)
    assert "This link has expired" in dead(wish, link, at=NOON + LINK_LIFETIME)


def test_a_link_works_to_its_last_moment(wish: Revocation) -> None:
    assert confirm_revocation(link_of(wish), at=NOON + LINK_LIFETIME - timedelta(microseconds=1))


def test_a_withdrawn_requests_link_says_so(wish: Revocation, customer: User) -> None:
    revocations.withdraw_revocation(wish.certificate_id, by=customer, at=NOON)
    assert "The request was withdrawn" in dead(wish, link_of(wish))


def test_a_withdrawn_requests_link_confirms_no_later_request(wish: Revocation, customer: User) -> None:
    old = link_of(wish)
    revocations.withdraw_revocation(wish.certificate_id, by=customer, at=NOON)
    newer = requested(anew(wish.certificate))
    assert "The request was withdrawn" in dead(wish, old)
    assert anew(newer).state == R.REQUESTED


def test_only_the_newest_link_works(wish: Revocation, customer: User) -> None:
    old = link_of(wish)
    revocations.send_link_again(wish.certificate_id, by=customer, at=NOON + HOUR)
    assert "There is a newer link" in dead(wish, old)
    confirm_revocation(link_of(wish), at=NOON + HOUR)
    assert "The revocation is confirmed" in words(Client().get(page_of(old)))


def test_a_link_to_what_the_authority_revoked_itself_says_so(wish: Revocation) -> None:
    authority_answers.end_as_revoked(anew(wish.certificate), revoked_at=NOON, at=NOON)
    assert "The certificate is revoked already" in dead(wish, link_of(wish))


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "a:b",
        ":",
        "x" * 5000,
        "ü:ß",
        "W10:" + "A" * 43,
        "%ff%fe",
        "..%5c..",
        "W10%0a:x",
    ],
)
def test_a_forged_link_says_so_and_no_more(wish: Revocation, token: str) -> None:
    for answer in (Client().get(f"/revocations/{token}/"), Client().post(f"/revocations/{token}/")):
        assert answer.status_code == 404
        assert "This link is not valid" in words(answer)


def test_no_link_can_be_made_from_another(wish: Revocation) -> None:
    value, _, signature = links.token_of(link_of(wish)).rpartition(":")
    other = links.token_of(links.Link(wish.pk + 1, 1))
    forged = [
        f"{other.rpartition(':')[0]}:{signature}",
        f"{value}:{signature[:-1]}{'A' if signature[-1] != 'A' else 'B'}",
        f"{value}:",
        Signer(salt="other").sign_object([wish.pk, 1]),
        Signer(key="another key", salt=links._SALT).sign_object([wish.pk, 1]),
    ]
    unknown = Client().get(f"/revocations/{other}/")
    for token in forged:
        answer = Client().get(f"/revocations/{token}/")
        assert answer.status_code == unknown.status_code == 404
        assert words(answer) == words(unknown)
    assert anew(wish).state == R.REQUESTED


def test_under_refund_no_link_confirms(wish: Revocation, certificate: Certificate) -> None:
    Certificate.objects.filter(pk=certificate.pk).update(hold="RF-1")
    with pytest.raises(CertificateHeld):
        confirm_revocation(link_of(wish), at=NOON)
    answer = Client().post(page_of(link_of(wish)))
    assert answer.status_code == 409
    assert "A refund of the certificate is under way." in words(answer)
    assert anew(wish).state == R.REQUESTED


# --- What nobody confirms ----------------------------------------------------------------------


def test_a_wish_that_nobody_confirms_lapses_and_its_owner_is_told(
    customer: User, certificate: Certificate, wish: Revocation
) -> None:
    assert lapse_revocations(at=NOON + LINK_LIFETIME - timedelta(seconds=1)) == 0
    assert state_of(certificate) == S.REVOKING
    assert lapse_revocations(at=NOON + LINK_LIFETIME) == 1
    stored = anew(certificate)
    assert (stored.state, stored.revocation_requested_at, stored.revocation_confirmed_at) == (S.ISSUED, None, None)
    assert (anew(wish).state, anew(wish).ended_at) == (R.LAPSED, NOON + LINK_LIFETIME)
    assert acts(certificate)[-1] == "revocation_lapsed"
    told = send_mails()[-1]
    assert told.to == [customer.email]
    assert f"was not confirmed from {CONTACT} in time" in told.body
    assert f"/certificates/{certificate.instance_id}/revoke/" in told.body
    assert lapse_revocations(at=NOON + LINK_LIFETIME) == 0


def test_lapsing_leaves_what_is_confirmed_alone(certificate: Certificate) -> None:
    confirmed(certificate)
    assert lapse_revocations(at=NOON + 9 * DAY) == 0
    assert state_of(certificate) == S.REVOKING


def test_a_wish_that_cannot_be_ended_keeps_no_other_from_it(
    customer: User, wish: Revocation, caplog: pytest.LogCaptureFixture
) -> None:
    other = requested(ov(customer, domains=("other.example.com",)))
    Certificate.objects.filter(pk=wish.certificate_id).update(state=S.REVOKED)
    assert lapse_revocations(at=NOON + LINK_LIFETIME) == 1
    assert f"revocation {wish.pk} could not be ended" in caplog.text
    assert anew(other).state == R.LAPSED


def test_a_link_sent_again_at_the_last_moment_keeps_it_from_lapsing(
    customer: User, wish: Revocation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lock = revocations._lock

    def overtaken(revocation_id: int):
        revocations.send_link_again(wish.certificate_id, by=customer, at=NOON + LINK_LIFETIME - HOUR)
        return lock(revocation_id)

    monkeypatch.setattr(revocations, "_lock", overtaken)
    assert lapse_revocations(at=NOON + LINK_LIFETIME) == 0
    assert anew(wish).state == R.REQUESTED
    assert caplog.text == ""


def test_at_most_so_many_lapse_in_a_round(customer: User, wish: Revocation) -> None:
    requested(ov(customer, domains=("other.example.com",)))
    assert lapse_revocations(at=NOON + LINK_LIFETIME, limit=1) == 1
    assert lapse_revocations(at=NOON + LINK_LIFETIME, limit=1) == 1


def test_after_lapsing_it_can_be_requested_again(certificate: Certificate, wish: Revocation) -> None:
    lapse_revocations(at=NOON + LINK_LIFETIME)
    again = requested(anew(certificate), at=NOON + 4 * DAY)
    assert confirm_revocation(link_of(again), at=NOON + 4 * DAY).state == R.CONFIRMED


def test_no_mail_is_sent_in_the_act_itself(certificate: Certificate) -> None:
    mail.outbox.clear()
    confirmed(certificate)
    assert mail.outbox == []
