"""Withdrawing an order: what was closed gives no certificate any more."""

from dataclasses import replace

import pytest
from django.utils import timezone

from certificates.authority.acme import AcmeAuthority
from certificates.authority.acme_client import Rejected, Talk, talk
from certificates.authority.base import AuthorityUnavailable, Closed, Issued, Refused, Waiting
from tests.acme.orders import an_order, end_of, hand_in, issue, prove, publish

pytestmark = [pytest.mark.xdist_group("pebble"), pytest.mark.django_db]


def close(order):
    return end_of(order, AcmeAuthority().close)


def finalize(order):
    with talk() as line:
        return line.finalize(order.data["order"], line.order(order.data["order"]), order.csr)


def is_ready(order):
    with talk() as line:
        return line.order(order.data["order"]).status.name == "ready"


def made_ready(pebble, customer):
    """An order that could be finalized."""
    order = prove(pebble, an_order(customer))
    end_of(order, lambda order, *, at: Refused("") if is_ready(order) else Waiting({}))
    return order


def test_order_closed_before_it_was_proven_cannot_be_finalized(pebble, customer):
    order, challenges = hand_in(an_order(customer))
    assert close(order) == Closed()
    publish(pebble, challenges)
    assert AcmeAuthority().make_ready(order, at=timezone.now()) == Waiting(order.data)
    with pytest.raises((Rejected, AuthorityUnavailable)):
        finalize(order)
    assert isinstance(end_of(order), Refused)


def test_order_closed_when_it_was_ready_cannot_be_finalized(pebble, customer):
    order = made_ready(pebble, customer)
    assert close(order) == Closed()
    with pytest.raises((Rejected, AuthorityUnavailable)):
        finalize(order)
    answer = end_of(order)
    assert isinstance(answer, Refused)
    assert answer.cause == "The certificate authority has ended the check of the domains. Please hand in again."


def test_order_that_may_be_under_way_at_another_worker_is_looked_at_once_more(pebble, customer):
    order = made_ready(pebble, customer)
    answers = [AcmeAuthority().close(order, at=timezone.now()) for _ in range(2)]
    assert answers == [Waiting(order.data), Closed()]


def test_order_closed_twice_stays_closed(pebble, customer):
    order = made_ready(pebble, customer)
    assert [close(order), close(order)] == [Closed(), Closed()]


def test_order_that_is_issued_cannot_be_closed_any_more(pebble, customer):
    order, issued = issue(pebble, an_order(customer))
    assert close(order) == issued


def test_order_finalized_while_it_was_closed_is_issued(pebble, customer, monkeypatch):
    order = made_ready(pebble, customer)
    plain = Talk.deactivate

    def be_too_late(line, address):
        assert isinstance(end_of(order), Issued)
        plain(line, address)

    monkeypatch.setattr(Talk, "deactivate", be_too_late)
    issued = close(order)
    assert isinstance(issued, Issued)
    assert end_of(order) == issued


def test_order_that_the_authority_refused_is_closed(pebble, customer):
    order, challenges = hand_in(an_order(customer))
    publish(pebble, challenges, value="something-else")
    AcmeAuthority().make_ready(order, at=timezone.now())
    assert isinstance(end_of(order), Refused)
    assert close(order) == Closed()


def test_order_that_never_reached_the_authority_is_closed_without_asking(customer, settings):
    settings.ACME_DIRECTORY = ""
    assert AcmeAuthority().close(an_order(customer), at=timezone.now()) == Closed()


def test_order_that_the_authority_has_lost_is_closed(pebble, customer):
    order, _ = hand_in(an_order(customer))
    lost = replace(order, data={**order.data, "order": order.data["order"] + "0"})
    assert close(lost) == Closed()


def test_order_is_not_closed_while_its_authorization_stands(pebble, customer, monkeypatch):
    order, _ = hand_in(an_order(customer))

    def be_refused(line, address):
        line.order(address + "0")

    monkeypatch.setattr(Talk, "deactivate", be_refused)
    monkeypatch.setattr("certificates.authority.acme.GONE", "nothing is gone")
    with pytest.raises(AuthorityUnavailable):
        close(order)


def test_closing_of_an_order_that_is_still_ready_goes_on(pebble, customer, monkeypatch):
    order = made_ready(pebble, customer)
    monkeypatch.setattr(Talk, "deactivate", lambda line, address: None)
    assert AcmeAuthority().close(order, at=timezone.now()) == Waiting(order.data)
