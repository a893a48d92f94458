"""Revoking what was issued, and hearing of it from what is published."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.utils import timezone

from certificates.authority.acme import AcmeAuthority
from certificates.authority.acme_client import Talk
from certificates.authority.base import AuthorityUnavailable
from certificates.states import RevocationReason
from tests.acme.conftest import use
from tests.acme.orders import an_order, chain_of, issue
from tests.acme.pebble import running_pebble
from tests.acme.publisher import ocsp_answer, publishing

pytestmark = [pytest.mark.xdist_group("pebble"), pytest.mark.django_db]

CODES = {
    RevocationReason.UNSPECIFIED: 0,
    RevocationReason.KEY_COMPROMISE: 1,
    RevocationReason.AFFILIATION: 3,
    RevocationReason.SUPERSEDED: 4,
    RevocationReason.CESSATION: 5,
}


def status_at(pebble, issued):
    return pebble.status(chain_of(issued)[0].serial_number)


@pytest.mark.parametrize("reason", RevocationReason)
def test_certificate_is_revoked_with_the_reason_given(pebble, customer, reason):
    order, issued = issue(pebble, an_order(customer))
    assert status_at(pebble, issued)["Status"] == "Valid"
    at = timezone.now()
    assert AcmeAuthority().revoke(order, issued.pem, reason, at=at) == at
    status = status_at(pebble, issued)
    assert (status["Status"], status.get("Reason")) == ("Revoked", CODES[reason])


def test_certificate_that_is_revoked_already_counts_as_done(pebble, customer):
    order, issued = issue(pebble, an_order(customer))
    at = timezone.now()
    AcmeAuthority().revoke(order, issued.pem, RevocationReason.SUPERSEDED, at=at)
    later = at + timedelta(hours=1)
    assert AcmeAuthority().revoke(order, issued.pem, RevocationReason.KEY_COMPROMISE, at=later) == later
    assert status_at(pebble, issued)["Reason"] == CODES[RevocationReason.SUPERSEDED]


def test_reason_that_the_authority_does_not_take_is_left_out(pebble, customer, monkeypatch):
    order, issued = issue(pebble, an_order(customer))
    plain = Talk.revoke
    # 7 stands for no reason at all.
    monkeypatch.setattr(Talk, "revoke", lambda line, certificate, reason: plain(line, certificate, reason and 7))
    at = timezone.now()
    assert AcmeAuthority().revoke(order, issued.pem, RevocationReason.AFFILIATION, at=at) == at
    assert status_at(pebble, issued)["Reason"] == 0


def test_certificate_that_the_authority_does_not_know_is_not_revoked(pebble, customer, settings, tmp_path):
    order, issued = issue(pebble, an_order(customer))
    with running_pebble(tmp_path) as other:
        use(other, settings)
        with pytest.raises(AuthorityUnavailable):
            AcmeAuthority().revoke(order, issued.pem, RevocationReason.UNSPECIFIED, at=timezone.now())


# --- What is published -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A Pebble and the responder that its certificates name, which answers as `revoked` says."""
    with (
        publishing() as publisher,
        running_pebble(tmp_path_factory.mktemp("published"), responder=f"{publisher.address}/ocsp") as pebble,
    ):
        yield pebble, publisher


@pytest.fixture
def responder(published, settings):
    pebble, publisher = published
    use(pebble, settings)
    [issuer] = x509.load_pem_x509_certificates(pebble.published("intermediates/0"))
    key = load_pem_private_key(pebble.published("intermediate-keys/0"), None)

    def answer(issued, **fields):
        content = ocsp_answer(chain_of(issued)[0], issuer, key, at=timezone.now().replace(microsecond=0), **fields)
        publisher.put("/ocsp", content)

    return pebble, answer


def test_certificate_is_good_until_the_authority_says_otherwise(responder, customer):
    pebble, answer = responder
    order, issued = issue(pebble, an_order(customer))
    answer(issued)
    assert AcmeAuthority().poll_revocation(order, issued.pem, at=timezone.now()) is None
    moment = timezone.now().replace(microsecond=0)
    answer(issued, revoked_at=moment)
    assert AcmeAuthority().poll_revocation(order, issued.pem, at=timezone.now()) == moment


def test_certificate_that_is_revoked_already_keeps_its_first_moment(responder, customer):
    pebble, answer = responder
    order, issued = issue(pebble, an_order(customer))
    moment = timezone.now().replace(microsecond=0) - timedelta(hours=1)
    AcmeAuthority().revoke(order, issued.pem, RevocationReason.SUPERSEDED, at=timezone.now())
    answer(issued, revoked_at=moment)
    assert AcmeAuthority().revoke(order, issued.pem, RevocationReason.SUPERSEDED, at=timezone.now()) == moment


def test_authority_that_publishes_nothing_says_so(pebble, customer):
    order, issued = issue(pebble, an_order(customer))
    with pytest.raises(AuthorityUnavailable, match="neither an OCSP responder nor a CRL"):
        AcmeAuthority().poll_revocation(order, issued.pem, at=timezone.now())
