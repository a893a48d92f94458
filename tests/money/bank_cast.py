"""What the tests of the bank stand on: payouts that wait for a file, with the account that paid, and who moves them."""

import csv
import io
from datetime import timedelta

from core.models import User
from payments.models import BankBatch, Payment, Payout
from payments.payers import Payer
from payments.services import hand_out, keep_payers, make_batch
from refunds.models import RefundRequest
from refunds.services import approve_refund
from tests import factories
from tests.factories import NOON

NUMBER = "6222020200098765432"
HOLDER = "Wei Zhang"
PAYER = Payer(HOLDER, NUMBER)
LATER = NOON + timedelta(hours=1)


def banker(name: str = "banker", **fields: object) -> User:
    """Staff who send and record payouts, and see what they need for it."""
    permissions = ("send_payout", "record_payout", "view_payout", "view_payment", "view_bankbatch")
    return factories.staff(name, *[f"payments.{each}" for each in permissions], **fields)


def both(name: str = "both", **fields: object) -> User:
    """Staff who may decide on refunds and send their payouts, though never of one and the same."""
    user = banker(name, **fields)
    user.user_permissions.add(*factories.reviewer(f"model-of-{name}").user_permissions.all())
    return user


def name_account(payment: Payment, payer: Payer = PAYER) -> None:
    """As the import does."""
    keep_payers({payment.reference: payer}, at=NOON)


def ordered(account: User, amount: int = 120_000, *, payer: Payer | None = PAYER, currency: str = "CNY") -> Payout:
    """The bank payout of a refund that the policy itself approved."""
    certificate = factories.certificate(account, payments={"bank": amount}, currency=currency)
    return _with_account(factories.submit(certificate).reference, payer)


def approved(account: User, by: User, *, payer: Payer | None = PAYER) -> Payout:
    """The bank payout of a refund that a person approved."""
    request = factories.submit(factories.certificate(account, bought=timedelta(days=20), payments={"bank": 120_000}))
    approve(request, by)
    return _with_account(request.reference, payer)


def approve(request: RefundRequest, by: User) -> None:
    approve_refund(request.pk, seen=factories.seen(request), by=by, at=NOON)


def _with_account(reference: str, payer: Payer | None) -> Payout:
    payout = Payout.objects.select_related("payment").get(reference=reference)
    if payer:
        name_account(payout.payment, payer)
    return payout


def again(payout: Payout) -> Payout:
    return Payout.objects.select_related("payment").get(pk=payout.pk)


def batch_of(*payouts: Payout, by: User) -> BankBatch:
    """A batch of exactly these payouts, which are all that wait."""
    batch = make_batch(by=by, at=NOON)
    assert set(batch.lines.values_list("payout_id", flat=True)) == {payout.pk for payout in payouts}
    return batch


def file_of(batch: BankBatch, by: User) -> list[dict[str, str]]:
    content = hand_out(batch.pk, by=by, at=LATER).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(content, newline="")))
