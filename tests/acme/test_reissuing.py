"""A certificate shorter than the year bought is replaced before it ends, until the year is over."""

from datetime import timedelta

import pytest
from django.db import IntegrityError

from certificates.models import Application, Certificate, Enrollment
from certificates.services import authority_job, enrolling, reissuing
from certificates.services.reissuing import reissue_due, tell_of_proofs
from certificates.states import AuthorityName, CertificateState, EnrollmentState
from core.mail import compose
from core.models import AuditEntry, Notice
from tests import factories
from tests.acme.orders import acme_product
from tests.factories import NOON
from tests.lifecycle.engine import NAMES, FakeAuthority, advance, enrollment_of, fresh, handed_in, prove
from tests.lifecycle.requests import csr_of

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
END = NOON + 20 * DAY


def ending(account, **fields):
    """A certificate of 90 days, in the last month of them; the year bought ends much later."""
    certificate = factories.issued(
        account,
        ago=70 * DAY,
        **{"not_after": END, "product": acme_product(), "service_ends_at": NOON + 290 * DAY, **fields},
    )
    Application.objects.create(certificate=certificate, csr=csr_of(NAMES))
    return certificate


def reissues(certificate: Certificate) -> list[Enrollment]:
    return list(Enrollment.objects.filter(certificate=certificate, is_reissue=True).order_by("id"))


def test_worker_orders_a_reissue_in_the_last_30_days(customer):
    certificate = ending(customer)
    assert reissue_due(at=END - 30 * DAY - SECOND) == 0
    assert reissue_due(at=END - 30 * DAY) == 1
    [reissue] = reissues(certificate)
    assert (reissue.state, reissue.names, reissue.csr) == (
        EnrollmentState.ORDERED,
        ["shop.example.com"],
        certificate.application.csr,
    )
    [entry] = AuditEntry.objects.filter(act="reissue_ordered")
    assert entry.detail == {"reference": reissue.reference, "not_after": END.isoformat()}


def test_worker_orders_all_names_in_their_order(customer):
    names = ("shop.example.com", "example.com", "a.example.com")
    certificate = ending(customer, domains=names)
    reissue_due(at=NOON)
    assert reissues(certificate)[0].names == list(names)


@pytest.mark.parametrize(
    "fields",
    [
        {"service_ends_at": END},
        {"hold": "rf-1"},
        {"closing_since": NOON},
        {"deleted_at": NOON},
        {"state": CertificateState.REVOKING},
        {"state": CertificateState.REVOKED},
        {"not_after": NOON - 5 * DAY, "service_ends_at": NOON},
        {"not_after": NOON + 31 * DAY},
    ],
)
def test_worker_orders_no_reissue(customer, fields):
    ending(customer, **fields)
    assert reissue_due(at=NOON) == 0
    assert not Enrollment.objects.exists()


def test_worker_goes_on_after_the_short_ones_end_while_the_year_lasts(customer):
    certificate = ending(customer, not_after=NOON - 5 * DAY)
    assert reissue_due(at=NOON) == 1
    assert len(reissues(certificate)) == 1


def test_worker_orders_no_reissue_of_another_authority(customer):
    product = factories.ProductFactory(authority=AuthorityName.EMBEDDED)
    ending(customer, product=product)
    assert reissue_due(at=NOON) == 0


def test_worker_orders_no_reissue_without_an_application(customer, caplog):
    ending(customer)
    Application.objects.all().delete()
    assert reissue_due(at=NOON) == 0
    assert caplog.text == ""


def test_worker_orders_no_second_reissue_while_one_is_under_way(customer, caplog):
    certificate = ending(customer)
    reissue_due(at=NOON)
    assert [reissue_due(at=NOON + days * DAY) for days in (0, 2, 10)] == [0, 0, 0]
    assert len(reissues(certificate)) == 1
    assert caplog.text == ""


def test_worker_tries_a_refused_reissue_again_a_day_later(customer, authority):
    authority.refuses = "not today"
    certificate = ending(customer)
    reissue_due(at=NOON)
    authority.needs_proof = False
    advance()
    assert enrollment_of(certificate).state == EnrollmentState.REFUSED
    assert reissue_due(at=NOON + DAY - SECOND) == 0
    assert reissue_due(at=NOON + DAY) == 1
    assert len(reissues(certificate)) == 2
    assert fresh(certificate).state == CertificateState.ISSUED


def test_reissue_moves_the_end_and_keeps_the_issue(customer, authority):
    authority.lifetime = 90 * DAY
    certificate = ending(customer)
    reissue_due(at=NOON)
    advance()
    prove(certificate)
    advance()
    now = fresh(certificate)
    assert (now.not_after, now.issued_at) == (NOON + 90 * DAY, certificate.issued_at)
    assert now.serial != certificate.serial
    assert reissue_due(at=NOON + 2 * DAY) == 0


def test_reissue_that_cannot_be_ordered_keeps_no_other_from_it(customer, monkeypatch, caplog):
    broken, sound = ending(customer), ending(customer)
    plain = enrolling.order_enrollment

    def order(certificate, *arguments, **options):
        if certificate.pk == broken.pk:
            raise IntegrityError("a trigger says no")
        return plain(certificate, *arguments, **options)

    monkeypatch.setattr(reissuing, "order_enrollment", order)
    assert reissue_due(at=NOON) == 1
    assert (reissues(broken), len(reissues(sound))) == ([], 1)
    assert f"certificate {broken.pk} could not be re-issued" in caplog.text


def test_certificate_that_changed_since_the_worker_looked_is_left_alone(customer, monkeypatch):
    certificate = ending(customer)
    plain = reissuing.lock

    def be_second(certificate_id):
        Certificate.objects.filter(pk=certificate_id).update(state=CertificateState.REVOKING)
        return plain(certificate_id)

    monkeypatch.setattr(reissuing, "lock", be_second)
    assert reissue_due(at=NOON) == 0
    assert reissues(certificate) == []


def test_worker_orders_no_more_than_it_was_told(customer):
    soon = [ending(customer, not_after=END - days * DAY) for days in range(3)]
    assert reissue_due(at=NOON, limit=2) == 2
    assert [len(reissues(each)) for each in soon] == [0, 1, 1]


# --- What the owner must publish ---------------------------------------------------------------


@pytest.fixture
def authority(monkeypatch):
    fake = FakeAuthority()
    monkeypatch.setattr(authority_job, "authority_of", lambda _: fake)
    return fake


def test_owner_is_told_once_what_to_publish(customer, authority):
    certificate = ending(customer)
    reissue_due(at=NOON)
    assert tell_of_proofs(at=NOON) == 0
    advance()
    assert [tell_of_proofs(at=NOON), tell_of_proofs(at=NOON + DAY)] == [1, 1]
    message = compose(Notice.objects.get())
    [challenge] = enrollment_of(certificate).challenges
    assert message.to == [customer.email]
    for text in (message.body, message.alternatives[0][0]):
        assert challenge["place"] in text
        assert challenge["value"] in text
        assert f"/certificates/{certificate.instance_id}/verify/" in text
        assert "TXT records" in text


def test_owner_is_told_of_files_where_those_were_chosen(customer, authority):
    certificate = ending(customer)
    Application.objects.update(verification="file")
    reissue_due(at=NOON)
    advance()
    tell_of_proofs(at=NOON)
    assert "publish these files" in compose(Notice.objects.get()).body
    assert certificate.name in compose(Notice.objects.get()).subject


def test_owner_is_not_told_what_is_proven_already(customer, authority):
    certificate = ending(customer)
    reissue_due(at=NOON)
    advance()
    prove(certificate)
    assert tell_of_proofs(at=NOON) == 0
    assert not Notice.objects.exists()


def test_owner_of_a_first_application_is_not_mailed_what_the_page_shows(customer, authority):
    handed_in(customer)
    advance()
    assert tell_of_proofs(at=NOON) == 0
