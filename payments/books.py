"""The proof of the ledger: accounts, payments and payouts say the same as the entries."""

from collections.abc import Iterator

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from core.books import Finding, findings, sum_of, unless
from core.models import Job
from payments.channels import connected
from payments.models import LedgerAccount, LedgerEntry, Payment, Payout
from payments.states import GONE, UNDER_WAY, Cause, Channel, LedgerKind, PayoutState


def offending() -> Iterator[Finding]:
    """Every row of payments that contradicts another."""
    yield from _accounts()
    yield from _entries()
    yield from _payments()
    yield from _payouts()
    yield from _forgotten_payouts()


# --- Accounts ----------------------------------------------------------------------------------


def _accounts() -> Iterator[Finding]:
    entries = LedgerEntry.objects.all()
    accounts = LedgerAccount.objects.annotate(moved=sum_of(entries, "credit") - sum_of(entries, "debit"))
    customers = accounts.filter(kind=LedgerKind.BALANCE)
    yield from findings(customers.exclude(balance=F("moved")), "keeps {balance}, but its entries sum to {moved}")
    yield from findings(customers.filter(balance__lt=0), "is below zero: {balance}")
    pending = accounts.filter(kind=LedgerKind.PENDING).annotate(
        under_way=sum_of(Payout.objects.filter(state__in=sorted(UNDER_WAY)), "currency", outer="currency")
    )
    yield from findings(pending.exclude(moved=F("under_way")), "says {moved} are under way, the payouts {under_way}")


# --- Entries -----------------------------------------------------------------------------------

_TO_CUSTOMER = Q(
    payout__channel=Channel.BALANCE,
    credit__kind=LedgerKind.BALANCE,
    credit__owner=F("payout__payment__account"),
)
_TO_CHANNEL = Q(credit__kind=LedgerKind.CHANNEL, credit__channel=F("payout__channel")) & ~Q(
    payout__channel=Channel.BALANCE
)
_RIGHT_ACCOUNTS = (
    Q(cause=Cause.PAYOUT_ORDERED, debit__kind=LedgerKind.REFUNDS, credit__kind=LedgerKind.PENDING)
    | Q(cause=Cause.PAYOUT_FAILED, debit__kind=LedgerKind.PENDING, credit__kind=LedgerKind.REFUNDS)
    | (Q(cause=Cause.PAYOUT_PAID, debit__kind=LedgerKind.PENDING) & (_TO_CUSTOMER | _TO_CHANNEL))
    | Q(cause=Cause.PAYOUT_RETURNED, debit__kind=LedgerKind.CHANNEL, credit__kind=LedgerKind.REFUNDS)
)
# Money that no payout moves: credited by staff, and paid from a balance.
_OF_NO_PAYOUT = Q(cause__in=[Cause.BALANCE_CREDITED, Cause.ORDER_PAID])


def _entries() -> Iterator[Finding]:
    entries = LedgerEntry.objects.all()
    yield from findings(entries.filter(payout=None).exclude(_OF_NO_PAYOUT), "belongs to no payout")
    yield from _payout_entries(entries.exclude(payout=None))
    others = entries.filter(_OF_NO_PAYOUT, payout=None)
    one_currency = Q(debit__currency=F("currency"), credit__currency=F("currency"))
    yield from findings(others.filter(unless(one_currency)), "mixes currencies")
    yield from _credits(others.filter(cause=Cause.BALANCE_CREDITED))
    yield from _order_payments(others.filter(cause=Cause.ORDER_PAID))


def _payout_entries(of_payouts: QuerySet[LedgerEntry]) -> Iterator[Finding]:
    yield from findings(
        of_payouts.exclude(amount=F("payout__amount")), "moves {amount}, but its payout is of {payout__amount}"
    )
    one_currency = Q(currency=F("payout__currency"), debit__currency=F("currency"), credit__currency=F("currency"))
    yield from findings(of_payouts.filter(unless(one_currency)), "mixes currencies")
    yield from findings(of_payouts.filter(unless(_RIGHT_ACCOUNTS)), "{cause} stands on the wrong accounts")
    yield from findings(of_payouts.exclude(payment=None), "belongs to a payout and to a payment")


def _credits(entries: QuerySet[LedgerEntry]) -> Iterator[Finding]:
    right = Q(debit__kind=LedgerKind.DEPOSITS, credit__kind=LedgerKind.BALANCE)
    yield from findings(entries.filter(unless(right)), "{cause} stands on the wrong accounts")
    yield from findings(entries.exclude(payment=None), "credits a balance, but belongs to a payment")
    yield from findings(entries.filter(by=None), "credits a balance in nobody's name")
    yield from findings(entries.filter(by=F("credit__owner")), "was credited by who receives it")


def _order_payments(entries: QuerySet[LedgerEntry]) -> Iterator[Finding]:
    yield from findings(entries.filter(payment=None), "pays an order, but belongs to no payment")
    paying = entries.exclude(payment=None)
    yield from findings(
        paying.exclude(amount=F("payment__amount")), "moves {amount}, but its payment is of {payment__amount}"
    )
    yield from findings(paying.exclude(currency=F("payment__currency")), "mixes currencies")
    right = Q(
        payment__channel=Channel.BALANCE,
        debit__kind=LedgerKind.BALANCE,
        debit__owner=F("payment__account"),
        credit__kind=LedgerKind.SALES,
    )
    yield from findings(paying.filter(unless(right)), "{cause} stands on the wrong accounts")
    earlier = paying.filter(payment=OuterRef("payment"), pk__lt=OuterRef("pk"))
    yield from findings(paying.filter(Exists(earlier)), "pays the same payment once more")


# --- Payments ----------------------------------------------------------------------------------


def _payments() -> Iterator[Finding]:
    payments = Payment.objects.annotate(gone=sum_of(Payout.objects.filter(state__in=sorted(GONE)), "payment"))
    yield from findings(
        payments.exclude(ordered_back=F("gone")), "says {ordered_back} are ordered back, its payouts sum to {gone}"
    )
    yield from findings(payments.filter(gone__gt=F("amount")), "gives {gone} back of {amount} paid in")


# --- Payouts -----------------------------------------------------------------------------------


def _payouts() -> Iterator[Finding]:
    payouts = Payout.objects.all()
    counted = payouts.annotate(
        ordered=_count(Cause.PAYOUT_ORDERED),
        paid=_count(Cause.PAYOUT_PAID),
        failed=_count(Cause.PAYOUT_FAILED),
        returned=_count(Cause.PAYOUT_RETURNED),
    )
    yield from findings(
        counted.filter(unless(_RIGHT_ENTRIES)),
        "is {state}, but has {ordered} entries of its order, {paid} paid, {failed} failed, {returned} returned",
    )
    like_payment = Q(channel=F("payment__channel"), currency=F("payment__currency"))
    yield from findings(payouts.filter(unless(like_payment)), "differs from its payment in channel or currency")
    yield from _doubles(payouts)
    yield from _people(payouts)
    yield from _settlements(payouts)


def _count(cause: Cause) -> Count:
    return Count("entries", filter=Q(entries__cause=cause))


_RIGHT_ENTRIES = (
    Q(state__in=sorted(UNDER_WAY), ordered=F("failed") + 1, paid=0, returned=0)
    | Q(state=PayoutState.PAID, ordered=F("failed") + 1, paid=1, returned=0)
    | Q(state=PayoutState.FAILED, ordered=F("failed"), failed__gt=0, paid=0, returned=0)
    | Q(state=PayoutState.RETURNED, ordered=F("failed") + 1, paid=1, returned=1)
)


def _doubles(payouts: QuerySet[Payout]) -> Iterator[Finding]:
    live = payouts.exclude(state=PayoutState.RETURNED)
    earlier = live.filter(payment=OuterRef("payment"), reference=OuterRef("reference"), pk__lt=OuterRef("pk"))
    yield from findings(live.filter(Exists(earlier)), "pays the same part of {reference} once more")
    referred = payouts.exclude(external_reference="")
    same = referred.filter(
        channel=OuterRef("channel"), external_reference=OuterRef("external_reference"), pk__lt=OuterRef("pk")
    )
    yield from findings(referred.filter(Exists(same)), "carries the outside reference {external_reference} of another")


def _people(payouts: QuerySet[Payout]) -> Iterator[Finding]:
    yield from findings(payouts.filter(approved_by=F("recorded_by")), "was recorded by who approved it")
    receiver = F("payment__account")
    yield from findings(payouts.filter(approved_by=receiver), "was approved by who receives it")
    yield from findings(payouts.filter(recorded_by=receiver), "was recorded by who receives it")


def _settlements(payouts: QuerySet[Payout]) -> Iterator[Finding]:
    settled = Q(state__in=[PayoutState.PAID, PayoutState.FAILED, PayoutState.RETURNED])
    yield from findings(payouts.filter(settled, settled_at=None), "is {state}, but has no time of it")
    yield from findings(payouts.exclude(settled).exclude(settled_at=None), "is {state}, but has a time of its end")
    outside = payouts.filter(state=PayoutState.PAID).exclude(channel=Channel.BALANCE)
    yield from findings(outside.filter(external_reference=""), "was paid outside without a reference")
    yield from findings(
        payouts.exclude(given_up_at=None).exclude(state=PayoutState.FAILED), "is {state}, but was given up"
    )


def _forgotten_payouts() -> Iterator[Finding]:
    """Payouts that the worker should make and that no job will ever bring to it."""
    channels = [channel for channel in Channel.values if connected(channel)]
    waiting = Payout.objects.filter(state__in=sorted(UNDER_WAY), channel__in=channels)
    live = Job.objects.filter(kind="pay_payout").exclude(state=Job.State.DONE)
    queued = set(live.values_list("key", flat=True))
    lost = [pk for pk, key in waiting.values_list("pk", "key") if f"pay_payout:{key}" not in queued]
    yield from findings(Payout.objects.filter(pk__in=lost), "is {state}, but no job will pay it")
