"""How staff decide about applications for OV and EV certificates."""

import pytest

from certificates.exceptions import NotAllowed, NotProven, WrongState
from certificates.models import Certificate
from certificates.services.validating import approve_application, refuse_application
from certificates.states import CertificateState, Level
from core.models import AuditEntry, User
from tests.conftest import signed_in
from tests.factories import NOON
from tests.lifecycle.engine import FakeAuthority, advance, fresh, handed_in, state_of
from tests.staff.pages import address, list_of, seen_on, to_validate

pytestmark = pytest.mark.django_db

CAUSE = "The register names another company."


def test_staff_see_what_was_handed_in_and_that_the_domains_are_proven(validator: User, customer: User) -> None:
    page = signed_in(validator).get(address(to_validate(customer, validator))).content.decode()
    assert "Shop Ltd" in page
    assert "Domains proven" in page
    assert "Approve application" in page


def test_staff_find_what_is_to_be_decided_and_nothing_else(validator: User, customer: User) -> None:
    waiting = to_validate(customer, validator)
    unproven = handed_in(customer, level=Level.OV)
    page = signed_in(validator).get(list_of(Certificate) + "?state=to_validate").content.decode()
    assert waiting.instance_id in page
    assert unproven.instance_id not in page


def test_nothing_is_approved_before_its_domains_are_proven(validator: User, customer: User) -> None:
    certificate = handed_in(customer, level=Level.OV)
    with pytest.raises(NotProven):
        approve_application(certificate.pk, by=validator, at=NOON)
    client, page = signed_in(validator), address(certificate, "approve-application")
    answer = client.post(page, {"seen": seen_on(client, page)})
    assert answer.status_code == 422
    assert "not proven yet" in answer.content.decode()
    assert fresh(certificate).validated_at is None


def test_refused_application_shows_its_cause_and_its_order_is_closed(
    authority: FakeAuthority, validator: User, customer: User
) -> None:
    certificate = to_validate(customer, validator)
    refuse_application(certificate.pk, cause=f"  {CAUSE} ", by=validator, at=NOON)
    refused = fresh(certificate)
    assert (refused.state, refused.failure_cause) == (CertificateState.VALIDATION_FAILED, CAUSE)
    page = signed_in(customer).get("/").content.decode()
    assert CAUSE in page
    assert f"/certificates/{certificate.instance_id}/apply/" in page
    advance()
    assert authority.orders[f"{certificate.instance_id}-1"] == "closed"
    assert state_of(certificate) == CertificateState.VALIDATION_FAILED
    assert AuditEntry.objects.filter(act="application_refused", by=validator, note=CAUSE).count() == 1


@pytest.mark.parametrize("cause", ["", "   ", "x" * 501])
def test_refusal_without_a_fitting_cause_stores_nothing(validator: User, customer: User, cause: str) -> None:
    certificate = to_validate(customer, validator)
    with pytest.raises(ValueError, match="cause"):
        refuse_application(certificate.pk, cause=cause, by=validator, at=NOON)
    assert state_of(certificate) == CertificateState.VALIDATING_APPLICATION


def test_staff_do_not_decide_about_dv_nor_twice(validator: User, customer: User) -> None:
    plain = handed_in(customer)
    with pytest.raises(WrongState):
        approve_application(plain.pk, by=validator, at=NOON)
    certificate = to_validate(customer, validator)
    approve_application(certificate.pk, by=validator, at=NOON)
    with pytest.raises(WrongState):
        refuse_application(certificate.pk, cause=CAUSE, by=validator, at=NOON)


def test_nobody_decides_about_an_application_of_their_own(validator: User) -> None:
    certificate = to_validate(validator, validator)
    with pytest.raises(NotAllowed):
        approve_application(certificate.pk, by=validator, at=NOON)
