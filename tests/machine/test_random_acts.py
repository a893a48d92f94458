"""Anybody does anything, in any order, at any time: what must never be, never is.

The gate plays the same few hundred acts each time. `HYPOTHESIS_PROFILE=soak` plays others, and many more.
"""

import os
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from certificates.exceptions import CertificatesError
from certificates.models import Certificate
from certificates.services import record_closed, record_issued
from certificates.states import CertificateState
from core import jobs
from core.models import AuditEntry, Job, User
from payments.channels import Outcome
from payments.exceptions import PaymentsError
from payments.models import Payout
from payments.services import not_possible, record_failed, record_paid, record_returned, try_again
from payments.states import PayoutState
from refunds.exceptions import RefundsError
from refunds.models import RefundRequest
from refunds.rules.assess import assess
from refunds.rules.facts import facts_of
from refunds.rules.situation import situation_of
from refunds.services import approve_refund, cancel_refund, fail_refund, lapse_overdue, reject_refund, request_refund
from refunds.services.agreed import Summary, summarise
from refunds.states import Reason, RequestState
from tests import factories
from tests.factories import NOON
from tests.invariants import broken
from tests.machine.cast import STEPS, Cast, assemble
from tests.money import scripted
from tests.money.scripted import ScriptedChannel
from tests.refunds.cases import everything

IS_LONG = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
LENGTH = settings(
    max_examples=1500 if IS_LONG else 45,
    stateful_step_count=60 if IS_LONG else 40,
    suppress_health_check=list(settings.default.suppress_health_check),
)
# Acts that end in anything else are faults.
REFUSALS = (RefundsError, PaymentsError, CertificatesError)

# What must have been done somewhere in the examples, else they show nothing.
FAR = {"requested", "cancelled", "approved", "rejected", "money_ordered", "refunded"}
FARTHER = {"lapsed", "application_closed", "issued", "record_paid", "record_failed", "payment_failed", "failed"}
FARTHER |= {"sent_again", "not_possible", "record_returned"}

MAY_DECIDE = {"reviewer", "second", "both", "admin"}
MAY_RECORD = {"cashier", "both", "admin"}
MAY_SEND = {"cashier", "both", "admin"}
MAY_ANSWER = {"reviewer", "second", "admin"}

# Those who may are drawn more often than those who may not, so that examples come far.
OUTSIDERS = ["customer", "clerk", "neighbour"]
DECIDERS = st.sampled_from(["reviewer", "second", "both", "both", "admin", "cashier", *OUTSIDERS])
RECORDERS = st.sampled_from(["cashier", "cashier", "cashier", "both", "admin", "reviewer", *OUTSIDERS])
OWNERS = st.sampled_from(["customer", "customer", "customer", "both", "admin", "neighbour"])
INDEX = st.integers(min_value=0, max_value=14)
# What the card channel says next, and from which states persons send again.
ANSWERS = [Outcome.PAID, Outcome.PENDING, "paid, no answer", scripted.silent(), scripted.silent(), scripted.refused()]
AWAITING_A_PERSON = ("failed", "returned", "unknown", "sent")
EVENTS = st.sampled_from(["apply", "validate", "revoke"])


class Console(RuleBasedStateMachine):
    """Every act of every role upon the certificates of the cast; `refused` acts must have changed nothing."""

    cast: Cast
    card: ScriptedChannel
    acts_done: set[str]

    def __init__(self) -> None:
        super().__init__()
        self.now: datetime = NOON
        self.forms: list[tuple[int, Summary, UUID]] = []
        self.requests_by_form: dict[UUID, int] = {}
        self.card.script.clear()
        self.card.refunds.clear()
        self.example = transaction.atomic()
        self.example.__enter__()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.example.__exit__(None, None, None)

    # --- Customers ---

    @rule(n=INDEX)
    def open_panel(self, n: int) -> None:
        certificate = self.certificate(n)
        summary = summarise(situation_of(certificate, self.now))
        self.forms.append((certificate.pk, summary, uuid4()))

    @precondition(lambda self: self.forms)
    @rule(n=INDEX, who=OWNERS)
    def submit(self, n: int, who: str) -> None:
        certificate_id, agreed, key = self.forms[-1 - n % len(self.forms)]
        by, before = self.person(who), Certificate.objects.get(pk=certificate_id)
        supported = assess(facts_of(before), self.now).supported
        act = partial(
            request_refund, certificate_id, agreed=agreed, form_key=key, reason=Reason.NO_NEED, reason_text=""
        )
        is_sent_again = key in self.requests_by_form
        request = self.attempt(act, by)
        if request is None:
            return
        assert before.account_id == by.pk
        assert self.requests_by_form.setdefault(key, request.pk) == request.pk
        assert supported or is_sent_again

    @rule(n=INDEX)
    def open_and_submit(self, n: int) -> None:
        """The usual way, so that examples come far."""
        self.open_panel(n)
        owner = Certificate.objects.select_related("account").get(pk=self.forms[-1][0]).account
        self.submit(0, owner.username)

    @rule(n=INDEX, who=OWNERS)
    def cancel(self, n: int, who: str) -> None:
        if request := self.request(n, RequestState.UNDER_REVIEW):
            self.attempt(partial(cancel_refund, request.pk), self.person(who))

    # --- Staff ---

    @rule(n=INDEX, who=DECIDERS)
    def approve(self, n: int, who: str) -> None:
        if request := self.request(n, RequestState.UNDER_REVIEW):
            act = partial(approve_refund, request.pk, seen=factories.seen(request))
            self.attempt(act, self.person(self.or_owner(who, request.account, n)), among=MAY_DECIDE)

    @rule(n=INDEX, who=DECIDERS)
    def reject(self, n: int, who: str) -> None:
        if request := self.request(n, RequestState.UNDER_REVIEW):
            act = partial(reject_refund, request.pk, answer="In use.", seen=factories.seen(request))
            self.attempt(act, self.person(self.or_owner(who, request.account, n)), among=MAY_DECIDE)

    @rule(n=INDEX, who=RECORDERS, reference=st.integers(0, 20))
    def record_payout(self, n: int, who: str, reference: int) -> None:
        if payout := self.payout(n):
            involved = payout.approved_by or payout.payment.account
            act = partial(record_paid, payout.pk, f"outside-{reference}")
            self.attempt(act, self.person(self.or_owner(who, involved, n)), among=MAY_RECORD)

    @rule(n=INDEX, who=RECORDERS)
    def record_failure(self, n: int, who: str) -> None:
        if payout := self.payout(n):
            act = partial(record_failed, payout.pk, "account closed")
            self.attempt(act, self.person(self.or_owner(who, payout.payment.account, n)), among=MAY_RECORD)

    @rule(n=INDEX, who=RECORDERS)
    def record_return(self, n: int, who: str) -> None:
        if payout := self.one_of(Payout.objects.filter(state=PayoutState.PAID), n) or self.payout(n):
            act = partial(record_returned, payout.pk, "account closed")
            self.attempt(act, self.person(self.or_owner(who, payout.payment.account, n)), among=MAY_RECORD)

    @rule(n=INDEX, who=RECORDERS)
    def send_again(self, n: int, who: str) -> None:
        if payout := self.payout(n, *AWAITING_A_PERSON):
            involved = payout.approved_by or payout.payment.account
            self.attempt(partial(try_again, payout.pk), self.person(self.or_owner(who, involved, n)), among=MAY_SEND)

    @rule(n=INDEX, who=RECORDERS)
    def say_impossible(self, n: int, who: str) -> None:
        if payout := self.payout(n, "failed", "returned"):
            act = partial(not_possible, payout.pk, "account closed")
            self.attempt(act, self.person(who), among=MAY_RECORD)

    @rule(n=INDEX, who=RECORDERS)
    def give_up(self, n: int, who: str) -> None:
        if request := self.request(n, RequestState.PAYMENT_FAILED):
            act = partial(fail_refund, request.pk, reason="account closed")
            self.attempt(act, self.person(who), among=MAY_RECORD)

    # --- The channel of cards, which does what it likes ---

    @rule(told=st.sampled_from(ANSWERS))
    def channel_will_say(self, told: Any) -> None:
        self.card.script.append(told)

    @rule(n=INDEX, outcome=st.sampled_from([Outcome.PAID, Outcome.FAILED, Outcome.FAILED]))
    def channel_notifies(self, n: int, outcome: Outcome) -> None:
        """What it has taken on ends, or money that it had paid comes back; it tells so, perhaps more than once."""
        known = Payout.objects.filter(channel="card").exclude(external_reference="").exclude(state=PayoutState.RETURNED)
        if (payout := self.one_of(known, n)) and str(payout.key) in self.card.refunds:
            self.card.set(payout, outcome, reason="account closed")
            scripted.notify(payout, f"event-{uuid4()}")

    # --- The authority, the worker, time ---

    @rule(n=INDEX, who=DECIDERS, has_issued=st.booleans())
    def answer(self, n: int, who: str, has_issued: bool) -> None:
        certificate = self.one_of(Certificate.objects.filter(closing_since__isnull=False), n) or self.certificate(n)
        act: Callable[..., Any] = partial(record_closed, certificate.pk)
        if has_issued:
            act = partial(record_issued, certificate.pk, factories.handover(at=self.now))
        self.attempt(act, self.person(self.or_owner(who, certificate.account, n)), among=MAY_ANSWER)

    @rule(n=INDEX, event=EVENTS)
    def live(self, n: int, event: str) -> None:
        """A certificate's own life, which leaves alone what is held."""
        source, fields = {
            "apply": (CertificateState.PENDING_APPLICATION, {"state": "validating_application"}),
            "validate": (CertificateState.VALIDATING_APPLICATION, {"validated_at": self.now}),
            "revoke": (
                CertificateState.ISSUED,
                {"state": "revoked", "revocation_requested_at": self.now, "revoked_at": self.now},
            ),
        }[event]
        rows = Certificate.objects.filter(pk=self.certificate(n).pk, state=source, hold="", closing_since=None)
        rows.update(**fields)

    @rule()
    def work(self) -> None:
        """What the worker does, again and again, whatever the back-off says."""
        Job.objects.filter(state=Job.State.QUEUED).update(run_at=Now())
        jobs.run_due("worker", clock=lambda: self.now)
        lapse_overdue(at=self.now)

    @rule(step=st.sampled_from(STEPS))
    def wait(self, step: Any) -> None:
        self.now += step

    # --- What never is ---

    @invariant()
    def nothing_is_broken(self) -> None:
        assert broken() == {}
        self.acts_done.update(AuditEntry.objects.values_list("act", flat=True))

    # --- How it is done ---

    def attempt(self, act: Callable[..., Any], by: User, *, among: Collection[str] | None = None) -> Any:
        """Do it as this person, who must be among those who may; refused, it must have changed nothing."""
        before = everything()
        try:
            done = act(by=by, at=self.now)
        except REFUSALS:
            assert everything() == before
            return None
        assert among is None or by.username in among
        return done

    def or_owner(self, who: str, involved: User, n: int) -> str:
        """Now and then the very person who may not, whatever their permissions."""
        return who if n % 3 else involved.username

    def person(self, name: str) -> User:
        return self.cast.person(name)

    def certificate(self, n: int) -> Certificate:
        return Certificate.objects.get(pk=self.cast.certificates[n % len(self.cast.certificates)])

    def request(self, n: int, state: str) -> RefundRequest | None:
        """Mostly one in this state, if there is one: the others are there to be refused."""
        wanted = RefundRequest.objects.filter(state=state)
        return (n % 4 and self.one_of(wanted, n)) or self.one_of(RefundRequest.objects.all(), n)

    def payout(self, n: int, *states: str) -> Payout | None:
        """As `request`."""
        states = states or ("ordered", "failed", "returned")
        wanted = Payout.objects.current().filter(state__in=states, given_up_at=None).exclude(channel="balance")
        return (n % 4 and self.one_of(wanted, n)) or self.one_of(Payout.objects.all(), n)

    def one_of(self, rows: Any, n: int) -> Any:
        newest = list(rows.order_by("-id")[:4])
        return newest[n % len(newest)] if newest else None


def nothing(payload: dict[str, Any], *, at: datetime) -> None:
    """A job that does nothing."""


@pytest.fixture
def cast(db: None, settings: Any) -> Iterator[Cast]:
    settings.JOB_HANDLERS = {**settings.JOB_HANDLERS, "send_mail": f"{__name__}.nothing"}
    yield assemble()


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> ScriptedChannel:
    """Connected; what it does not answer is soon given up, so that persons come to it."""
    monkeypatch.setattr(jobs, "MAX_ATTEMPTS", 2)
    return scripted.connect(monkeypatch)


def test_whatever_anybody_does_money_and_requests_stay_in_order(cast: Cast, card: ScriptedChannel) -> None:
    class ConsoleOfCast(Console):
        pass

    ConsoleOfCast.cast, ConsoleOfCast.card, ConsoleOfCast.acts_done = cast, card, set()
    run_state_machine_as_test(ConsoleOfCast, settings=LENGTH)
    assert ConsoleOfCast.acts_done >= (FAR | FARTHER if IS_LONG else FAR)
    assert not Job.objects.exists(), "an example left something behind"
    assert connection.in_atomic_block
