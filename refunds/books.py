"""The proof of the refunds: requests, decisions, certificates and payouts tell one story."""

from collections.abc import Iterator

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from certificates.models import Certificate, Share
from certificates.states import CAN_END, CertificateState
from core.books import Finding, Question, answers_to, sum_of, unless
from payments.models import Payout
from payments.states import UNDER_WAY, PayoutState
from refunds.models import Decision, RefundRequest
from refunds.rules.table import Review
from refunds.states import LIVE, MONEY_ORDERED, OPEN, RequestState, Verdict

# Verdicts after which money goes, or went, back.
GRANTS = [Verdict.APPROVE, Verdict.CONFIRM]


def offending() -> Iterator[Finding]:
    """Every row that contradicts what its request says, and the reverse."""
    yield from answers_to(_questions)


def _questions() -> Iterator[Question]:
    yield from _requests()
    yield from _certificates()
    yield from _payouts()
    yield from _decisions()


# --- Requests and their money ------------------------------------------------------------------


def _requests() -> Iterator[Question]:
    requests = RefundRequest.objects.annotate(
        paid=_payouts_of(PayoutState.PAID),
        under_way=_payouts_of(*UNDER_WAY),
        failed=_payouts_of(PayoutState.FAILED),
        returned=_payouts_of(PayoutState.RETURNED),
        ordered=F("paid") + F("under_way") + F("failed") + F("returned"),
    )
    refunded = requests.filter(state=RequestState.REFUNDED)
    yield Question(
        refunded.exclude(paid=F("amount"), ordered=F("amount")),
        "is refunded with {amount}, its payouts are {ordered} in all and {paid} paid",
    )
    others = requests.exclude(state=RequestState.REFUNDED)
    yield Question(others.filter(paid=F("amount")), "is {state}, though all its {amount} are paid")
    has_payouts = Q(state__in=sorted(MONEY_ORDERED | {RequestState.FAILED}))
    yield Question(
        others.filter(has_payouts).filter(unless(Q(ordered=F("amount")) | _NOT_ORDERED_YET)),
        "is of {amount}, its payouts sum to {ordered}",
    )
    yield Question(
        others.filter(unless(_RIGHT_MONEY)),
        "is {state}, but {under_way} are under way, {failed} failed, {paid} paid, {returned} came back",
    )
    yield Question(requests.filter(state__in=sorted(OPEN)).exclude(ended_at=None), "is {state}, but has ended")
    yield Question(requests.exclude(state__in=sorted(OPEN)).filter(ended_at=None), "is {state}, but has not ended")
    earlier = RefundRequest.objects.filter(certificate=OuterRef("certificate"), pk__lt=OuterRef("pk"))
    live = RefundRequest.objects.filter(state__in=sorted(LIVE))
    yield Question(
        live.filter(Exists(earlier.filter(state__in=sorted(LIVE)))), "is a second live request of its certificate"
    )


def _payouts_of(*states: str) -> Coalesce:
    """Of what came back the payout that was ordered in its place counts."""
    return sum_of(Payout.objects.current().filter(state__in=sorted(states)), "reference", outer="reference")


# An authority has not answered yet.
_NOT_ORDERED_YET = Q(state=RequestState.APPROVED, ordered=0)
_RIGHT_MONEY = (
    Q(state=RequestState.APPROVED, failed=0, paid=0, returned=0)
    | Q(state=RequestState.PAYING, failed=0, returned=0, ordered__gt=0)
    | (Q(state=RequestState.PAYMENT_FAILED) & (Q(failed__gt=0) | Q(returned__gt=0)))
    | Q(state=RequestState.FAILED, under_way=0, paid=0)
    | Q(state__in=sorted(set(RequestState) - MONEY_ORDERED - {RequestState.FAILED}), ordered=0)
)


def _certificates() -> Iterator[Question]:
    refunded = RefundRequest.objects.filter(state=RequestState.REFUNDED)
    yield Question(
        refunded.exclude(certificate__state=CertificateState.REFUNDED),
        "is refunded, but its certificate is {certificate__state}",
    )
    yield Question(
        Certificate.objects.filter(
            ~Exists(refunded.filter(certificate=OuterRef("pk"))), state=CertificateState.REFUNDED
        ),
        "is refunded, but no request of it is",
    )
    before = Q(state=CertificateState.REFUNDED, state_before_refund__in=sorted(CAN_END))
    never = ~Q(state=CertificateState.REFUNDED) & Q(state_before_refund="")
    yield Question(
        Certificate.objects.filter(unless(before | never)), "is {state}, and “{state_before_refund}” before its refund"
    )
    held = RefundRequest.objects.filter(state__in=sorted(OPEN))
    yield Question(
        held.exclude(certificate__hold=F("reference")),
        "is {state}, but its certificate is held for “{certificate__hold}”",
    )


# --- Payouts and who decided -------------------------------------------------------------------


def _payouts() -> Iterator[Question]:
    payouts = Payout.objects.all()
    deciding = Decision.objects.filter(request__reference=OuterRef("reference"), verdict__in=GRANTS)
    in_effect = deciding.filter(effective_at__lte=OuterRef("ordered_at"))
    yield Question(payouts.filter(~Exists(in_effect)), "has no approving decision behind it")
    approving = deciding.filter(verdict=Verdict.APPROVE)
    decided = payouts.annotate(decider=Subquery(approving.values("by")[:1]))
    same = Q(decider=F("approved_by")) | Q(decider=None, approved_by=None)
    yield Question(
        decided.filter(Exists(approving)).filter(unless(same)), "names another than who decided as its approver"
    )
    yield from _confirmed(payouts, deciding.filter(verdict=Verdict.CONFIRM))
    yield Question(payouts.filter(~_is_a_share()), "is of {amount}, which its certificate's shares do not say")
    gave_up = RefundRequest.objects.filter(reference=OuterRef("reference"), state=RequestState.FAILED)
    given_up = Q(given_up_at__isnull=False)
    current = payouts.current()
    yield Question(current.filter(Exists(gave_up)).exclude(given_up), "belongs to a refund that was given up")
    yield Question(payouts.filter(given_up).filter(~Exists(gave_up)), "was given up, but its refund was not")


def _confirmed(payouts: QuerySet[Payout], confirming: QuerySet[Decision]) -> Iterator[Question]:
    """Refunds that a channel made by itself have no approver: who confirmed each has recorded it."""
    own = payouts.filter(Exists(confirming)).annotate(confirmer=Subquery(confirming.values("by")[:1]))
    right = Q(approved_by=None, recorded_by=F("confirmer"))
    first, anew = own.filter(follows=None), own.exclude(follows=None)
    yield Question(first.filter(unless(right)), "was recorded by another than who confirmed it, or approved")
    yield Question(
        anew.filter(unless(Q(approved_by=F("confirmer")))), "names another than who confirmed as its approver"
    )


def _is_a_share() -> Exists:
    requests: QuerySet = RefundRequest.objects.filter(reference=OuterRef(OuterRef("reference")))
    return Exists(
        Share.objects.filter(
            certificate__in=requests.values("certificate"), payment=OuterRef("payment"), amount=OuterRef("amount")
        )
    )


def _decisions() -> Iterator[Question]:
    decisions = Decision.objects.all()
    involved = Q(by=F("request__account")) | Q(by=F("request__requested_by"))
    yield Question(decisions.filter(involved), "was made by who asked for it or receives it")
    confirming = decisions.filter(verdict=Verdict.CONFIRM)
    yield Question(confirming.filter(by=None), "confirms a refund in nobody's name")
    approved = decisions.filter(request=OuterRef("request"), verdict=Verdict.APPROVE)
    yield Question(confirming.filter(Exists(approved)), "confirms what was approved here")
    granting = decisions.filter(request=OuterRef("pk"), verdict__in=GRANTS)
    paid = RefundRequest.objects.filter(state__in=sorted(MONEY_ORDERED | {RequestState.REFUNDED, RequestState.FAILED}))
    yield Question(paid.filter(~Exists(granting)), "is {state}, but nobody approved or confirmed it")
    yield Question(
        decisions.filter(by=None).exclude(request__review=Review.NONE), "is of the policy, but needed a review"
    )
