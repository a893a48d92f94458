"""Delete: what may go from its owner's list, what must stay, and what stays behind."""

import pytest
from django.test import Client

from certificates.exceptions import CertificateHeld, NotYourCertificate, RefundPossible, WrongState
from certificates.models import Certificate, Enrollment, Revocation
from certificates.services.deleting import delete_certificate
from certificates.states import CertificateState, Source
from core.models import AuditEntry, User
from refunds.services import lapse_overdue
from tests import factories
from tests.conftest import signed_in
from tests.customer.pages import words
from tests.factories import NOON
from tests.lifecycle.engine import FakeAuthority, advance, handed_in
from tests.lifecycle.revoking import dv, panel_of, requested
from tests.refunds import cases
from tests.refunds.cases import DAY, HOUR, acts, anew, everything

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("frozen", "authority")]

S = CertificateState


def uploaded(account: User, **fields) -> Certificate:
    return factories.issued(account, source=Source.UPLOADED, payments={}, **fields)


DELETABLE = {
    "expired": lambda account: factories.issued(account, ago=365 * DAY),
    "expired unissued": lambda account: factories.certificate(account, bought=366 * DAY),
    "revoked too late": cases.late,
    "revoked, free": lambda account: factories.revoked(account, product=factories.ProductFactory(free=True)),
    "revoked, voucher": lambda account: factories.revoked(account, payments={}, voucher=120_000),
    "revoked and expired": lambda account: factories.revoked(account, not_after=NOON),
    "uploaded": uploaded,
    "uploaded and expired": lambda account: uploaded(account, ago=400 * DAY),
}
STATES = {
    "pending": factories.certificate,
    "at the authority": cases.at_authority,
    "issued": factories.issued,
    "near its end": lambda account: factories.issued(account, not_after=NOON + DAY),
    "revoking": cases.revoking,
    "revoking past its end": lambda account: cases.revoking(account, not_after=NOON),
}


def delete(client: Client, certificate: Certificate):
    return client.post(panel_of(certificate, "delete"))


@pytest.mark.parametrize("kind", DELETABLE)
def test_a_customer_deletes_what_is_over(customer: User, as_customer: Client, kind: str) -> None:
    certificate = DELETABLE[kind](customer)
    before = everything()
    asked = as_customer.get(panel_of(certificate, "delete"))
    assert asked.status_code == 200
    assert "Delete shop.example.com from your list for good?" in words(asked)
    assert everything() == before
    answer = delete(as_customer, certificate)
    assert (answer.status_code, answer["Location"]) == (302, "/deleted/?done=deleted")
    page = as_customer.get(answer["Location"])
    assert "The certificate is deleted." in words(page)
    assert certificate.instance_id not in page.content.decode()
    assert "certificatesChanged" in page["HX-Trigger"]
    assert anew(certificate).deleted_at == NOON
    assert acts(certificate) == ["deleted"]


def test_deleted_is_gone_for_its_owner_on_every_page(customer: User, as_customer: Client) -> None:
    certificate = cases.late(customer)
    assert certificate.instance_id in as_customer.get("/").content.decode()
    delete(as_customer, certificate)
    assert certificate.instance_id not in as_customer.get("/").content.decode()
    for name in ("revoke", "revocation", "delete", "refund", "refund/cancel"):
        assert as_customer.get(panel_of(certificate, name)).status_code == 404, name
    assert as_customer.get(f"/certificates/{certificate.instance_id}/").status_code == 404
    assert delete(as_customer, certificate).status_code == 404
    assert acts(certificate) == ["deleted"]


def test_the_row_its_trail_and_its_revocation_stay(customer: User) -> None:
    certificate = dv(customer, ago=40 * DAY)
    requested(certificate)
    advance()
    delete_certificate(certificate.pk, by=customer, at=NOON)
    kept = anew(certificate)
    assert (kept.state, kept.revoked_at, kept.paid_part) == (S.REVOKED, NOON, 120_000)
    assert Revocation.objects.filter(certificate=kept).count() == 1
    assert Enrollment.objects.filter(certificate=kept).count() == 1
    assert AuditEntry.objects.filter(act="revocation_requested").exists()


@pytest.mark.parametrize("kind", STATES)
def test_what_is_not_over_stays(customer: User, as_customer: Client, kind: str) -> None:
    certificate = STATES[kind](customer)
    before = everything()
    for answer in (as_customer.get(panel_of(certificate, "delete")), delete(as_customer, certificate)):
        assert answer.status_code == 409
        assert "Only expired, revoked and uploaded certificates can be deleted." in words(answer)
    with pytest.raises(WrongState):
        delete_certificate(certificate.pk, by=customer, at=NOON)
    assert everything() == before


def test_a_refunded_one_stays(customer: User) -> None:
    certificate = factories.certificate(customer)
    factories.submit(certificate)
    factories.pay_out()
    with pytest.raises(WrongState):
        delete_certificate(certificate.pk, by=customer, at=NOON)


def test_while_a_refund_is_possible_it_stays_and_the_day_is_said(customer: User, as_customer: Client) -> None:
    certificate = factories.revoked(customer)
    before = everything()
    for answer in (as_customer.get(panel_of(certificate, "delete")), delete(as_customer, certificate)):
        assert answer.status_code == 409
        assert "a refund can be requested until 2027-11-18" in words(answer)
        assert panel_of(certificate, "refund") in answer.content.decode()
    with pytest.raises(RefundPossible) as refused:
        delete_certificate(certificate.pk, by=customer, at=NOON)
    assert f"{refused.value.until}" == "2027-11-18"
    assert everything() == before
    assert delete_certificate(certificate.pk, by=customer, at=certificate.not_after).deleted_at


def test_while_a_refund_is_open_it_stays(customer: User, as_customer: Client) -> None:
    certificate = factories.revoked(customer)
    factories.submit(certificate)
    before = everything()
    for answer in (as_customer.get(panel_of(certificate, "delete")), delete(as_customer, certificate)):
        assert answer.status_code == 409
        assert "A refund of this certificate is under way." in words(answer)
    with pytest.raises(CertificateHeld):
        delete_certificate(certificate.pk, by=customer, at=NOON)
    assert everything() == before


def test_one_that_expires_under_review_can_be_deleted_once_the_request_has_lapsed(customer: User) -> None:
    certificate = factories.revoked(customer, not_after=NOON + DAY)
    factories.submit(certificate)
    with pytest.raises(CertificateHeld):
        delete_certificate(certificate.pk, by=customer, at=NOON + DAY)
    lapse_overdue(at=NOON + DAY)
    assert delete_certificate(certificate.pk, by=customer, at=NOON + DAY).deleted_at


def test_an_application_still_running_at_the_end_of_the_service_is_closed(
    customer: User, authority: FakeAuthority
) -> None:
    certificate = handed_in(customer, bought=366 * DAY, at=NOON - DAY)
    advance(at=NOON - HOUR)
    delete_certificate(certificate.pk, by=customer, at=NOON)
    advance()
    assert authority.calls == ["hand_in", "close"]
    assert (anew(certificate).state, anew(certificate).closing_since) == (S.PENDING_APPLICATION, None)


def test_nobody_deletes_what_is_not_theirs(customer: User, neighbour: User, reviewer: User) -> None:
    certificate = cases.late(customer)
    for stranger in (neighbour, reviewer):
        client = signed_in(stranger)
        assert client.get(panel_of(certificate, "delete")).status_code == 404
        assert delete(client, certificate).status_code == 404
        with pytest.raises(NotYourCertificate):
            delete_certificate(certificate.pk, by=stranger, at=NOON)
    assert anew(certificate).deleted_at is None


def test_nobody_deletes_without_signing_in(customer: User) -> None:
    address = panel_of(cases.late(customer), "delete")
    assert Client().post(address)["Location"] == f"/accounts/login/?next={address}"
    assert Client().get("/deleted/")["Location"] == "/accounts/login/?next=/deleted/"


def test_an_unknown_certificate_is_not_found(as_customer: Client) -> None:
    for name in ("delete", "revoke", "revocation"):
        assert as_customer.get(f"/certificates/cas-sg-000000000000/{name}/").status_code == 404
        assert as_customer.post(f"/certificates/{'x' * 3000}/{name}/").status_code == 404
