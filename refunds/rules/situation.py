"""One certificate as everybody asks about it: what the policy says, what its row offers, and why."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Protocol

from django.utils.translation import gettext as _

from certificates.models import Certificate
from certificates.states import CertificateState
from core.templatetags.console_format import moment
from refunds.models import RefundRequest
from refunds.rules.assess import Assessment, Case, Facts, assess_case, case_of
from refunds.rules.explain import Explanation, explain_case, hint_of
from refunds.rules.facts import facts_of, moment_of
from refunds.rules.offer import Offer, offer
from refunds.rules.policies import Policy
from refunds.states import OPEN, RequestState


class Request(Protocol):
    """What a list reads of a certificate's newest request; a `RefundRequest` has it too."""

    @property
    def state(self) -> str: ...


@dataclass(frozen=True)
class Situation:
    """A certificate at `at` (UTC), with the newest of its refund requests.

    Requires `select_related("order", "product")`.
    """

    certificate: Certificate
    newest: Request | None
    facts: Facts
    at: datetime

    @cached_property
    def case(self) -> Case:
        return case_of(self.facts, self.at)

    @cached_property
    def assessment(self) -> Assessment:
        return assess_case(self.case)

    @cached_property
    def explanation(self) -> Explanation:
        return explain_case(self.case, self.assessment)

    @cached_property
    def offer(self) -> Offer:
        return offer(
            self.assessment,
            self.certificate.state,
            self.newest.state if self.newest else None,
            is_refunded_outside=self.certificate.refund_found_at is not None,
        )

    @property
    def policy(self) -> Policy:
        return self.case.policy

    @property
    def can_request(self) -> bool:
        return self.offer == Offer.REFUND and self.assessment.supported

    @property
    def is_open(self) -> bool:
        return self.newest is not None and self.newest.state in OPEN

    @property
    def overruled(self) -> str:
        """What decides in place of the policy, in a sentence: a request, or a refund found at the channel."""
        if self.is_open:
            return _("A refund of this certificate is under way.")
        if self.certificate.state == CertificateState.REFUNDED or self._is_paid:
            return _("What you paid for this certificate has been paid back.")
        return found_in_words(self.certificate.refund_found_at) if self.certificate.refund_found_at else ""

    @property
    def _is_paid(self) -> bool:
        return self.newest is not None and self.newest.state == RequestState.REFUNDED

    @property
    def answer(self) -> str:
        """Whether it can be refunded, and why, in one sentence."""
        return self.overruled or self.explanation.answer

    @property
    def hint(self) -> str:
        """The same in a few words for a row; empty where the row says it by its request's state."""
        if self.offer in {Offer.CANCEL, Offer.UNDER_WAY}:
            # The record says that staff are checking it.
            return _("a refund was already made by the payment channel") if self.certificate.refund_found_at else ""
        return self.overruled or hint_of(self.case, self.assessment)


def situation_of(certificate: Certificate, now: datetime) -> Situation:
    """The situation at `now`, or at the moment of an event stored meanwhile; see `moment_of`."""
    newest = RefundRequest.objects.of(certificate).first()
    if newest:
        newest.certificate = certificate
    return situation_with(certificate, newest, now)


def situation_with(certificate: Certificate, newest: Request | None, now: datetime) -> Situation:
    """The same for a caller who knows the newest request."""
    facts = facts_of(certificate)
    return Situation(certificate, newest, facts, moment_of(facts, now))


def found_in_words(found_at: datetime | None) -> str:
    """Why nothing is refunded while a refund that the channel made is undecided.

    `found_at` is when we found it; None if it concerns another certificate of the same order.
    """
    if found_at is None:
        return _(
            "The payment channel has already refunded part of the same order. Until our staff have looked at it, "
            "nothing else of this order can be refunded."
        )
    words = _(
        "The payment channel has already made a refund of this certificate; we found it on %(time)s. Our staff are "
        "checking it, so no other refund can be requested."
    )
    return words % {"time": moment(found_at)}
