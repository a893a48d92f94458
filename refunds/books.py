"""The proof of the refunds: requests, decisions, certificates and payouts tell one story."""

from collections.abc import Iterator

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from certificates.models import Certificate, Share
from certificates.states import CertificateState
from core.books import Finding, findings, sum_of, unless
from payments.models import Payout
from payments.states import UNDER_WAY, PayoutState
from refunds.models import Decision, RefundRequest
from refunds.policy import Review
from refunds.states import LIVE, MONEY_ORDERED, RequestState, Verdict


def offending() -> Iterator[Finding]:
    """Every row that contradicts what its request says, and the reverse."""
    yield from _requests()
    yield from _certificates()
    yield from _payouts()
    yield from _decisions()


# --- Requests and their money ------------------------------------------------------------------


def _requests() -> Iterator[Finding]:
    requests = RefundRequest.objects.annotate(
        paid=_payouts_of(PayoutState.PAID),
        under_way=_payouts_of(*UNDER_WAY),
        failed=_payouts_of(PayoutState.FAILED),
        ordered=F("paid") + F("under_way") + F("failed"),
    )
    refunded = requests.filter(state=RequestState.REFUNDED)
    yield from findings(
        refunded.exclude(paid=F("amount"), ordered=F("amount")),
        "is refunded with {amount}, its payouts are {ordered} in all and {paid} paid",
    )
    others = requests.exclude(state=RequestState.REFUNDED)
    yield from findings(others.filter(paid=F("amount")), "is {state}, though all its {amount} are paid")
    yield from findings(
        others.filter(state__in=sorted(MONEY_ORDERED)).filter(unless(Q(ordered=F("amount")) | _NOT_ORDERED_YET)),
        "is of {amount}, its payouts sum to {ordered}",
    )
    yield from findings(
        others.filter(unless(_RIGHT_MONEY)),
        "is {state}, but {under_way} are under way, {failed} failed, {paid} paid",
    )
    earlier = RefundRequest.objects.filter(certificate=OuterRef("certificate"), pk__lt=OuterRef("pk"))
    live = RefundRequest.objects.filter(state__in=sorted(LIVE))
    yield from findings(
        live.filter(Exists(earlier.filter(state__in=sorted(LIVE)))), "is a second live request of its certificate"
    )


def _payouts_of(*states: str) -> Coalesce:
    return sum_of(Payout.objects.filter(state__in=sorted(states)), "reference", outer="reference")


# An authority has not answered yet.
_NOT_ORDERED_YET = Q(state=RequestState.APPROVED, ordered=0)
_RIGHT_MONEY = (
    Q(state=RequestState.APPROVED, failed=0, paid=0)
    | Q(state=RequestState.PAYING, failed=0, ordered__gt=0)
    | Q(state=RequestState.PAYMENT_FAILED, failed__gt=0)
    | Q(state=RequestState.FAILED, under_way=0, failed__gt=0, paid=0)
    | Q(state__in=sorted(set(RequestState) - MONEY_ORDERED - {RequestState.FAILED}), ordered=0)
)


def _certificates() -> Iterator[Finding]:
    refunded = RefundRequest.objects.filter(state=RequestState.REFUNDED)
    yield from findings(
        refunded.exclude(certificate__state=CertificateState.REFUNDED),
        "is refunded, but its certificate is {certificate__state}",
    )
    yield from findings(
        Certificate.objects.filter(
            ~Exists(refunded.filter(certificate=OuterRef("pk"))), state=CertificateState.REFUNDED
        ),
        "is refunded, but no request of it is",
    )


# --- Payouts and who decided -------------------------------------------------------------------


def _payouts() -> Iterator[Finding]:
    payouts = Payout.objects.all()
    approving = Decision.objects.filter(request__reference=OuterRef("reference"), verdict=Verdict.APPROVE)
    in_effect = approving.filter(effective_at__lte=OuterRef("ordered_at"))
    yield from findings(payouts.filter(~Exists(in_effect)), "has no approving decision behind it")
    decided = payouts.annotate(decider=Subquery(approving.values("by")[:1]))
    same = Q(decider=F("approved_by")) | Q(decider=None, approved_by=None)
    yield from findings(
        decided.filter(Exists(approving)).filter(unless(same)), "names another than who decided as its approver"
    )
    yield from findings(payouts.filter(~_is_a_share()), "is of {amount}, which its certificate's shares do not say")


def _is_a_share() -> Exists:
    requests: QuerySet = RefundRequest.objects.filter(reference=OuterRef(OuterRef("reference")))
    return Exists(
        Share.objects.filter(
            certificate__in=requests.values("certificate"), payment=OuterRef("payment"), amount=OuterRef("amount")
        )
    )


def _decisions() -> Iterator[Finding]:
    decisions = Decision.objects.all()
    involved = Q(by=F("request__account")) | Q(by=F("request__requested_by"))
    yield from findings(decisions.filter(involved), "was made by who asked for it or receives it")
    yield from findings(
        decisions.filter(by=None).exclude(request__review=Review.NONE), "is of the policy, but needed a review"
    )
