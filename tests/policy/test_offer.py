"""What a row offers, over every combination of rule, certificate state and newest request."""

from itertools import product

import pytest

from certificates.states import CertificateState
from refunds.rules.assess import Assessment
from refunds.rules.offer import Offer, offer
from refunds.rules.policies import POLICIES, Rule
from refunds.rules.table import Stage
from refunds.states import RequestState

WITH_BUTTON = {
    Rule.ISSUED_REVOKED,
    Rule.UNISSUED_IMMEDIATE,
    Rule.UNISSUED_MANUAL,
    Rule.REVOKE_FIRST,
    Rule.REVOCATION_PENDING,
}
BY_REQUEST = {
    None: None,
    RequestState.UNDER_REVIEW: Offer.CANCEL,
    RequestState.AWAITING_ANSWER: Offer.CANCEL,
    RequestState.AWAITING_REVOCATION: Offer.UNDER_WAY,
    RequestState.APPROVED: Offer.UNDER_WAY,
    RequestState.PAYING: Offer.UNDER_WAY,
    RequestState.PAYMENT_FAILED: Offer.UNDER_WAY,
    RequestState.REFUNDED: Offer.NONE,
    RequestState.REJECTED: None,
    RequestState.CANCELLED: None,
    RequestState.LAPSED: None,
    RequestState.FAILED: None,
}


def assessed(rule: Rule) -> Assessment:
    """What `intl-2021` says by this rule; a rule of other policies says no."""
    rows = {row.rule: row for row in POLICIES["intl-2021"].table.rows}
    row = rows.get(rule, rows[Rule.EXPIRED])
    stage = next(iter(row.tests.get("stage", [Stage.UNISSUED])))
    return Assessment(rule=rule, outcome=row.outcome, stage=stage, review=row.review, currency="CNY")


def test_every_request_state_is_covered():
    assert set(BY_REQUEST) == {None, *RequestState}


@pytest.mark.parametrize("request_state", BY_REQUEST, ids=str)
@pytest.mark.parametrize("rule", Rule)
def test_an_open_request_decides_else_the_policy_does(rule: Rule, request_state: RequestState | None):
    by_policy = Offer.REFUND if rule in WITH_BUTTON else Offer.NONE
    for state in set(CertificateState) - {CertificateState.REFUNDED}:
        found = offer(assessed(rule), state, request_state)
        assert found == (BY_REQUEST[request_state] or by_policy)


def test_a_refunded_certificate_never_offers_refund():
    for rule, request_state in product(Rule, BY_REQUEST):
        found = offer(assessed(rule), CertificateState.REFUNDED, request_state)
        assert found == (BY_REQUEST[request_state] or Offer.NONE)
