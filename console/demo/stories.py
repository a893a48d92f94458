"""The refunds of the demo, each told as what people did and when; the services do the rest, as of those moments."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Q
from django.db.models.functions import Now

from certificates.models import Certificate
from certificates.services import record_closed, record_issued
from console.demo.authority import DemoAuthority
from console.demo.making import YEAR
from console.demo.silence import SilentChannel
from core import jobs
from core.models import Job, User
from payments.channels import ChannelRefund, Outcome, standing_in
from payments.models import Payout
from payments.payers import Payer
from payments.services import (
    make_batch,
    queue_waiting,
    record_bank_account,
    record_failed,
    record_paid,
    record_returned,
    take_in,
)
from payments.states import UNDER_WAY, Channel, PayoutState
from refunds.models import RefundRequest
from refunds.pages.request_form import new_form
from refunds.rules.facts import facts_of
from refunds.rules.situation import situation_of
from refunds.services import (
    approve_refund,
    cancel_refund,
    fail_refund,
    lapse_overdue,
    reject_refund,
    request_refund,
    review_token,
)
from refunds.services.agreed import summarise
from refunds.states import Reason, RequestState

PAYER = Payer("Example Trading Ltd", "GB82WEST12345698765432")


@dataclass
class Stage:
    """Who takes part, and the certificate of each label."""

    people: Mapping[str, User]
    certificates: Mapping[str, int]
    authority: DemoAuthority
    requests: dict[str, int] = field(default_factory=dict)

    def certificate(self, label: str) -> Certificate:
        return Certificate.objects.select_related("order", "product", "account").get(pk=self.certificates[label])

    def request(self, label: str) -> RefundRequest:
        return RefundRequest.objects.get(pk=self.requests[label])

    def payout(self, label: str) -> Payout:
        """The one payout of a request that waits for a person."""
        return Payout.objects.get(reference=self.request(label).reference, state__in=sorted(UNDER_WAY))

    def seen(self, label: str) -> str:
        """The token of a reviewer's page opened now."""
        return review_token(self.request(label), facts_of(self.certificate(label)))


Act = Callable[[Stage, str, datetime], object]


@dataclass(frozen=True)
class Story:
    """Acts by days ago and hour, and the state in which they leave the request."""

    ends_as: RequestState
    acts: tuple[tuple[int, int, Act], ...]


# --- Acts --------------------------------------------------------------------------------------


def asks(reason: Reason, text: str = "") -> Act:
    def act(stage: Stage, label: str, at: datetime) -> None:
        certificate = stage.certificate(label)
        form = new_form(certificate, summarise(situation_of(certificate, at)))
        request = request_refund(
            certificate.pk,
            agreed=form.summary,
            form_key=form.key,
            reason=reason,
            reason_text=text,
            by=certificate.account,
            at=at,
        )
        stage.requests[label] = request.pk

    return act


def cancels(stage: Stage, label: str, at: datetime) -> None:
    cancel_refund(stage.requests[label], by=stage.certificate(label).account, at=at)


def approves(stage: Stage, label: str, at: datetime) -> None:
    approve_refund(stage.requests[label], seen=stage.seen(label), by=stage.people["reviewer"], at=at)


def rejects(answer: str) -> Act:
    def act(stage: Stage, label: str, at: datetime) -> None:
        reviewer = stage.people["reviewer"]
        reject_refund(stage.requests[label], answer=answer, seen=stage.seen(label), by=reviewer, at=at)

    return act


def payout_made(reference: str) -> Act:
    return lambda stage, label, at: record_paid(stage.payout(label).pk, reference, by=stage.people["cashier"], at=at)


def payout_fails(reason: str) -> Act:
    return lambda stage, label, at: record_failed(stage.payout(label).pk, reason, by=stage.people["cashier"], at=at)


def payout_comes_back(reason: str) -> Act:
    def act(stage: Stage, label: str, at: datetime) -> None:
        payout = Payout.objects.get(reference=stage.request(label).reference, state=PayoutState.PAID)
        record_returned(payout.pk, reason, by=stage.people["cashier"], at=at)

    return act


def channel_is_silent(stage: Stage, label: str, at: datetime) -> None:
    """It is asked as often as the worker ever does, and then a person has the payout."""
    payout = stage.payout(label)
    with standing_in(payout.channel, SilentChannel()):
        queue_waiting(at=at)
        for _ in range(jobs.MAX_ATTEMPTS):
            due_now = Job.objects.filter(key=f"pay_payout:{payout.key}", state=Job.State.QUEUED)
            due_now.update(run_at=Now())
            with _unlogged(jobs.logger):
                _pay_what_is_due(at)


def account_named(stage: Stage, label: str, at: datetime) -> None:
    """Where its bank payment came from. The number is one of those made for examples."""
    for share in stage.certificate(label).shares.filter(payment__channel=Channel.BANK):
        record_bank_account(share.payment_id, PAYER, by=stage.people["cashier"], at=at)


def put_into_a_file(stage: Stage, _label: str, at: datetime) -> None:
    make_batch(by=stage.people["cashier"], at=at)


def refunded_elsewhere(reference: str) -> Act:
    """Somebody gave the money back on the channel's own pages, and the console has learned of it."""

    def act(stage: Stage, label: str, at: datetime) -> None:
        certificate = stage.certificate(label)
        [share] = certificate.shares.select_related("payment")
        found = ChannelRefund(
            reference,
            Outcome.PAID,
            share.amount,
            certificate.currency,
            at,
            payment_reference=share.payment.reference,
        )
        take_in(share.payment.channel, found, at=at)

    return act


@contextmanager
def _unlogged(logger: logging.Logger) -> Iterator[None]:
    """That a payout needs a person is the story, not news for whoever starts the demo."""
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = False


def gives_up(reason: str) -> Act:
    return lambda stage, label, at: fail_refund(stage.requests[label], reason=reason, by=stage.people["cashier"], at=at)


def authority_closes(stage: Stage, label: str, at: datetime) -> None:
    record_closed(stage.certificates[label], by=stage.people["reviewer"], at=at)


def authority_issues(stage: Stage, label: str, at: datetime) -> None:
    certificate = stage.certificate(label)
    names = list(certificate.domains.values_list("name", flat=True))
    handover = stage.authority.issue(names, at, until=at + YEAR)
    record_issued(certificate.pk, handover, by=stage.people["reviewer"], at=at)


def expires(_stage: Stage, _label: str, at: datetime) -> None:
    lapse_overdue(at=at)


# --- Stories -----------------------------------------------------------------------------------

_S = RequestState
_NO_NEED = asks(Reason.NO_NEED)

STORIES: Mapping[str, Story] = {
    "refunded at once": Story(
        _S.REFUNDED, ((7, 11, asks(Reason.OTHER, "I mistyped the name and bought the right one.")),)
    ),
    "refunded after closing": Story(
        _S.REFUNDED, ((33, 15, asks(Reason.STUCK)), (30, 10, approves), (28, 16, authority_closes))
    ),
    "refunded by alipay": Story(
        _S.REFUNDED, ((45, 9, _NO_NEED), (41, 14, approves), (40, 10, payout_made("2026ALI000451")))
    ),
    "refunded by card": Story(
        _S.REFUNDED, ((110, 10, asks(Reason.WRONG_TYPE)), (104, 15, approves), (102, 11, payout_made("re_demo_3Q7x")))
    ),
    "to be closed": Story(_S.APPROVED, ((1, 18, asks(Reason.STUCK)),)),
    "approved": Story(_S.APPROVED, ((12, 13, _NO_NEED), (8, 10, approves))),
    "paying": Story(
        _S.PAYING,
        (
            (15, 10, asks(Reason.CANNOT_APPLY)),
            (9, 16, approves),
            (8, 10, account_named),
            (8, 11, put_into_a_file),
        ),
    ),
    "came back": Story(
        _S.PAYMENT_FAILED,
        (
            (80, 10, asks(Reason.STUCK)),
            (76, 15, approves),
            (73, 11, payout_made("NB-OUT-000318")),
            (5, 10, payout_comes_back("The bank says: account closed.")),
        ),
    ),
    "nobody knows": Story(_S.PAYING, ((13, 10, _NO_NEED), (10, 11, approves), (10, 12, channel_is_silent))),
    "payment failed": Story(
        _S.PAYMENT_FAILED,
        ((25, 9, asks(Reason.CANNOT_APPLY)), (18, 11, approves), (14, 15, payout_fails("The account is closed."))),
    ),
    "to go by bank": Story(_S.APPROVED, ((9, 10, _NO_NEED), (4, 11, approves), (3, 10, account_named))),
    "under review": Story(_S.UNDER_REVIEW, ((2, 20, asks(Reason.WRONG_TYPE)),)),
    "long under review": Story(_S.UNDER_REVIEW, ((18, 16, _NO_NEED),)),
    "under review after a failure": Story(_S.UNDER_REVIEW, ((6, 9, asks(Reason.STUCK)),)),
    "under review, refunded elsewhere": Story(
        _S.UNDER_REVIEW, ((7, 9, _NO_NEED), (1, 9, refunded_elsewhere("re_demo_5Kx2")))
    ),
    "under review, to be closed": Story(_S.UNDER_REVIEW, ((3, 14, asks(Reason.OTHER, "The project was called off.")),)),
    "rejected": Story(
        _S.REJECTED,
        (
            (60, 10, _NO_NEED),
            (55, 17, rejects("The certificate still serves fair.example.org. Take it out of use and ask again.")),
        ),
    ),
    "cancelled": Story(_S.CANCELLED, ((22, 10, asks(Reason.CANNOT_APPLY)), (21, 9, cancels))),
    "lapsed, issued": Story(_S.LAPSED, ((90, 10, asks(Reason.STUCK)), (88, 14, authority_issues))),
    "lapsed, expired": Story(_S.LAPSED, ((21, 10, _NO_NEED), (3, 10, expires))),
    "failed": Story(
        _S.FAILED,
        (
            (70, 10, _NO_NEED),
            (64, 15, approves),
            (60, 11, payout_fails("The bank account does not exist any more.")),
            (58, 16, gives_up("The bank has sent the money back twice. Tell us another account and ask again.")),
        ),
    ),
    "neighbour, refunded at once": Story(_S.REFUNDED, ((8, 12, _NO_NEED),)),
    "neighbour, under review": Story(_S.UNDER_REVIEW, ((4, 10, asks(Reason.CANNOT_APPLY)),)),
}


# What happens to certificates of which no refund was requested.
LONE_ACTS: tuple[tuple[str, int, int, Act], ...] = (
    ("refunded elsewhere", 2, 15, refunded_elsewhere("2026112122001400000000000777/by-hand")),
)


class StoryWentWrong(Exception):
    """A refund of the demo ended otherwise than its story says: the demo or the console has a fault."""


def play(stage: Stage, when: Callable[[int, int], datetime]) -> None:
    """Let everything happen in the order of its moments. `when` gives the moment of so many days ago at an hour.

    Raises StoryWentWrong.
    """
    acts = [(when(days, hour), label, act) for label, story in STORIES.items() for days, hour, act in story.acts]
    acts += [(when(days, hour), label, act) for label, days, hour, act in LONE_ACTS]
    for at, label, act in sorted(acts, key=lambda told: told[0]):
        act(stage, label, at)
        _pay_what_is_due(at + timedelta(seconds=1))
    for label, story in STORIES.items():
        state = stage.request(label).state
        if state != story.ends_as:
            raise StoryWentWrong(f"{label}: {state}")


def _pay_what_is_due(at: datetime) -> None:
    """What the worker would have done; mails are left to it."""
    jobs.run_due("load_demo", clock=lambda: at, lane=Q(kind="pay_payout"))
