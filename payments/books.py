"""The proof of the ledger: accounts, payments, payouts and what channels' books say agree with the entries."""

import hashlib
from collections.abc import Iterator
from typing import Any

from django.db.models import BigIntegerField, Count, Exists, F, Max, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce, TruncDate

from core.books import Finding, findings, sum_of, unless
from core.encryption import WrongKey, decrypt
from core.models import Job
from payments.days import zone_of
from payments.models import BankBatch, BatchLine, Difference, LedgerAccount, LedgerEntry, Payment, Payout
from payments.states import (
    GONE,
    UNDER_WAY,
    Cause,
    Channel,
    DifferenceKind,
    DifferenceState,
    LedgerKind,
    PayoutState,
)


def offending() -> Iterator[Finding]:
    """Every row of payments that contradicts another."""
    yield from _accounts()
    yield from _entries()
    yield from _payments()
    yield from _payouts()
    yield from _forgotten_payouts()
    yield from _bank_files()
    yield from _differences()


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
    yield from _accounts_of_channels(accounts.filter(kind=LedgerKind.CHANNEL))
    granted = accounts.filter(kind=LedgerKind.REFUNDS).annotate(
        gone=sum_of(Payout.objects.filter(state__in=sorted(GONE)), "currency", outer="currency")
    )
    yield from findings(granted.exclude(moved=-F("gone")), "says {moved} are granted, the payouts {gone}")


def _accounts_of_channels(accounts: QuerySet[Any]) -> Iterator[Finding]:
    """What came back was paid and is here again: in the books of a channel it sums to nothing."""
    paid = Payout.objects.filter(state=PayoutState.PAID, channel=OuterRef("channel"), currency=OuterRef("currency"))
    total = paid.order_by().values("channel", "currency").annotate(all=Sum("amount")).values("all")
    summed = accounts.annotate(paid=Coalesce(Subquery(total), 0, output_field=BigIntegerField()))
    yield from findings(summed.exclude(moved=F("paid")), "says {moved} were paid through {channel}, the payouts {paid}")


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
    paid = of_payouts.filter(cause=Cause.PAYOUT_PAID)
    yield from findings(paid.exclude(at=F("payout__settled_at")), "was booked at another time than its payout was paid")
    back = of_payouts.filter(cause=Cause.PAYOUT_RETURNED)
    yield from findings(
        back.exclude(at=F("payout__returned_at")), "was booked at another time than its payout came back"
    )


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
    yield from _successors(payouts)
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


def _successors(payouts: QuerySet[Payout]) -> Iterator[Finding]:
    """What came back is made good by one payout at most, and that one says so."""
    same_part = payouts.filter(payment=OuterRef("payment"), reference=OuterRef("reference"))
    earlier = same_part.filter(state=PayoutState.RETURNED, pk__lt=OuterRef("pk"))
    yield from findings(
        payouts.filter(Exists(earlier), follows=None), "pays again what came back, but in place of no payout"
    )
    successors = payouts.exclude(follows=None)
    of_same_part = Q(
        payment=F("follows__payment"),
        reference=F("follows__reference"),
        amount=F("follows__amount"),
        currency=F("follows__currency"),
    )
    yield from findings(successors.filter(unless(of_same_part)), "stands in place of a payout of something else")
    came_back = Q(follows__state=PayoutState.RETURNED, follows__given_up_at=None)
    yield from findings(
        successors.filter(unless(came_back & Q(ordered_at__gte=F("follows__returned_at")))),
        "stands in place of a payout that had not come back",
    )


def _people(payouts: QuerySet[Payout]) -> Iterator[Finding]:
    paid = payouts.filter(state__in=[PayoutState.PAID, PayoutState.RETURNED]).exclude(channel=Channel.BALANCE)
    yield from findings(paid.filter(first_sent_at=None, recorded_by=None), "was paid, but nobody sent or recorded it")
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
    here = Q(state__in=[PayoutState.FAILED, PayoutState.RETURNED])
    yield from findings(payouts.exclude(given_up_at=None).exclude(here), "is {state}, but was given up")
    under_way = Q(state__in=sorted(UNDER_WAY))
    yield from findings(payouts.exclude(handed_over_at=None).exclude(under_way), "is {state}, but with staff")
    yield from _days(payouts)


def _days(payouts: QuerySet[Payout]) -> Iterator[Finding]:
    was_paid = Q(state__in=[PayoutState.PAID, PayoutState.RETURNED])
    yield from findings(payouts.filter(was_paid, booked_on=None), "was paid on no day of {channel}'s books")
    yield from findings(
        payouts.exclude(was_paid).exclude(booked_on=None), "is {state}, but stands in {channel}'s books"
    )
    ours = payouts.filter(was_paid, channel=Channel.BALANCE)
    day = TruncDate("settled_at", tzinfo=zone_of(Channel.BALANCE))
    yield from findings(
        ours.annotate(day=day).exclude(booked_on=F("day")),
        "stands in our own books on {booked_on}, but was paid on {day}",
    )
    returned = Q(state=PayoutState.RETURNED)
    yield from findings(payouts.filter(returned, returned_at=None), "came back at no time")
    yield from findings(payouts.exclude(returned).exclude(returned_at=None), "is {state}, but came back")
    yield from findings(payouts.filter(returned_at__lt=F("settled_at")), "came back before it was paid")


def _forgotten_payouts() -> Iterator[Finding]:
    """Payouts that were given to the worker, and that neither a job nor a person will carry on.

    What waits for its channel to be connected was given to nobody yet: the worker's round finds it.
    """
    waiting = Payout.objects.filter(state__in=sorted(UNDER_WAY), is_queued=True, handed_over_at=None)
    jobs = Job.objects.filter(kind="pay_payout", state=Job.State.QUEUED)
    queued = set(jobs.values_list("key", flat=True))
    lost = [pk for pk, key in waiting.values_list("pk", "key") if f"pay_payout:{key}" not in queued]
    yield from findings(Payout.objects.filter(pk__in=lost), "is {state}, but no job will pay it, and no person has it")


# --- Files for the bank ------------------------------------------------------------------------


# With a wrong key nothing is known about the file.
UNREAD = "can't be checked: none of KEY_ENCRYPTION_KEYS opens it; add the key that it was encrypted with"


def _bank_files() -> Iterator[Finding]:
    sent = Payout.objects.filter(channel=Channel.BANK, state__in=[PayoutState.SENT, PayoutState.UNKNOWN])
    yield from findings(sent.filter(batch_line=None), "is {state}, but in no file for the bank")
    yield from findings(
        BatchLine.objects.exclude(payout__channel=Channel.BANK),
        "puts a payout of {payout__channel} into the bank's file",
    )
    counted = BankBatch.objects.annotate(count=Count("lines"), last=Max("lines__position"))
    yield from findings(counted.filter(count=0), "has no lines")
    yield from findings(
        counted.exclude(count=0).exclude(last=F("count")), "has {count} lines, the last is numbered {last}"
    )
    changed, unread = [], []
    for batch in BankBatch.objects.iterator():
        try:
            is_as_made = hashlib.sha256(decrypt(batch.content)).hexdigest() == batch.digest
        except WrongKey:
            unread.append(batch.pk)
        else:
            changed += [batch.pk] * (not is_as_made)
    yield from findings(BankBatch.objects.filter(pk__in=changed), "is not the file that was made")
    yield from findings(BankBatch.objects.filter(pk__in=unread), UNREAD)


# --- Differences -------------------------------------------------------------------------------


def _differences() -> Iterator[Finding]:
    """Refunds that a channel made by itself: each is one payout's, or none's, and not both."""
    found = Difference.objects.filter(kind=DifferenceKind.MISSING_HERE)
    confirmed = found.filter(state=DifferenceState.CONFIRMED)
    its_payout = Q(
        payout__payment=F("payment"),
        payout__channel=F("channel"),
        payout__amount=F("amount"),
        payout__currency=F("currency"),
        payout__external_reference=F("external_reference"),
        payout__booked_on__isnull=False,
    )
    yield from findings(confirmed.filter(unless(its_payout)), "is confirmed, but no payout is that refund")
    others = Difference.objects.filter(state=DifferenceState.CONFIRMED).exclude(kind=DifferenceKind.MISSING_HERE)
    yield from findings(others, "is {kind}, which nobody can confirm")
    unmatched = found.filter(state__in=[DifferenceState.OPEN, DifferenceState.KEPT]).exclude(external_reference="")
    same = Payout.objects.filter(channel=OuterRef("channel"), external_reference=OuterRef("external_reference"))
    yield from findings(unmatched.filter(Exists(same)), "is {state}, but a payout is that refund")
