"""What the floor below is told of a refund: for Revoke, Delete and the mail about the end of a revocation."""

from datetime import date

import pytest

from certificates import hooks
from certificates.models import Certificate
from core.clock import start_of_day
from core.models import User
from refunds.for_certificates import prospects_of
from refunds.rules.policies import Rule
from tests import factories
from tests.customer import requests
from tests.factories import NOON
from tests.refunds import cases
from tests.refunds.cases import DAY

pytestmark = pytest.mark.django_db


def of(certificate: Certificate, *, at=NOON) -> hooks.Prospects:
    return hooks.refund_prospects(Certificate.objects.select_related("order", "product").get(pk=certificate.pk), at=at)


def days_of(told: hooks.Prospects) -> dict[str, date]:
    return {each.label: each.when for each in told.dates}


def test_the_setting_names_this_function() -> None:
    assert hooks.refund_prospects.function is prospects_of


def test_revoke_first_tells_the_days_and_the_amount(customer: User) -> None:
    told = of(factories.issued(customer))
    assert days_of(told) == {
        "Last safe day to request the revocation": date(2026, 12, 13),
        "Revocation must be completed by": date(2026, 12, 18),
        "Last day to request the refund": date(2027, 11, 20),
    }
    assert told.needs_revocation
    assert (told.amount, told.currency, told.is_late, told.is_open) == (120_000, "CNY", False, False)
    assert told.possible_until == date(2026, 12, 18)
    assert told.sentences == (
        "Not refundable yet: revoke it by 2026-12-13 to get CNY 1,200.00 back.",
        "Revoke the certificate by 2026-12-13; the certificate authority may need 5 business days. You can't undo "
        "this. Then request the refund by 2027-11-20. Our staff decide within 15 business days, usually within 5.",
    )


def test_past_the_safe_day_it_is_late(customer: User) -> None:
    told = of(factories.issued(customer, ago=25 * DAY))
    assert told.is_late
    assert "the refund is lost if the revocation is completed after 2026-11-26" in told.sentences[-1]


def test_days_over_unknown_holidays_are_provisional(customer: User) -> None:
    at = NOON + 30 * DAY
    assert "provisional" in of(factories.issued(customer, at=at), at=at).sentences[-1]


def test_the_last_day_is_the_last(customer: User) -> None:
    certificate = factories.issued(customer, ago=28 * DAY)
    assert of(certificate).possible_until == date(2026, 11, 23)
    over = of(certificate, at=NOON + DAY)
    assert (over.possible_until, over.amount, over.needs_revocation) == (None, None, False)
    assert over.sentences == (
        "Not refundable: the certificate was issued more than 28 days ago. The revocation had to be completed by "
        "2026-11-23.",
    )


def test_while_it_is_being_revoked_the_last_day_stands(customer: User) -> None:
    told = of(cases.revoking(customer))
    assert (told.needs_revocation, told.possible_until, told.amount) == (True, date(2026, 12, 18), 120_000)
    assert days_of(told) == {
        "Revocation must be completed by": date(2026, 12, 18),
        "Last day to request the refund": date(2027, 11, 20),
    }


def test_revoked_in_time_it_is_possible_until_the_end(customer: User) -> None:
    told = of(factories.revoked(customer))
    assert (told.possible_until, told.amount, told.needs_revocation) == (date(2027, 11, 18), 120_000, False)
    assert told.sentences[0] == "You can get CNY 1,200.00 back after a review. Request it by 2027-11-18."


def test_an_end_at_midnight_leaves_the_day_before(customer: User) -> None:
    certificate = factories.revoked(customer)
    ends = start_of_day(date(2027, 11, 18))
    Certificate.objects.filter(pk=certificate.pk).update(not_after=ends, service_ends_at=ends)
    told = of(certificate)
    assert told.possible_until == date(2027, 11, 17)
    assert told.sentences[0] == "You can get CNY 1,200.00 back after a review. Request it by 2027-11-17."


@pytest.mark.parametrize("rule", [rule for rule in cases.REFUSED if not rule.startswith("revo") or "late" in rule])
def test_where_the_policy_refuses_nothing_comes_back(customer: User, rule: Rule) -> None:
    told = of(cases.REFUSED[rule](customer))
    assert (told.is_open, told.possible_until, told.amount, told.is_late) == (False, None, None, False)
    assert len(told.sentences) == 1


@pytest.mark.parametrize("rule", cases.SUPPORTED)
def test_where_the_policy_supports_it_the_amount_and_the_day_are_told(customer: User, rule: Rule) -> None:
    told = of(cases.SUPPORTED[rule](customer))
    assert told.possible_until
    assert told.amount == 120_000


OPEN = {"under_review", "approved", "paying", "payment_failed"}


@pytest.mark.parametrize("state", requests.IN_EVERY_STATE)
def test_a_request_counts_while_it_is_open(customer: User, state: str) -> None:
    told = of(requests.IN_EVERY_STATE[state](customer).certificate)
    assert told.is_open == (state in OPEN)
    if told.is_open:
        assert (told.possible_until, told.amount) == (None, None)
        assert told.sentences == ("A refund of this certificate is under way.",)


def test_what_is_given_back_comes_back_no_more(customer: User) -> None:
    told = of(requests.refunded(customer).certificate)
    assert (told.is_open, told.possible_until) == (False, None)
    assert told.sentences == ("What you paid for this certificate has been paid back.",)


@pytest.mark.parametrize("build", [requests.rejected, requests.cancelled])
def test_after_a_rejection_it_is_possible_again(customer: User, build) -> None:
    assert of(build(customer).certificate).possible_until


def test_somebody_elses_clock_that_is_slow_does_no_harm(customer: User) -> None:
    assert of(factories.revoked(customer), at=NOON - 30 * DAY).possible_until == date(2027, 11, 18)
