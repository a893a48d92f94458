"""What one customer has proven gives nobody else a certificate, although all are one account to the authority."""

from dataclasses import replace

import pytest
from django.utils import timezone

from certificates.authority import acme_owners
from certificates.authority.acme import AcmeAuthority
from certificates.authority.acme_client import Talk
from certificates.authority.base import AuthorityUnavailable, Issued, Refused
from certificates.models import Enrollment
from tests.acme.conftest import use
from tests.acme.orders import an_order, end_of, hand_in, issue, prove
from tests.acme.pebble import running_pebble

pytestmark = [pytest.mark.xdist_group("pebble"), pytest.mark.django_db]


@pytest.fixture(scope="module")
def remembering_pebble(tmp_path_factory):
    """A Pebble that gives valid authorizations again."""
    with running_pebble(tmp_path_factory.mktemp("remembering"), PEBBLE_AUTHZREUSE="100") as pebble:
        yield pebble


@pytest.fixture
def remembering(remembering_pebble, settings):
    return use(remembering_pebble, settings)


def test_customer_need_not_prove_again_what_the_authority_remembers(remembering, customer):
    first, _ = issue(remembering, an_order(customer))
    again, challenges = hand_in(an_order(customer, *first.names))
    assert challenges == ()
    assert again.data["authorizations"] == first.data["authorizations"]
    AcmeAuthority().make_ready(again, at=timezone.now())
    assert isinstance(end_of(again), Issued)


def test_neighbour_must_prove_what_the_customer_has_proven(remembering, customer, neighbour):
    first, _ = issue(remembering, an_order(customer))
    theirs, [challenge] = hand_in(an_order(neighbour, *first.names))
    assert challenge.name == first.names[0]
    assert not set(theirs.data["authorizations"]) & set(first.data["authorizations"])


def test_proof_that_nobody_here_knows_of_must_be_given_anew(remembering, customer):
    first, _ = issue(remembering, an_order(customer))
    Enrollment.objects.filter(reference=first.reference).update(data={})
    _, challenges = hand_in(an_order(customer, *first.names))
    assert len(challenges) == 1


def test_proof_that_was_never_found_must_be_given_anew(remembering, customer):
    first, _ = issue(remembering, an_order(customer))
    Enrollment.objects.filter(reference=first.reference).update(proven_at=None)
    _, challenges = hand_in(an_order(customer, *first.names))
    assert len(challenges) == 1


def test_authorization_of_a_neighbour_that_is_still_open_is_not_used(pebble, customer, neighbour, monkeypatch):
    """Pebble never gives a pending one again; others do."""
    first, _ = hand_in(an_order(customer))
    plain, given = Talk.new_order, []

    def give_again(line, csr):
        made = plain(line, csr)
        given.append(made)
        if len(given) > 1:
            return made
        [known] = first.data["authorizations"]
        return made.update(authorizations=[made.authorizations[0].update(uri=known)])

    monkeypatch.setattr(Talk, "new_order", give_again)
    theirs, _ = hand_in(an_order(neighbour, *first.names))
    assert not set(theirs.data["authorizations"]) & set(first.data["authorizations"])
    assert isinstance(end_of(first), Refused)


def test_authority_that_gives_nothing_but_what_is_a_neighbours_is_tried_again_later(
    pebble, customer, neighbour, monkeypatch
):
    order = an_order(neighbour)
    monkeypatch.setattr(acme_owners, "_foreign", lambda order, made: [each.uri for each in made.authorizations])
    with pytest.raises(AuthorityUnavailable, match="another customer"):
        AcmeAuthority().hand_in(order, at=timezone.now())


def test_order_that_another_application_of_the_customer_has_is_not_taken(pebble, customer, monkeypatch):
    first, _ = hand_in(an_order(customer))
    plain = Talk.new_order
    monkeypatch.setattr(Talk, "new_order", lambda line, csr: plain(line, csr).update(uri=first.data["order"]))
    with pytest.raises(AuthorityUnavailable, match="under way already"):
        AcmeAuthority().hand_in(an_order(customer, *first.names), at=timezone.now())


def test_authorization_that_two_customers_got_at_one_moment_serves_neither(pebble, customer, neighbour):
    first = prove(pebble, an_order(customer))
    theirs = an_order(neighbour, *first.names)
    Enrollment.objects.filter(reference=theirs.reference).update(data=first.data)
    theirs = replace(theirs, data=first.data)
    for order in (first, theirs):
        answer = AcmeAuthority().make_ready(order, at=timezone.now())
        assert isinstance(answer, Refused)
        assert "at the same time" in answer.cause
