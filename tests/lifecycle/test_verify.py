"""The Verify panel: what must be published, how far it is, and Verify now."""

from collections.abc import Iterator
from datetime import timedelta
from html import unescape

import pytest
from django.db import connection
from django.test import Client

from certificates.authority.base import Challenge
from certificates.exceptions import CertificateHeld, NotYourCertificate, WrongState
from certificates.models import Certificate, Enrollment
from certificates.resolving import Seen
from certificates.services import applications, enrolling, verifying
from certificates.services.verifying import verify_now
from certificates.states import CertificateState, EnrollmentState, Level, Verification
from certificates.verification import Finding
from core.models import AuditEntry, User
from tests.conftest import signed_in
from tests.customer.pages import words
from tests.factories import NOON
from tests.lifecycle import engine
from tests.lifecycle.applying import address
from tests.lifecycle.engine import FakeAuthority, advance, enrollment_of, fresh, handed_in, state_of
from tests.lifecycle.outside import Outside

S = CertificateState


@pytest.fixture(autouse=True)
def at_noon(frozen: object) -> None:
    """Views read the clock."""


@pytest.fixture
def outside() -> Iterator[Outside]:
    with Outside() as outside, outside.asked():
        yield outside


def pending(customer: User, level: str = Level.DV, **fields: object) -> Certificate:
    """Handed in, and known to the authority."""
    certificate = handed_in(customer, level=level, **fields)
    advance()
    assert engine.is_pending(certificate)
    return certificate


def by_file(certificate: Certificate) -> Certificate:
    challenge = {"name": "shop.example.com", "place": "/.well-known/proof.txt", "value": "the-proof"}
    Enrollment.objects.filter(certificate=certificate).update(verification=Verification.FILE, challenges=[challenge])
    return certificate


def shown(client: Client, certificate: Certificate, query: str = "", **headers: str) -> str:
    answer = client.get(address(certificate, "verify") + query, headers=headers)
    assert answer.status_code == 200
    return words(answer)


# --- What is shown -----------------------------------------------------------------------------


def test_panel_says_that_it_is_being_prepared_and_asks_again(
    as_customer: Client, customer: User, authority: FakeAuthority
) -> None:
    certificate = handed_in(customer)
    page = as_customer.get(address(certificate, "verify") + "?done=submitted")
    html = page.content.decode()
    assert "The application is submitted." in words(page) and "being prepared" in words(page)
    assert 'hx-trigger="every 1s"' in html and "<noscript>" in html and "Verify now" not in html
    assert "certificatesChanged" in page["HX-Trigger"]
    poll = unescape(html.split('hx-get="')[1].split('"')[0])
    assert as_customer.get(poll, headers={"HX-Request": "true"}).status_code == 204
    advance()
    there = as_customer.get(poll, headers={"HX-Request": "true"})
    assert there.status_code == 200
    assert "_proof.shop.example.com" in words(there) and "Verify now" in words(there)
    assert "certificatesChanged" in there["HX-Trigger"]


def test_panel_shows_each_record_with_copy_buttons(
    as_customer: Client, customer: User, authority: FakeAuthority
) -> None:
    certificate = pending(customer)
    page = as_customer.get(address(certificate, "verify"))
    reference = enrollment_of(certificate).reference
    for text in ("_proof.shop.example.com", reference):
        assert f'data-copy="{text}"' in page.content.decode()
    assert "TXT record" in words(page)
    assert "Not looked for yet" in words(page)
    assert "Submitted 2026-11-23 12:00" in words(page)
    assert "To be proven by 2026-11-30 12:00" in words(page)
    assert "We looked last Not yet" in words(page) and "We look again" in words(page)
    assert "Asia/Shanghai" in words(page)


def test_panel_shows_each_file_with_its_address(as_customer: Client, customer: User, authority: FakeAuthority) -> None:
    page = as_customer.get(address(by_file(pending(customer)), "verify"))
    assert 'data-copy="http://shop.example.com/.well-known/proof.txt"' in page.content.decode()
    assert 'data-copy="the-proof"' in page.content.decode()


def test_panel_shows_an_idn_in_both_forms(as_customer: Client, customer: User, authority: FakeAuthority) -> None:
    certificate = pending(customer)
    challenge = {"name": "*.xn--bcher-kva.de", "place": "_proof.xn--bcher-kva.de", "value": "x"}
    Enrollment.objects.filter(certificate=certificate).update(challenges=[challenge])
    assert "*.bücher.de (*.xn--bcher-kva.de)" in shown(as_customer, certificate)


def test_panel_says_that_the_authority_is_silent(as_customer: Client, customer: User, authority: FakeAuthority) -> None:
    authority.fails = {"hand_in"}
    certificate = handed_in(customer)
    advance(rounds=1)
    assert "has not answered since 2026-11-23 12:00" in shown(as_customer, certificate)


@pytest.mark.parametrize(
    ("level", "next_one"), [(Level.DV, "issues the certificate now"), (Level.OV, "staff are checking")]
)
def test_panel_says_what_comes_after_the_proof(
    as_customer: Client, customer: User, authority: FakeAuthority, level: str, next_one: str
) -> None:
    certificate = pending(customer, level)
    engine.prove(certificate)
    page = shown(as_customer, certificate, "?done=proven")
    assert "The domains were proven at 2026-11-23 12:00." in page and next_one in page
    assert "Verify now" not in page


def test_panel_says_that_it_is_issued(as_customer: Client, customer: User, authority: FakeAuthority) -> None:
    certificate = pending(customer)
    engine.prove(certificate)
    advance()
    assert state_of(certificate) == S.ISSUED
    page = as_customer.get(address(certificate, "verify"))
    assert "The certificate is issued." in words(page)
    assert "hx-get" not in page.content.decode().split("verify-state")[1]


def test_panel_says_what_to_do_with_an_application_from_elsewhere(as_customer: Client, customer: User) -> None:
    from tests import factories

    certificate = factories.certificate(customer, state=S.PENDING_VERIFICATION)
    assert "cancel it and apply again" in shown(as_customer, certificate)
    assert as_customer.post(address(certificate, "verify")).status_code == 409


# --- Verify now --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "state"), [(Level.DV, S.VALIDATING_APPLICATION), (Level.OV, S.VALIDATING_APPLICATION)]
)
def test_customer_proves_by_record(
    as_customer: Client, customer: User, authority: FakeAuthority, outside: Outside, level: str, state: str
) -> None:
    certificate = pending(customer, level)
    outside.publish(enrollment_of(certificate))
    answer = as_customer.post(address(certificate, "verify"))
    assert (answer.status_code, answer["Location"]) == (302, address(certificate, "verify") + "?done=proven")
    assert (state_of(certificate), fresh(certificate).proven_at) == (state, NOON)
    assert enrollment_of(certificate).proven_at == NOON
    assert AuditEntry.objects.filter(act="domains_proven").count() == 1


def test_customer_proves_by_file(
    as_customer: Client, customer: User, authority: FakeAuthority, outside: Outside
) -> None:
    certificate = by_file(pending(customer))
    outside.publish(enrollment_of(certificate))
    assert as_customer.post(address(certificate, "verify")).status_code == 302
    assert state_of(certificate) == S.VALIDATING_APPLICATION


def test_customer_is_told_name_by_name_what_was_seen_instead(
    as_customer: Client, customer: User, authority: FakeAuthority, outside: Outside
) -> None:
    certificate = pending(customer)
    challenges = [{"name": f"{n}.example.com", "place": f"_proof.{n}.example.com", "value": "x"} for n in "abc"]
    Enrollment.objects.filter(certificate=certificate).update(challenges=challenges)
    outside.publish_one(Challenge(**challenges[0]), Verification.DNS)
    outside.records["_proof.b.example.com", "TXT"] = ['"<b>y</b>"']
    page = as_customer.post(address(certificate, "verify"))
    assert page.status_code == 200
    assert "<b>y</b>" not in page.content.decode()
    text = words(page)
    assert "Not everything was found." in text
    assert "a.example.com Found TXT" in text
    assert "b.example.com Not found There is another text: “<b>y</b>”. TXT" in text
    assert "c.example.com Not found This name does not exist in DNS." in text
    assert "hx-get" not in page.content.decode().split("verify-state")[1]
    assert state_of(certificate) == S.PENDING_VERIFICATION
    assert enrollment_of(certificate).proven_at is None


def test_looking_is_done_outside_any_transaction(
    customer: User,
    authority: FakeAuthority,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: object,
) -> None:
    certificate = pending(customer)
    depth = len(connection.savepoint_ids)
    seen = []

    def look(challenges: list[Challenge], verification: str) -> list[Finding]:
        seen.append(len(connection.savepoint_ids) - depth)
        return [Finding(each, Seen.FOUND) for each in challenges]

    monkeypatch.setattr(verifying, "look", look)
    assert verify_now(certificate.pk, by=customer, at=NOON).is_proven
    assert seen == [0]


def while_looking(monkeypatch: pytest.MonkeyPatch, happens: object) -> None:
    def look(challenges: list[Challenge], verification: str) -> list[Finding]:
        happens()
        return [Finding(each, Seen.FOUND) for each in challenges]

    monkeypatch.setattr(verifying, "look", look)


def test_worker_that_was_quicker_does_no_harm(
    as_customer: Client, customer: User, authority: FakeAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = pending(customer)
    while_looking(monkeypatch, lambda: engine.prove(certificate))
    assert as_customer.post(address(certificate, "verify")).status_code == 302
    assert AuditEntry.objects.filter(act="domains_proven").count() == 1


def test_application_cancelled_meanwhile_is_not_proven(
    as_customer: Client, customer: User, authority: FakeAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = pending(customer)

    def cancel() -> None:
        applications.cancel_application(certificate.pk, by=customer, at=NOON)
        advance()

    while_looking(monkeypatch, cancel)
    assert as_customer.post(address(certificate, "verify")).status_code == 409
    assert state_of(certificate) == S.PENDING_APPLICATION
    assert enrollment_of(certificate).proven_at is None


def test_application_handed_in_anew_meanwhile_is_not_proven_by_the_old_records(
    customer: User, authority: FakeAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = pending(customer)

    def anew() -> None:
        applications.cancel_application(certificate.pk, by=customer, at=NOON)
        advance()
        now = fresh(certificate)
        now.submit_for_verification()
        now.save()
        enrolling.order_enrollment(now, now.application, ["other.example.com"], at=NOON)
        advance()

    while_looking(monkeypatch, anew)
    with pytest.raises(WrongState):
        verify_now(certificate.pk, by=customer, at=NOON)
    assert enrollment_of(certificate).proven_at is None
    assert state_of(certificate) == S.PENDING_VERIFICATION


def test_button_pressed_twice_leads_to_the_same_panel(
    as_customer: Client, customer: User, authority: FakeAuthority, outside: Outside
) -> None:
    certificate = pending(customer)
    outside.publish(enrollment_of(certificate))
    first, second = (as_customer.post(address(certificate, "verify")) for _ in range(2))
    assert first["Location"] == second["Location"]
    assert len(outside.queries) == 1


def test_reissue_is_proven_while_the_certificate_stays_issued(
    as_customer: Client, customer: User, authority: FakeAuthority, outside: Outside
) -> None:
    certificate = pending(customer)
    engine.prove(certificate)
    advance()
    now = fresh(certificate)
    enrolling.order_enrollment(now, now.application, ["shop.example.com"], at=NOON, is_reissue=True)
    advance()
    assert "To be proven by" not in shown(as_customer, certificate)
    outside.publish(enrollment_of(certificate))
    assert as_customer.post(address(certificate, "verify")).status_code == 302
    assert enrollment_of(certificate).proven_at == NOON
    advance()
    assert enrollment_of(certificate).state == EnrollmentState.ISSUED
    assert state_of(certificate) == S.ISSUED


# --- Who may, and when -------------------------------------------------------------------------


@pytest.mark.parametrize("state", sorted(set(S) - {S.PENDING_VERIFICATION, S.VALIDATING_APPLICATION, S.REFUNDED}))
def test_customer_may_not_verify_in_other_states(as_customer: Client, customer: User, state: str) -> None:
    from tests import factories

    certificate = factories.certificate(customer, state=state)
    assert as_customer.get(address(certificate, "verify")).status_code == 409
    assert as_customer.post(address(certificate, "verify")).status_code == 409


@pytest.mark.parametrize(
    "fields", [{"hold": "refund-1"}, {"closing_since": NOON - timedelta(minutes=1)}], ids=["held", "closing"]
)
def test_customer_may_not_verify_what_is_held_or_closing(
    as_customer: Client, customer: User, authority: FakeAuthority, outside: Outside, fields: dict[str, object]
) -> None:
    certificate = pending(customer)
    outside.publish(enrollment_of(certificate))
    Certificate.objects.filter(pk=certificate.pk).update(**fields)
    assert as_customer.get(address(certificate, "verify")).status_code == 409
    assert as_customer.post(address(certificate, "verify")).status_code == 409
    with pytest.raises((CertificateHeld, WrongState)):
        verify_now(certificate.pk, by=customer, at=NOON)
    assert enrollment_of(certificate).proven_at is None
    assert outside.queries == []


def test_neighbour_may_not_verify(customer: User, neighbour: User, authority: FakeAuthority, outside: Outside) -> None:
    certificate = pending(customer)
    outside.publish(enrollment_of(certificate))
    for answer in (
        signed_in(neighbour).get(address(certificate, "verify")),
        signed_in(neighbour).post(address(certificate, "verify")),
    ):
        assert answer.status_code == 404
    with pytest.raises(NotYourCertificate):
        verify_now(certificate.pk, by=neighbour, at=NOON)
    assert outside.queries == []


def test_before_the_authority_knows_it_nothing_is_looked_for(
    as_customer: Client, customer: User, authority: FakeAuthority, outside: Outside
) -> None:
    certificate = handed_in(customer)
    assert as_customer.post(address(certificate, "verify")).status_code == 409
    assert outside.queries == []
