"""What sending and recording share: locks, and the books. Everything here runs in its caller's transaction.

Locks are taken in one order everywhere: account balance, what stands above (certificate, request), payment, payout.
"""

from datetime import date, datetime
from typing import Any

from django.db.models import F, QuerySet, Sum
from django.utils.translation import gettext_lazy as _

from core.models import User
from core.money import format_money
from payments import hooks
from payments.balances import house_account, lock_balance
from payments.channels import step_of
from payments.days import books_day
from payments.exceptions import MoreThanPaid, RefundFound
from payments.models import Difference, LedgerAccount, LedgerEntry, Payment, Payout
from payments.states import Cause, Channel, LedgerKind

LONGEST_WORDS = 500
FOUND = _("The channel has given money of this payment back by itself.")


def lock(payout_id: int) -> Payout:
    """Lock what stands above the payout, its payment, and itself, in this order."""
    reference, payment_id = Payout.objects.values_list("reference", "payment_id").get(pk=payout_id)
    hooks.payout_settling(reference)
    payment = Payment.objects.select_for_update().get(pk=payment_id)
    payout = Payout.objects.select_for_update().get(pk=payout_id)
    payout.payment = payment
    return payout


def lock_balance_for(payout_id: int) -> LedgerAccount | None:
    """Lock the balance that the payout goes to, where it goes to one; before `lock`."""
    payout = Payout.objects.select_related("payment").get(pk=payout_id)
    if payout.channel != Channel.BALANCE:
        return None
    return lock_balance(payout.payment.account_id, payout.currency)


# --- What is ordered back of a payment ---------------------------------------------------------


def order_back(payment: Payment, amount: int) -> None:
    """Count `amount` of a locked payment as gone. Raises RefundFound and MoreThanPaid."""
    require_not_found(payment, amount)
    count_as_gone(payment, amount)


def require_not_found(payment: Payment, amount: int = 0) -> None:
    """Raises RefundFound as `is_found` says."""
    if is_found(payment, amount):
        raise RefundFound(str(payment))


def is_found(payment: Payment, amount: int = 0) -> bool:
    """Whether the channel has given money back by itself that is in the way of `amount` more of this payment.

    Until a person has said what it is of, any is; of what belongs to one certificate, others keep their share.
    """
    if Difference.objects.of_nobody_knows_which().filter(payment=payment).exists():
        return True
    assigned = Difference.objects.of_one_certificate().filter(payment=payment)
    gone = assigned.aggregate(sum=Sum("amount"))["sum"] or 0
    return bool(gone) and payment.ordered_back + amount + gone > payment.amount


def count_as_gone(payment: Payment, amount: int) -> None:
    """As `order_back`, for money of which a person says that it has gone already. Raises MoreThanPaid."""
    if payment.ordered_back + amount > payment.amount:
        raise MoreThanPaid(f"{payment}: {payment.ordered_back} of {payment.amount} are ordered back already")
    Payment.objects.filter(pk=payment.pk).update(ordered_back=F("ordered_back") + amount)


def count_as_here(payout: Payout) -> None:
    Payment.objects.filter(pk=payout.payment_id).update(ordered_back=F("ordered_back") - payout.amount)


def others_under(external_reference: str, payout: Payout) -> QuerySet[Payout]:
    """The payouts of any channel, but for this one, that carry an outside reference."""
    known = Payout.objects.exclude(external_reference="").filter(external_reference=external_reference)
    return known.exclude(pk=payout.pk)


def is_in_steps(payout: Payout) -> bool:
    """Whether its channel can refund this amount. Shares stored before steps were heeded may be of others."""
    return payout.amount % step_of(payout.channel, payout.currency) == 0


def not_in_steps(payout: Payout) -> str:
    """For staff: why the console never sends this payout, and what to do instead."""
    step = format_money(step_of(payout.channel, payout.currency), payout.currency)
    words = _(
        "This channel only refunds multiples of %(step)s, so the console can't send %(money)s. Pay the customer "
        "another way, such as by bank transfer, then record the payout as paid with the transfer's reference."
    )
    return str(words % {"step": step, "money": payout.money})


# --- The steps of a locked payout --------------------------------------------------------------


def pay(
    payout: Payout,
    balance: LedgerAccount | None,
    *,
    external_reference: str,
    by: User | None,
    at: datetime,
    day: date | None = None,
    is_news: bool = True,
) -> None:
    """The money has gone. `day` is that of the channel's books, by default the one on which `at` lies.

    No news for a caller who moves what stands above the payout.
    """
    payout.pay()
    payout.external_reference, payout.settled_at = external_reference, at
    payout.booked_on = day or books_day(payout.channel, at)
    payout.trouble, payout.handed_over_at = "", None
    payout.save()
    credit = balance or house_account(LedgerKind.CHANNEL, payout.currency, payout.channel)
    _transfer(payout, Cause.PAYOUT_PAID, house_account(LedgerKind.PENDING, payout.currency), credit, by=by, at=at)
    if balance:
        LedgerAccount.objects.filter(pk=balance.pk).update(balance=F("balance") + payout.amount)
    if is_news:
        hooks.payout_settled(payout, at=at)


def fail(payout: Payout, reason: str, *, by: User | None, at: datetime) -> None:
    """The money has not gone, for certain; it may be ordered again."""
    payout.fail()
    payout.failure, payout.settled_at = reason[:LONGEST_WORDS], at
    if by is None:
        # The channel itself has said so; what a person says may be wrong, and then the old key must be sent.
        payout.refusals += 1
    payout.trouble, payout.handed_over_at = "", None
    payout.save()
    count_as_here(payout)
    book(payout, Cause.PAYOUT_FAILED, LedgerKind.PENDING, LedgerKind.REFUNDS, by=by, at=at)
    hooks.payout_settled(payout, at=at)


def take_back(payout: Payout, reason: str, *, by: User | None, at: datetime) -> None:
    """The channel had paid, and the money is with us again."""
    payout.come_back()
    payout.failure, payout.returned_at = reason[:LONGEST_WORDS], at
    payout.save()
    count_as_here(payout)
    channel = house_account(LedgerKind.CHANNEL, payout.currency, payout.channel)
    refunds = house_account(LedgerKind.REFUNDS, payout.currency)
    _transfer(payout, Cause.PAYOUT_RETURNED, channel, refunds, by=by, at=at)
    hooks.payout_settled(payout, at=at)


def give_to_staff(payout: Payout, why: object, *, at: datetime) -> None:
    """A person carries a locked payout on; `why` is what its page says."""
    payout.handed_over_at, payout.trouble = at, str(why)[:LONGEST_WORDS]
    payout.save()


# --- The books ---------------------------------------------------------------------------------


def book(
    payout: Payout, cause: Cause, debit: LedgerKind, credit: LedgerKind, *, at: datetime, by: User | None = None
) -> None:
    """A transfer of the payout's amount between two accounts of the house."""
    accounts = [house_account(kind, payout.currency) for kind in (debit, credit)]
    _transfer(payout, cause, *accounts, by=by, at=at)


def _transfer(
    payout: Payout, cause: Cause, debit: LedgerAccount, credit: LedgerAccount, *, by: User | None, at: datetime
) -> None:
    LedgerEntry.objects.create(
        at=at,
        debit=debit,
        credit=credit,
        amount=payout.amount,
        currency=payout.currency,
        cause=cause,
        payout=payout,
        by=by,
    )


def facts(payout: Payout) -> dict[str, Any]:
    """What an audit entry keeps of a payout."""
    return {
        "amount": payout.amount,
        "currency": payout.currency,
        "channel": payout.channel,
        "key": str(payout.key),
        "request": payout.reference,
    }
