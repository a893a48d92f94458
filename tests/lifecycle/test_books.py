"""What `check_ledger` says of purchases, and of what authorities hold."""

from uuid import uuid4

import pytest

from certificates.books import offending
from certificates.models import CaOrder, Certificate, Enrollment, Order
from certificates.quotes import Basket
from certificates.services import enrolling
from certificates.states import EnrollmentState
from core.models import Job, User
from tests import factories
from tests.factories import NOON
from tests.lifecycle import buying
from tests.lifecycle.engine import FakeAuthority, advance, handed_in, prove

pytestmark = [pytest.mark.django_db, pytest.mark.broken_books]


def said() -> list[str]:
    return [finding.what for finding in offending()]


def issued(customer: User) -> Certificate:
    certificate = handed_in(customer)
    advance()
    prove(certificate)
    advance()
    return certificate


def test_a_purchase_that_took_nothing_from_the_balance_is_named(customer: User) -> None:
    buying.put_on_balance(customer, 50_000)
    buying.buy(customer, Basket(buying.dv().pk))
    assert said() == []
    # As imported, with a payment by balance that the ledger knows nothing of.
    elsewhere = factories.certificate(customer)
    Order.objects.filter(pk=elsewhere.order_id).update(form_key=uuid4())
    assert said() == ["was bought here, but nothing was taken from a balance"]


def test_an_issue_that_its_authority_does_not_know_is_named(authority: FakeAuthority, customer: User) -> None:
    issued(customer)
    assert said() == ["is issued, but its authority issued nothing"]


def test_a_revocation_that_its_authority_does_not_know_is_named(authority: FakeAuthority, customer: User) -> None:
    issued(customer)
    enrollment = Enrollment.objects.get()
    pem = enrollment.pem
    CaOrder.objects.create(reference=enrollment.reference, handed_in_at=NOON, issued_at=NOON, serial="1a", pem=pem)
    enrollment.revoke()
    enrollment.save()
    assert said() == ["is revoked here, but not at its authority"]


def test_an_order_that_no_job_carries_on_is_named(authority: FakeAuthority, customer: User) -> None:
    handed_in(customer)
    assert said() == []
    Job.objects.filter(kind="advance_enrollment").delete()
    assert said() == ["is ordered, but no job carries it on"]


def test_an_order_whose_certificate_applies_no_more_is_named(authority: FakeAuthority, customer: User) -> None:
    certificate = handed_in(customer)
    enrolling.close_application(certificate)
    certificate.save()
    assert Enrollment.objects.get().state == EnrollmentState.ORDERED
    assert said() == ["runs, but no application of its certificate does"]
