"""Revoking at the same time: each wish is stored, confirmed and ended once, whoever is quicker."""

from functools import partial
from typing import Any

import pytest

from certificates.exceptions import CertificatesError, DeadLink, WrongState
from certificates.models import Certificate, Revocation
from certificates.services import revocations
from certificates.services.revocations import (
    LINK_LIFETIME,
    confirm_revocation,
    lapse_revocations,
    send_link_again,
    withdraw_revocation,
)
from certificates.states import CertificateState, RevocationState
from core.models import Job, Notice, User
from tests import factories
from tests.factories import NOON
from tests.lifecycle.revoking import link_of, ov, requested
from tests.races.running import overtake, overtake_unguarded, together
from tests.refunds.cases import HOUR, acts, anew

pytestmark = pytest.mark.django_db(transaction=True)

S, R = CertificateState, RevocationState


@pytest.fixture
def customer(transactional_db: None) -> User:
    return factories.UserFactory(username="customer")


@pytest.fixture
def certificate(customer: User) -> Certificate:
    return ov(customer)


def confirming(certificate: Certificate) -> Any:
    wish = Revocation.objects.get(certificate=certificate)
    return partial(confirm_revocation, link_of(wish), at=NOON)


def withdrawing(certificate: Certificate) -> Any:
    return partial(withdraw_revocation, certificate.pk, by=certificate.account, at=NOON)


def ends(outcomes: list[Any]) -> list[str]:
    return sorted(type(each).__name__ for each in outcomes)


# --- Confirmed twice ---------------------------------------------------------------------------


def test_a_link_pressed_many_times_at_once_confirms_once(certificate: Certificate) -> None:
    requested(certificate)
    outcomes = together(*[confirming(certificate)] * 4)
    assert ends(outcomes) == ["DeadLink"] * 3 + ["Revocation"]
    assert acts(certificate).count("revocation_confirmed") == 1
    assert Job.objects.filter(kind="advance_enrollment").count() == 1


def test_the_second_press_waits_for_the_first(certificate: Certificate) -> None:
    requested(certificate)
    first, second = overtake(confirming(certificate), confirming(certificate), at=(revocations, "standing_of"))
    assert isinstance(first, Revocation)
    assert isinstance(second, DeadLink)


def test_without_guards_it_would_be_confirmed_twice(certificate: Certificate, without_database_guards: None) -> None:
    requested(certificate)
    overtake_unguarded(confirming(certificate), confirming(certificate), at=(revocations, "standing_of"))
    assert acts(certificate).count("revocation_confirmed") == 2


# --- Withdrawn against confirmed ---------------------------------------------------------------


@pytest.mark.parametrize("round_", range(5))
def test_withdrawn_and_confirmed_at_once_only_one_happens(certificate: Certificate, round_: int) -> None:
    wish = requested(certificate)
    acts_ = [confirming(certificate), withdrawing(certificate)]
    outcomes = together(*(acts_ if round_ % 2 else acts_[::-1]))
    assert sum(isinstance(each, Revocation) for each in outcomes) == 1
    assert all(isinstance(each, Revocation | CertificatesError) for each in outcomes)
    stored = anew(certificate)
    if anew(wish).state == R.CONFIRMED:
        assert (stored.state, stored.revocation_confirmed_at) == (S.REVOKING, NOON)
    else:
        assert (anew(wish).state, stored.state) == (R.WITHDRAWN, S.ISSUED)
        assert (stored.revocation_requested_at, stored.revocation_confirmed_at) == (None, None)
        assert not Job.objects.filter(kind="advance_enrollment").exists()


def test_a_withdrawal_waits_for_the_confirmation_and_is_too_late(certificate: Certificate) -> None:
    requested(certificate)
    first, second = overtake(confirming(certificate), withdrawing(certificate), at=(revocations, "standing_of"))
    assert isinstance(first, Revocation)
    assert isinstance(second, WrongState)
    assert anew(certificate).state == S.REVOKING


def test_a_confirmation_waits_for_the_withdrawal_and_is_too_late(certificate: Certificate) -> None:
    requested(certificate)
    first, second = overtake(withdrawing(certificate), confirming(certificate), at=(revocations, "_lock_requested"))
    assert isinstance(first, Revocation)
    assert isinstance(second, DeadLink)
    assert anew(certificate).state == S.ISSUED


def test_without_guards_a_withdrawn_one_would_be_confirmed(
    certificate: Certificate, without_database_guards: None
) -> None:
    requested(certificate)
    overtake_unguarded(confirming(certificate), withdrawing(certificate), at=(revocations, "standing_of"))
    assert {"revocation_confirmed", "revocation_withdrawn"} <= set(acts(certificate))


# --- The rest ----------------------------------------------------------------------------------


def test_requested_many_times_at_once_there_is_one_wish_and_one_mail(certificate: Certificate) -> None:
    outcomes = together(*[partial(requested, certificate)] * 4)
    assert ends(outcomes) == ["Revocation"] + ["WrongState"] * 3
    assert Revocation.objects.count() == 1
    assert Notice.objects.filter(template="revocation_link").count() == 1


def test_sent_again_many_times_at_once_there_is_one_more_link(certificate: Certificate) -> None:
    requested(certificate)
    again = partial(send_link_again, certificate.pk, by=certificate.account, at=NOON + HOUR)
    assert ends(together(*[again] * 4)) == ["Revocation"] + ["TooManyLinks"] * 3
    assert Revocation.objects.get().links_sent == 2


def test_two_workers_lapse_it_once(certificate: Certificate) -> None:
    requested(certificate)
    lapse = partial(lapse_revocations, at=NOON + LINK_LIFETIME)
    assert sorted(together(lapse, lapse)) == [0, 1]
    assert acts(certificate).count("revocation_lapsed") == 1
