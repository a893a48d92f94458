"""What an authority answered about a closing, as staff record it."""

import pytest
from django.test import Client

from certificates.models import Application, Certificate
from certificates.x509 import read_certificate
from core.models import User
from payments.models import Payout
from refunds.models import RefundRequest
from tests.conftest import signed_in
from tests.factories import NOON
from tests.staff.pages import address, closing, everything, pem, seen_on

pytestmark = pytest.mark.django_db

KEY = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEG\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def certificate(customer: User, approver: User) -> Certificate:
    return closing(customer, approver)


@pytest.fixture
def as_reviewer(reviewer: User) -> Client:
    return signed_in(reviewer)


def record(client: Client, certificate: Certificate, act: str, **typed: str) -> object:
    page = address(certificate, act)
    return client.post(page, {"seen": seen_on(client, page), **typed})


def test_closed_application_lets_the_money_go(as_reviewer: Client, certificate: Certificate) -> None:
    record(as_reviewer, certificate, "record-closed")
    certificate.refresh_from_db()
    assert (certificate.state, certificate.closing_since) == ("pending_application", None)
    assert RefundRequest.objects.get().state == "approved"
    assert Payout.objects.count() == 2


def test_issued_certificate_lapses_its_request_and_no_money_goes(as_reviewer: Client, certificate: Certificate) -> None:
    record(as_reviewer, certificate, "record-issued", pem=pem("shop.example.com"))
    certificate.refresh_from_db()
    assert (certificate.state, certificate.serial, certificate.issued_at) == ("issued", "1267", NOON)
    assert certificate.hold == ""
    request = RefundRequest.objects.get()
    assert (request.state, request.lapse_cause) == ("lapsed", "issued")
    assert not Payout.objects.exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no certificate", "isn't a PEM-encoded certificate"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "is damaged"),
        (pem("shop.example.com")[:400], "END line is missing"),
        (pem("other.example.com"), "not for shop.example.com"),
        (pem("shop.example.com", "evil.example.net"), "also for evil.example.net"),
        (pem("shop.example.com", not_after=NOON), "has expired already"),
        (pem("shop.example.com") + KEY, "private key"),
        ("x" * 50_001, "at most 50000 characters"),
    ],
)
def test_certificate_that_cannot_be_the_one_applied_for_is_refused_beside_the_field(
    as_reviewer: Client, certificate: Certificate, text: str, reason: str
) -> None:
    before = everything()
    answer = record(as_reviewer, certificate, "record-issued", pem=text)
    assert answer.status_code == 422
    [error] = answer.context["form"].errors["pem"]
    assert reason in error
    assert everything() == before


@pytest.mark.parametrize(
    ("ordered", "named"),
    [
        (("example.com",), ("example.com", "www.example.com")),
        (("www.example.com",), ("www.example.com", "example.com")),
        (("*.example.com",), ("*.example.com", "example.com")),
    ],
)
def test_names_that_authorities_add_unasked_are_taken(
    as_reviewer: Client, customer: User, approver: User, ordered: tuple[str, ...], named: tuple[str, ...]
) -> None:
    certificate = closing_with(customer, approver, ordered)
    assert record(as_reviewer, certificate, "record-issued", pem=pem(*named)).status_code == 302


def closing_with(customer: User, approver: User, domains: tuple[str, ...]) -> Certificate:
    certificate = closing(customer, approver)
    certificate.domains.all().delete()
    for position, name in enumerate(domains, 1):
        certificate.domains.create(position=position, name=name)
    return certificate


def test_answer_is_recorded_once_whichever_it_was(as_reviewer: Client, certificate: Certificate) -> None:
    seen = seen_on(as_reviewer, address(certificate, "record-issued"))
    record(as_reviewer, certificate, "record-closed")
    before = everything()
    form = {"seen": seen, "pem": pem("shop.example.com")}
    answer = as_reviewer.post(address(certificate, "record-issued"), form, follow=True)
    assert "no answer is awaited" in str(list(answer.context["messages"])[-1])
    assert everything() == before


def test_page_says_that_the_authority_is_awaited_and_for_which_request(
    as_reviewer: Client, certificate: Certificate
) -> None:
    page = as_reviewer.get(address(certificate)).content.decode()
    assert "Until it has answered" in page
    assert RefundRequest.objects.get().reference in page


def test_certificate_without_a_closing_offers_no_answer(as_reviewer: Client, certificate: Certificate) -> None:
    record(as_reviewer, certificate, "record-closed")
    assert as_reviewer.get(address(certificate)).context["acts"] == []


def test_certificate_for_another_key_than_was_applied_with_is_refused(
    as_reviewer: Client, certificate: Certificate
) -> None:
    Application.objects.create(certificate=certificate, key_fingerprint="0" * 64)
    before = everything()
    answer = record(as_reviewer, certificate, "record-issued", pem=pem("shop.example.com"))
    assert answer.status_code == 422
    assert "for another key" in answer.context["form"].errors["pem"][0]
    assert everything() == before


def test_certificate_for_the_key_that_was_applied_with_is_taken(as_reviewer: Client, certificate: Certificate) -> None:
    issued = pem("shop.example.com")
    Application.objects.create(certificate=certificate, key_fingerprint=read_certificate(issued).key_fingerprint)
    assert record(as_reviewer, certificate, "record-issued", pem=issued).status_code == 302


def test_certificate_out_of_quoted_mail_is_taken(as_reviewer: Client, certificate: Certificate) -> None:
    quoted = "".join(f">>\u00a0{line}\r\n" for line in pem("shop.example.com").splitlines())
    assert record(as_reviewer, certificate, "record-issued", pem=quoted).status_code == 302


@pytest.mark.parametrize("beside", ["", "x" * 60_000, "\0"], ids=["alone", "too long", "with a NUL"])
def test_private_key_is_not_shown_again(as_reviewer: Client, certificate: Certificate, beside: str) -> None:
    secret = KEY.replace("-----", "\u2013\u2013").replace(" ", "\u00a0")
    answer = record(as_reviewer, certificate, "record-issued", pem=secret + beside)
    assert answer.status_code == 422
    assert KEY.splitlines()[1] not in answer.content.decode()
