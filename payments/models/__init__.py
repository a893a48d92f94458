"""Payments that came in, payouts that go back, the ledger, files for the bank, and what books disagree about."""

from payments.models.bank import BankBatch, BatchLine
from payments.models.differences import Difference
from payments.models.ledger import LedgerAccount, LedgerEntry
from payments.models.payments import BankAccount, Payment
from payments.models.payouts import Payout

__all__ = [
    "BankAccount",
    "BankBatch",
    "BatchLine",
    "Difference",
    "LedgerAccount",
    "LedgerEntry",
    "Payment",
    "Payout",
]
