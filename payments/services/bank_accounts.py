"""The accounts that bank payments came from, and go back to: recorded by staff, or brought by the import."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from core import audit
from core.encryption import WrongKey, decrypt, encrypt
from core.models import User
from core.stale import require_current
from payments.exceptions import NotYours, PaymentsError
from payments.models import BankAccount, BatchLine, Payment, Payout
from payments.payers import Payer, masked_holder, masked_number
from payments.states import Channel


class AccountFixed(PaymentsError):
    """The account can be recorded no more: the payment is none of the bank's, or a file has told the bank already."""


class AccountUnreadable(PaymentsError):
    """None of KEY_ENCRYPTION_KEYS opens what is stored of the account."""


def may_record_account(payment: Payment, by: User) -> bool:
    """Whether a person may say where a payment goes back to: with the permission, and no part in its refunds.

    Who approved one of its payouts never names the account, nor does who receives them. Superusers included.
    """
    if not by.is_active or not by.has_perm("payments.send_payout") or by.pk == payment.account_id:
        return False
    return not Payout.objects.filter(payment=payment.pk, approved_by=by).exists()


def can_have_account(payment: Payment) -> bool:
    """Whether its account may still be recorded, or corrected: until a payout of it is in a file for the bank."""
    is_in_file = BatchLine.objects.filter(payout__payment=payment.pk).exists()
    return payment.channel == Channel.BANK and not is_in_file


def account_token(payment: Payment) -> str:
    """What a page shows of the account that a payment came from."""
    recorded_at = BankAccount.objects.filter(payment=payment.pk).values_list("recorded_at", flat=True).first()
    return recorded_at.isoformat() if recorded_at else "none"


@sensitive_variables("payer")
@transaction.atomic
def record_bank_account(
    payment_id: int, payer: Payer, *, by: User, at: datetime, seen: str | None = None
) -> BankAccount:
    """Keep, or correct, the account that a bank payment came from. `seen` is the page's `account_token`.

    Raises NotYours, StalePage and AccountFixed.
    """
    payment = Payment.objects.select_for_update().get(pk=payment_id)
    if not may_record_account(payment, by):
        raise NotYours(str(payment))
    require_current(seen, account_token(payment))
    if not can_have_account(payment):
        raise AccountFixed(str(payment))
    told = {**_secrets(payer), "recorded_by": by, "recorded_at": at}
    account, is_new = BankAccount.objects.update_or_create(payment=payment, defaults=told)
    act = "bank_account_recorded" if is_new else "bank_account_corrected"
    masked = {"holder": masked_holder(payer.holder), "number": masked_number(payer.number)}
    audit.record(payment, act, by=by, at=at, detail=masked)
    return account


@sensitive_variables("payers")
def keep_payers(payers: Mapping[str, Payer], *, at: datetime) -> None:
    """Store the accounts of new bank payments by the payments' references, in the caller's transaction."""
    payments = (
        Payment.objects.exclude(reference="").filter(channel=Channel.BANK, reference__in=payers) if payers else []
    )
    BankAccount.objects.bulk_create(
        BankAccount(payment=payment, recorded_at=at, **_secrets(payers[payment.reference])) for payment in payments
    )


def payer_of(account: BankAccount) -> Payer:
    """The account in the clear, for the bank's file alone. Raises AccountUnreadable."""
    try:
        return Payer(decrypt(account.holder).decode(), decrypt(account.number).decode())
    except WrongKey as error:
        raise AccountUnreadable(str(account)) from error


def _secrets(payer: Payer) -> dict[str, Any]:
    return {"holder": encrypt(payer.holder.encode()), "number": encrypt(payer.number.encode())}
