"""A customer's DV way in the browser against a real ACME authority: bought, issued, revoked, refunded."""

import pytest
from django.utils import timezone
from playwright.sync_api import Page
from pytest_django.live_server_helper import LiveServer

from certificates.authority.base import proofs_of
from certificates.models import Certificate
from core.models import Job, User
from payments.balances import balance_of
from tests.acme.orders import a_name, acme_product, publish
from tests.acme.pebble import Pebble
from tests.browser.conftest import *  # noqa: F403 - a browser is needed here as there
from tests.browser.helpers import sign_in
from tests.browser.lifecycle import Customer, grant
from tests.faults.process import wait_until
from tests.lifecycle import buying
from tests.lifecycle.engine import run, state_of
from tests.lifecycle.outside import Outside

pytestmark = [pytest.mark.xdist_group("pebble"), pytest.mark.browser]

MEANS = 100_000


def work_until(certificate: Certificate, state: str) -> None:
    """Let the worker ask the authority until it has done its part."""

    def has_come() -> bool:
        for job in Job.objects.filter(kind="advance_enrollment", state=Job.State.QUEUED).order_by("id"):
            run(job, at=timezone.now())
        return state_of(certificate) == state

    wait_until(has_come)


def test_a_dv_certificate_of_an_acme_authority_is_issued_revoked_and_refunded(
    page: Page, live_server: LiveServer, shopper: User, pebble: Pebble
) -> None:
    buying.put_on_balance(shopper, MEANS)
    product = acme_product()
    product.price = buying.DV_PRICE
    product.save()
    domain = a_name()
    sign_in(page, f"{live_server.url}/", shopper.username)
    who = Customer(page, f"{live_server.url}/", "lifecycle-acme")
    with Outside() as outside, outside.asked():
        certificate = who.buy("DV Single Domain")
        enrollment = who.apply(certificate, domain)
        publish(pebble, tuple(proofs_of(enrollment.challenges)))
        outside.publish(enrollment)
        who.verify(certificate)
    work_until(certificate, "issued")
    serial = int(Certificate.objects.get(pk=certificate.pk).serial, 16)
    assert pebble.status(serial)["Status"] == "Valid"
    who.revoke(certificate, domain)
    work_until(certificate, "revoked")
    assert pebble.status(serial)["Status"] == "Revoked"
    grant(who.ask_refund(certificate))
    who.reads(certificate, "Refunded")
    assert (state_of(certificate), balance_of(shopper.pk, "CNY")) == ("refunded", MEANS)
