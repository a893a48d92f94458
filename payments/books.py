"""The proof of the ledger: accounts, payments, payouts and what channels' books say agree with the entries."""

import hashlib
from collections.abc import Iterator
from typing import Any

from django.db.models import BigIntegerField, Count, Exists, F, Max, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce, TruncDate

from core.books import Finding, Question, answers_to, findings, sum_of, unless
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
    yield from answers_to(_questions)
    yield from _forgotten_payouts()
    yield from _changed_bank_files()


def _questions() -> Iterator[Question]:
    yield from _accounts()
    yield from _entries()
    yield from _payments()
    yield from _payouts()
    yield from _bank_files()
    yield from _differences()


# --- Accounts ----------------------------------------------------------------------------------


def _accounts() -> Iterator[Question]:
    entries = LedgerEntry.objects.all()
    accounts = LedgerAccount.objects.annotate(moved=sum_of(entries, "credit") - sum_of(entries, "debit"))
    customers = accounts.filter(kind=LedgerKind.BALANCE)
    yield Question(customers.exclude(balance=F("moved")), "keeps {balance}, but its entries sum to {moved}")
    yield Question(customers.filter(balance__lt=0), "is below zero: {balance}")
    pending = accounts.filter(kind=LedgerKind.PENDING).annotate(
        under_way=sum_of(Payout.objects.filter(state__in=sorted(UNDER_WAY)), "currency", outer="currency")
    )
    yield Question(pending.exclude(moved=F("under_way")), "says {moved} are under way, the payouts {under_way}")
    yield from _accounts_of_channels(accounts.filter(kind=LedgerKind.CHANNEL))
    granted = accounts.filter(kind=LedgerKind.REFUNDS).annotate(
        gone=sum_of(Payout.objects.filter(state__in=sorted(GONE)), "currency", outer="currency")
    )
    yield Question(granted.exclude(moved=-F("gone")), "says {moved} are granted, the payouts {gone}")


def _accounts_of_channels(accounts: QuerySet[Any]) -> Iterator[Question]:
    """What came back was paid and is here again: in the books of a channel it sums to nothing."""
    paid = Payout.objects.filter(state=PayoutState.PAID, channel=OuterRef("channel"), currency=OuterRef("currency"))
    total = paid.order_by().values("channel", "currency").annotate(all=Sum("amount")).values("all")
    summed = accounts.annotate(paid=Coalesce(Subquery(total), 0, output_field=BigIntegerField()))
    yield Question(summed.exclude(moved=F("paid")), "says {moved} were paid through {channel}, the payouts {paid}")


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


def _entries() -> Iterator[Question]:
    entries = LedgerEntry.objects.all()
    yield Question(entries.filter(payout=None).exclude(_OF_NO_PAYOUT), "belongs to no payout")
    yield from _payout_entries(entries.exclude(payout=None))
    others = entries.filter(_OF_NO_PAYOUT, payout=None)
    one_currency = Q(debit__currency=F("currency"), credit__currency=F("currency"))
    yield Question(others.filter(unless(one_currency)), "mixes currencies")
    yield from _credits(others.filter(cause=Cause.BALANCE_CREDITED))
    yield from _order_payments(others.filter(cause=Cause.ORDER_PAID))


def _payout_entries(of_payouts: QuerySet[LedgerEntry]) -> Iterator[Question]:
    yield Question(
        of_payouts.exclude(amount=F("payout__amount")), "moves {amount}, but its payout is of {payout__amount}"
    )
    one_currency = Q(currency=F("payout__currency"), debit__currency=F("currency"), credit__currency=F("currency"))
    yield Question(of_payouts.filter(unless(one_currency)), "mixes currencies")
    yield Question(of_payouts.filter(unless(_RIGHT_ACCOUNTS)), "{cause} stands on the wrong accounts")
    yield Question(of_payouts.exclude(payment=None), "belongs to a payout and to a payment")
    paid = of_payouts.filter(cause=Cause.PAYOUT_PAID)
    yield Question(paid.exclude(at=F("payout__settled_at")), "was booked at another time than its payout was paid")
    back = of_payouts.filter(cause=Cause.PAYOUT_RETURNED)
    yield Question(back.exclude(at=F("payout__returned_at")), "was booked at another time than its payout came back")


def _credits(entries: QuerySet[LedgerEntry]) -> Iterator[Question]:
    right = Q(debit__kind=LedgerKind.DEPOSITS, credit__kind=LedgerKind.BALANCE)
    yield Question(entries.filter(unless(right)), "{cause} stands on the wrong accounts")
    yield Question(entries.exclude(payment=None), "credits a balance, but belongs to a payment")
    yield Question(entries.filter(by=None), "credits a balance in nobody's name")
    yield Question(entries.filter(by=F("credit__owner")), "was credited by who receives it")


def _order_payments(entries: QuerySet[LedgerEntry]) -> Iterator[Question]:
    yield Question(entries.filter(payment=None), "pays an order, but belongs to no payment")
    paying = entries.exclude(payment=None)
    yield Question(
        paying.exclude(amount=F("payment__amount")), "moves {amount}, but its payment is of {payment__amount}"
    )
    yield Question(paying.exclude(currency=F("payment__currency")), "mixes currencies")
    right = Q(
        payment__channel=Channel.BALANCE,
        debit__kind=LedgerKind.BALANCE,
        debit__owner=F("payment__account"),
        credit__kind=LedgerKind.SALES,
    )
    yield Question(paying.filter(unless(right)), "{cause} stands on the wrong accounts")
    earlier = paying.filter(payment=OuterRef("payment"), pk__lt=OuterRef("pk"))
    yield Question(paying.filter(Exists(earlier)), "pays the same payment once more")


# --- Payments ----------------------------------------------------------------------------------


def _payments() -> Iterator[Question]:
    payments = Payment.objects.annotate(gone=sum_of(Payout.objects.filter(state__in=sorted(GONE)), "payment"))
    yield Question(
        payments.exclude(ordered_back=F("gone")), "says {ordered_back} are ordered back, its payouts sum to {gone}"
    )
    yield Question(payments.filter(gone__gt=F("amount")), "gives {gone} back of {amount} paid in")


# --- Payouts -----------------------------------------------------------------------------------


def _payouts() -> Iterator[Question]:
    payouts = Payout.objects.all()
    counted = payouts.annotate(
        ordered=_count(Cause.PAYOUT_ORDERED),
        paid=_count(Cause.PAYOUT_PAID),
        failed=_count(Cause.PAYOUT_FAILED),
        returned=_count(Cause.PAYOUT_RETURNED),
    )
    yield Question(
        counted.filter(unless(_RIGHT_ENTRIES)),
        "is {state}, but has {ordered} entries of its order, {paid} paid, {failed} failed, {returned} returned",
    )
    like_payment = Q(channel=F("payment__channel"), currency=F("payment__currency"))
    yield Question(payouts.filter(unless(like_payment)), "differs from its payment in channel or currency")
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


def _doubles(payouts: QuerySet[Payout]) -> Iterator[Question]:
    live = payouts.exclude(state=PayoutState.RETURNED)
    earlier = live.filter(payment=OuterRef("payment"), reference=OuterRef("reference"), pk__lt=OuterRef("pk"))
    yield Question(live.filter(Exists(earlier)), "pays the same part of {reference} once more")
    referred = payouts.exclude(external_reference="")
    same = referred.filter(
        channel=OuterRef("channel"), external_reference=OuterRef("external_reference"), pk__lt=OuterRef("pk")
    )
    yield Question(referred.filter(Exists(same)), "carries the outside reference {external_reference} of another")


def _successors(payouts: QuerySet[Payout]) -> Iterator[Question]:
    """What came back is made good by one payout at most, and that one says so."""
    same_part = payouts.filter(payment=OuterRef("payment"), reference=OuterRef("reference"))
    earlier = same_part.filter(state=PayoutState.RETURNED, pk__lt=OuterRef("pk"))
    yield Question(
        payouts.filter(Exists(earlier), follows=None), "pays again what came back, but in place of no payout"
    )
    successors = payouts.exclude(follows=None)
    of_same_part = Q(
        payment=F("follows__payment"),
        reference=F("follows__reference"),
        amount=F("follows__amount"),
        currency=F("follows__currency"),
    )
    yield Question(successors.filter(unless(of_same_part)), "stands in place of a payout of something else")
    came_back = Q(follows__state=PayoutState.RETURNED, follows__given_up_at=None)
    yield Question(
        successors.filter(unless(came_back & Q(ordered_at__gte=F("follows__returned_at")))),
        "stands in place of a payout that had not come back",
    )


def _people(payouts: QuerySet[Payout]) -> Iterator[Question]:
    paid = payouts.filter(state__in=[PayoutState.PAID, PayoutState.RETURNED]).exclude(channel=Channel.BALANCE)
    yield Question(paid.filter(first_sent_at=None, recorded_by=None), "was paid, but nobody sent or recorded it")
    yield Question(payouts.filter(approved_by=F("recorded_by")), "was recorded by who approved it")
    receiver = F("payment__account")
    yield Question(payouts.filter(approved_by=receiver), "was approved by who receives it")
    yield Question(payouts.filter(recorded_by=receiver), "was recorded by who receives it")


def _settlements(payouts: QuerySet[Payout]) -> Iterator[Question]:
    settled = Q(state__in=[PayoutState.PAID, PayoutState.FAILED, PayoutState.RETURNED])
    yield Question(payouts.filter(settled, settled_at=None), "is {state}, but has no time of it")
    yield Question(payouts.exclude(settled).exclude(settled_at=None), "is {state}, but has a time of its end")
    outside = payouts.filter(state=PayoutState.PAID).exclude(channel=Channel.BALANCE)
    yield Question(outside.filter(external_reference=""), "was paid outside without a reference")
    here = Q(state__in=[PayoutState.FAILED, PayoutState.RETURNED])
    yield Question(payouts.exclude(given_up_at=None).exclude(here), "is {state}, but was given up")
    under_way = Q(state__in=sorted(UNDER_WAY))
    yield Question(payouts.exclude(handed_over_at=None).exclude(under_way), "is {state}, but with staff")
    yield from _days(payouts)


def _days(payouts: QuerySet[Payout]) -> Iterator[Question]:
    was_paid = Q(state__in=[PayoutState.PAID, PayoutState.RETURNED])
    yield Question(payouts.filter(was_paid, booked_on=None), "was paid on no day of {channel}'s books")
    yield Question(payouts.exclude(was_paid).exclude(booked_on=None), "is {state}, but stands in {channel}'s books")
    ours = payouts.filter(was_paid, channel=Channel.BALANCE)
    day = TruncDate("settled_at", tzinfo=zone_of(Channel.BALANCE))
    yield Question(
        ours.annotate(day=day).exclude(booked_on=F("day")),
        "stands in our own books on {booked_on}, but was paid on {day}",
    )
    returned = Q(state=PayoutState.RETURNED)
    yield Question(payouts.filter(returned, returned_at=None), "came back at no time")
    yield Question(payouts.exclude(returned).exclude(returned_at=None), "is {state}, but came back")
    yield Question(payouts.filter(returned_at__lt=F("settled_at")), "came back before it was paid")


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


def _bank_files() -> Iterator[Question]:
    sent = Payout.objects.filter(channel=Channel.BANK, state__in=[PayoutState.SENT, PayoutState.UNKNOWN])
    yield Question(sent.filter(batch_line=None), "is {state}, but in no file for the bank")
    yield Question(
        BatchLine.objects.exclude(payout__channel=Channel.BANK),
        "puts a payout of {payout__channel} into the bank's file",
    )
    counted = BankBatch.objects.annotate(count=Count("lines"), last=Max("lines__position"))
    yield Question(counted.filter(count=0), "has no lines")
    yield Question(counted.exclude(count=0).exclude(last=F("count")), "has {count} lines, the last is numbered {last}")


def _changed_bank_files() -> Iterator[Finding]:
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


def _differences() -> Iterator[Question]:
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
    yield Question(confirmed.filter(unless(its_payout)), "is confirmed, but no payout is that refund")
    others = Difference.objects.filter(state=DifferenceState.CONFIRMED).exclude(kind=DifferenceKind.MISSING_HERE)
    yield Question(others, "is {kind}, which nobody can confirm")
    unmatched = found.filter(state__in=[DifferenceState.OPEN, DifferenceState.KEPT]).exclude(external_reference="")
    same = Payout.objects.filter(channel=OuterRef("channel"), external_reference=OuterRef("external_reference"))
    yield Question(unmatched.filter(Exists(same)), "is {state}, but a payout is that refund")
