"""One certificate, many submissions: one request and one payout come of them."""

from collections.abc import Callable
from functools import partial
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError

from certificates.models import Certificate
from certificates.services import record_issued
from core.models import User
from payments.models import Payout
from refunds.exceptions import AlreadyRequested, NotRefundable
from refunds.models import RefundRequest
from refunds.rules.situation import situation_of
from refunds.services import customer as customers
from refunds.services import request_refund
from refunds.services.agreed import summarise
from refunds.states import Reason
from tests import factories
from tests.factories import NOON
from tests.invariants import broken
from tests.races.running import overtake, overtake_unguarded, together
from tests.refunds import cases
from tests.refunds.cases import anew

pytestmark = pytest.mark.django_db(transaction=True)

# What would happen if nothing stood in the way: the database holds nothing by itself either.
CONTROL = pytest.mark.usefixtures("without_database_guards")
MANY = 20
LOOKED = (customers, "_assess_for_request")


def asking(certificate: Certificate, key: UUID | None = None) -> Callable[[], RefundRequest]:
    """The form that the customer has before them now, to be sent later."""
    return partial(
        request_refund,
        certificate.pk,
        agreed=summarise(situation_of(certificate, NOON)),
        form_key=key or uuid4(),
        reason=Reason.NO_NEED,
        reason_text="",
        by=certificate.account,
        at=NOON,
    )


def one_of_two(account: User) -> Certificate:
    """Its payment has paid for another certificate too, so that the payment's own limit would let it go twice."""
    return factories.bought_together(account, [120_000, 120_000], {"balance": 240_000})[0]


def test_the_same_form_sent_20_times_at_once_is_one_request_that_all_are_shown(customer: User) -> None:
    certificate, key = factories.certificate(customer), uuid4()

    outcomes = together(*[asking(certificate, key)] * MANY)

    request = RefundRequest.objects.get()
    assert outcomes == [request] * MANY
    assert Payout.objects.count() == 1
    assert not broken()


def test_20_forms_sent_at_once_are_one_request(customer: User) -> None:
    certificate = one_of_two(customer)

    outcomes = together(*[asking(certificate) for _ in range(MANY)])

    request = RefundRequest.objects.get()
    assert outcomes.count(request) == 1
    assert [type(each) for each in outcomes].count(AlreadyRequested) == MANY - 1
    assert [payout.reference for payout in Payout.objects.all()] == [request.reference]
    assert not broken()


def test_a_second_form_waits_until_the_first_is_stored(customer: User) -> None:
    certificate = one_of_two(customer)

    first, second = overtake(asking(certificate), asking(certificate), at=LOOKED)

    assert first == RefundRequest.objects.get()
    assert isinstance(second, AlreadyRequested)


@CONTROL
def test_control_two_forms_without_guards_are_paid_twice(customer: User) -> None:
    certificate = one_of_two(customer)

    overtake_unguarded(asking(certificate), asking(certificate), at=LOOKED)

    assert RefundRequest.objects.filter(certificate=certificate).open().count() == 2
    assert sum(Payout.objects.values_list("amount", flat=True)) == 2 * certificate.paid_part
    assert "a share is paid back twice, in part, or by a payment that paid nothing for it" in broken()


def test_without_locks_the_constraint_alone_still_holds_one_request(customer: User) -> None:
    certificate = one_of_two(customer)

    first, second = overtake_unguarded(asking(certificate), asking(certificate), at=LOOKED)

    assert isinstance(first, IntegrityError)
    assert second == RefundRequest.objects.get()
    assert Payout.objects.count() == 1


@CONTROL
def test_control_the_same_form_without_guards_is_an_error_instead_of_the_receipt(customer: User) -> None:
    certificate, key = factories.certificate(customer), uuid4()

    first, _ = overtake_unguarded(asking(certificate, key), asking(certificate, key), at=LOOKED)

    assert isinstance(first, IntegrityError)


def issuing(certificate: Certificate, by: User) -> Callable[[], Certificate]:
    return partial(record_issued, certificate.pk, factories.handover(), by=by, at=NOON)


def test_an_issue_recorded_while_a_submission_is_stored_comes_after_it_and_lapses_it(
    customer: User, reviewer: User
) -> None:
    certificate = cases.at_authority(customer, closing_since=NOON)

    overtake(asking(certificate), issuing(certificate, reviewer), at=LOOKED)

    assert (RefundRequest.objects.get().state, anew(certificate).state) == ("lapsed", "issued")
    assert not broken()


def test_a_submission_and_an_issue_at_once_never_pay_for_an_issued_certificate(customer: User, reviewer: User) -> None:
    certificate = cases.at_authority(customer, closing_since=NOON)

    asked, issued = together(asking(certificate), issuing(certificate, reviewer))

    assert issued == certificate
    assert anew(certificate).state == "issued"
    assert isinstance(asked, NotRefundable) or anew(asked).state == "lapsed"
    assert not Payout.objects.exists()
    assert not broken()


@CONTROL
def test_control_without_guards_a_submission_undoes_the_issue(customer: User, reviewer: User) -> None:
    certificate = cases.at_authority(customer, closing_since=NOON)

    overtake_unguarded(asking(certificate), issuing(certificate, reviewer), at=LOOKED)

    assert (RefundRequest.objects.get().state, anew(certificate).state) == ("approved", "validating_application")
