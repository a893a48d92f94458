"""Everybody at once on the certificates of one order, again and again: no deadlock, and nothing that must not be."""

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from certificates.exceptions import CertificatesError
from certificates.models import Certificate
from certificates.services import record_closed, record_issued
from core import jobs
from payments.exceptions import PaymentsError
from payments.models import Payout
from payments.services import record_failed, record_paid
from refunds.exceptions import RefundsError
from refunds.models import RefundRequest
from refunds.services import approve_refund, cancel_refund, fail_refund, lapse_overdue, reject_refund
from tests import factories
from tests.factories import NOON
from tests.invariants import broken
from tests.races.running import together
from tests.refunds.cases import DAY, HOUR

pytestmark = pytest.mark.django_db(transaction=True)

# What may stand in anybody's way when others are quicker; all else is a fault.
REFUSALS = (RefundsError, PaymentsError, CertificatesError)
LATER = NOON + HOUR

Act = Callable[[], Any]


class Desk:
    """One order of certificates, some at an authority, and everybody who does something about them."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.customer = factories.UserFactory(username="customer")
        self.reviewer, self.cashier = factories.reviewer(), factories.cashier()
        self.certificates = self.order(6 * DAY) + self.order(DAY)

    def order(self, bought: Any) -> list[Certificate]:
        parts = {"balance": 100_000, "alipay": 100_000}
        at_authority = factories.bought_together(
            self.customer,
            [60_000, 140_000],
            parts,
            bought=bought,
            state="validating_application",
            submitted_at=NOON - HOUR,
        )
        return at_authority + factories.bought_together(self.customer, [60_000, 140_000], parts, bought=bought)

    def acts(self) -> list[Act]:
        """One act of each kind on whatever there is, in an order of its own each time."""
        certificate = self.rng.choice(self.certificates)
        acts: list[Act] = [
            partial(factories.submit, self.rng.choice(self.certificates)),
            partial(record_closed, certificate.pk, by=self.reviewer, at=LATER),
            partial(jobs.run_due, "worker", clock=lambda: LATER),
            partial(lapse_overdue, at=LATER),
        ]
        if request := self.one_of(RefundRequest):
            seen = factories.seen(request)
            acts += [
                partial(cancel_refund, request.pk, by=self.customer, at=LATER),
                partial(approve_refund, request.pk, seen=seen, by=self.reviewer, at=LATER),
                partial(reject_refund, request.pk, answer="No.", seen=seen, by=self.reviewer, at=LATER),
                partial(fail_refund, request.pk, reason="closed", by=self.cashier, at=LATER),
            ]
        if payout := self.one_of(Payout):
            acts += [
                partial(record_paid, payout.pk, f"outside-{payout.pk}", by=self.cashier, at=LATER),
                partial(record_failed, payout.pk, "closed", by=self.cashier, at=LATER),
            ]
        if self.rng.random() < 0.1:
            acts.append(partial(record_issued, certificate.pk, factories.handover(), by=self.reviewer, at=LATER))
        self.rng.shuffle(acts)
        return acts

    def one_of(self, model: Any) -> Any:
        rows = list(model.objects.order_by("-id")[:4])
        return self.rng.choice(rows) if rows else None

    def round(self) -> None:
        outcomes = together(*self.acts()[:7])
        faults = [each for each in outcomes if isinstance(each, Exception) and not isinstance(each, REFUSALS)]
        assert faults == []


def everybody_at_once(seed: int, rounds: int) -> set[str]:
    """Run so many rounds; the states that requests have reached in them."""
    desk = Desk(random.Random(seed))  # noqa: S311 - draws acts, guards nothing
    reached: set[str] = set()
    for _ in range(rounds):
        desk.round()
        reached |= set(RefundRequest.objects.values_list("state", flat=True))
    assert broken() == {}
    return reached


@pytest.fixture(autouse=True)
def no_mail(settings: Any) -> None:
    """Mail is another story, and slow."""
    settings.JOB_HANDLERS = {**settings.JOB_HANDLERS, "send_mail": "tests.races.test_opposing.nothing"}


def nothing(payload: dict[str, Any], *, at: object) -> None:
    """A job that does nothing."""


def test_everybody_at_once_neither_stops_nor_breaks_anything() -> None:
    assert len(everybody_at_once(seed=1, rounds=12)) >= 3


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_everybody_at_once_for_long(seed: int) -> None:
    assert {"refunded", "cancelled", "rejected", "payment_failed"} <= everybody_at_once(seed, rounds=150)
