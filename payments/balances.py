"""Account balances: what staff credit to them, and what is paid from them. Each is locked before it is changed."""

from datetime import datetime

from django.db import transaction
from django.db.models import F, QuerySet

from core import audit
from core.models import User
from payments.exceptions import BalanceChanged, NotEnoughBalance, NotYours
from payments.models import LedgerAccount, LedgerEntry, Payment
from payments.states import Cause, LedgerKind

LARGEST_CREDIT = 10**12  # minor units


# --- Accounts of the ledger --------------------------------------------------------------------


def house_account(kind: LedgerKind, currency: str, channel: str = "") -> LedgerAccount:
    """An account of the house; made on first use."""
    account, _created = LedgerAccount.objects.get_or_create(kind=kind, owner=None, channel=channel, currency=currency)
    return account


def lock_balance(owner_id: int, currency: str) -> LedgerAccount:
    """Lock a customer's balance until the caller's transaction ends; made, at 0, on first use."""
    account, _created = LedgerAccount.objects.get_or_create(
        kind=LedgerKind.BALANCE, owner_id=owner_id, channel="", currency=currency, defaults={"balance": 0}
    )
    return LedgerAccount.objects.select_for_update().get(pk=account.pk)


def lock_known_balance(owner_id: int, currency: str) -> LedgerAccount | None:
    """As `lock_balance`, where there is one: whoever only wants to spend needs no empty one made."""
    known = LedgerAccount.objects.filter(kind=LedgerKind.BALANCE, owner=owner_id, currency=currency)
    return known.select_for_update().first()


def balance_of(owner_id: int, currency: str) -> int:
    """What is on a customer's balance, minor units."""
    known = LedgerAccount.objects.filter(kind=LedgerKind.BALANCE, owner=owner_id, currency=currency)
    return known.values_list("balance", flat=True).first() or 0


def balances_of(owner_id: int) -> QuerySet[LedgerAccount]:
    """A customer's balances, one a currency."""
    return LedgerAccount.objects.filter(kind=LedgerKind.BALANCE, owner=owner_id).order_by("currency")


# --- Acts --------------------------------------------------------------------------------------


def pay_from_balance(account: LedgerAccount | None, payment: Payment, *, by: User, at: datetime) -> None:
    """Pay a new payment from its account's locked balance, in the caller's transaction. Raises NotEnoughBalance."""
    if account is None or (account.owner_id, account.currency) != (payment.account_id, payment.currency):
        raise NotEnoughBalance(payment.amount)
    if (missing := payment.amount - (account.balance or 0)) > 0:
        raise NotEnoughBalance(missing)
    sales = house_account(LedgerKind.SALES, payment.currency)
    _enter(account, sales, payment.amount, Cause.ORDER_PAID, payment=payment, by=by, at=at)
    LedgerAccount.objects.filter(pk=account.pk).update(balance=F("balance") - payment.amount)


@transaction.atomic
def credit_balance(
    owner: User, amount: int, currency: str, *, seen: int, by: User, at: datetime, note: str
) -> LedgerAccount:
    """Credit `amount` minor units to a customer's balance, for a reason that the audit trail keeps.

    `seen` is the balance before, as its page showed it: the same page sent twice credits once. Raises NotYours,
    BalanceChanged, and ValueError for what no page lets through.
    """
    if not may_credit(by) or by.pk == owner.pk:
        raise NotYours(str(owner))
    if not 0 < amount <= LARGEST_CREDIT or not note.strip():
        raise ValueError("an amount above 0 and a note are needed")
    account = lock_balance(owner.pk, currency)
    if account.balance != seen:
        raise BalanceChanged(account.balance or 0)
    _enter(house_account(LedgerKind.DEPOSITS, currency), account, amount, Cause.BALANCE_CREDITED, by=by, at=at)
    account.balance = seen + amount
    account.save()
    detail = {"owner": owner.username, "amount": amount, "currency": currency, "before": seen, "after": account.balance}
    audit.record(account, "credited", by=by, at=at, note=note.strip(), detail=detail)
    return account


def may_credit(by: User) -> bool:
    return by.is_active and by.has_perm("payments.credit_balance")


def _enter(
    debit: LedgerAccount,
    credit: LedgerAccount,
    amount: int,
    cause: Cause,
    *,
    by: User,
    at: datetime,
    payment: Payment | None = None,
) -> None:
    LedgerEntry.objects.create(
        at=at,
        debit=debit,
        credit=credit,
        amount=amount,
        currency=debit.currency,
        cause=cause,
        payment=payment,
        by=by,
    )
