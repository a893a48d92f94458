"""Cancel Application: asked once, closed at the authority, what was typed kept."""

from datetime import timedelta
from html import unescape

import pytest
from django.http import HttpResponse
from django.test import Client

from certificates.exceptions import CertificateHeld, NotYourCertificate, WrongState
from certificates.models import Application, Certificate
from certificates.services.applications import cancel_application
from certificates.states import APPLICATION_RUNNING, CertificateState, EnrollmentState, Level
from core.models import AuditEntry, User
from tests import factories
from tests.conftest import signed_in
from tests.customer.pages import words
from tests.factories import NOON
from tests.lifecycle import engine
from tests.lifecycle.applying import address
from tests.lifecycle.engine import FakeAuthority, advance, enrollment_of, fresh, handed_in, state_of
from tests.lifecycle.requests import EC_KEY

S = CertificateState
YEAR = timedelta(days=365)


@pytest.fixture(autouse=True)
def at_noon(frozen: object) -> None:
    """Views read the clock."""


def panel(certificate: Certificate) -> str:
    return address(certificate, "application/cancel")


def poll(client: Client, page: HttpResponse) -> HttpResponse:
    where = unescape(page.content.decode().split('hx-get="')[1].split('"')[0])
    return client.get(where, headers={"HX-Request": "true"})


@pytest.mark.parametrize("level", [Level.DV, Level.OV])
@pytest.mark.parametrize("reached", ["ordered", "pending", "ready"])
def test_customer_cancels(
    as_customer: Client, customer: User, authority: FakeAuthority, level: str, reached: str
) -> None:
    certificate = handed_in(customer, level=level)
    authority.is_slow = True
    if reached != "ordered":
        advance()
    if reached == "ready":
        engine.prove(certificate)
        if level == Level.OV:
            Certificate.objects.filter(pk=certificate.pk).update(validated_at=NOON)
        advance(rounds=2)
        assert enrollment_of(certificate).state == EnrollmentState.READY
    ask = as_customer.get(panel(certificate))
    assert ask.status_code == 200 and "What you typed is kept" in words(ask)
    answer = as_customer.post(panel(certificate))
    assert (answer.status_code, answer["Location"]) == (302, panel(certificate) + "?done=cancelled")
    assert fresh(certificate).closing_since == NOON
    waiting = as_customer.get(answer["Location"])
    assert "is asked to close the application" in words(waiting)
    assert "certificatesChanged" in waiting["HX-Trigger"]
    assert poll(as_customer, waiting).status_code == 204
    advance()
    now = fresh(certificate)
    assert (now.state, now.closing_since) == (S.PENDING_APPLICATION, None)
    assert (now.submitted_at, now.proven_at, now.validated_at) == (None, None, None)
    assert enrollment_of(certificate).state == EnrollmentState.CLOSED
    assert Application.objects.get(certificate=certificate).company_name == "Shop Ltd"
    done = poll(as_customer, waiting)
    assert "The application is cancelled." in words(done)
    assert "certificatesChanged" in done["HX-Trigger"]
    assert address(certificate) in done.content.decode()


def test_trail_says_who_cancelled(customer: User, authority: FakeAuthority) -> None:
    certificate = handed_in(customer)
    cancel_application(certificate.pk, by=customer, at=NOON)
    entry = AuditEntry.objects.get(act="application_cancelled")
    assert (entry.by, entry.at, entry.detail) == (customer, NOON, {"state": "pending_verification"})


def test_what_no_authority_knows_is_closed_at_once(as_customer: Client, customer: User) -> None:
    certificate = factories.certificate(customer, state=S.PENDING_VERIFICATION, submitted_at=NOON)
    Application.objects.create(certificate=certificate)
    answer = as_customer.post(panel(certificate))
    assert (state_of(certificate), fresh(certificate).submitted_at) == (S.PENDING_APPLICATION, None)
    assert "The application is cancelled." in words(as_customer.get(answer["Location"]))


def test_authority_that_issued_first_is_told(as_customer: Client, customer: User, authority: FakeAuthority) -> None:
    certificate = handed_in(customer)
    advance()
    engine.prove(certificate)
    authority.is_slow = True
    advance(rounds=2)
    issued = engine.pem_for(engine.NAMES, NOON, until=NOON + YEAR, key=EC_KEY.public_key())
    authority.issued[enrollment_of(certificate).reference] = issued
    waiting = as_customer.get(as_customer.post(panel(certificate))["Location"])
    advance()
    assert state_of(certificate) == S.ISSUED
    done = poll(as_customer, waiting)
    assert "had issued the certificate before" in words(done)


def test_silent_authority_is_said(as_customer: Client, customer: User, authority: FakeAuthority) -> None:
    certificate = handed_in(customer)
    advance()
    authority.fails = {"close"}
    answer = as_customer.post(panel(certificate))
    advance(rounds=1)
    assert "has not answered since 2026-11-23 12:00" in words(as_customer.get(answer["Location"]))


def test_button_pressed_twice_leads_to_the_same_panel(
    as_customer: Client, customer: User, authority: FakeAuthority
) -> None:
    certificate = handed_in(customer)
    first, second = (as_customer.post(panel(certificate)) for _ in range(2))
    assert first["Location"] == second["Location"]
    assert AuditEntry.objects.filter(act="application_cancelled").count() == 1


@pytest.mark.parametrize("state", sorted(set(S) - APPLICATION_RUNNING - {S.REFUNDED}))
def test_customer_may_not_cancel_in_other_states(as_customer: Client, customer: User, state: str) -> None:
    certificate = factories.certificate(customer, state=state)
    for answer in (
        as_customer.get(panel(certificate)),
        as_customer.get(panel(certificate) + "?done=cancelled"),
        as_customer.post(panel(certificate)),
    ):
        assert answer.status_code == 409
    with pytest.raises(WrongState):
        cancel_application(certificate.pk, by=customer, at=NOON)
    assert state_of(certificate) == state


def test_customer_may_not_cancel_while_a_refund_is_under_way(
    as_customer: Client, customer: User, authority: FakeAuthority
) -> None:
    certificate = handed_in(customer)
    held = {"hold": "refund-1", "closing_since": NOON - timedelta(minutes=1)}
    Certificate.objects.filter(pk=certificate.pk).update(**held)
    for answer in (as_customer.get(panel(certificate)), as_customer.post(panel(certificate))):
        assert answer.status_code == 409 and "refund" in words(answer).lower()
    with pytest.raises(CertificateHeld):
        cancel_application(certificate.pk, by=customer, at=NOON)


def test_neighbour_may_not_cancel(customer: User, neighbour: User, authority: FakeAuthority) -> None:
    certificate = handed_in(customer)
    client = signed_in(neighbour)
    assert client.get(panel(certificate)).status_code == 404
    assert client.post(panel(certificate)).status_code == 404
    with pytest.raises(NotYourCertificate):
        cancel_application(certificate.pk, by=neighbour, at=NOON)
    assert fresh(certificate).closing_since is None
