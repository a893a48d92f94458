"""The staff desk of the money: payouts with what staff record of them, payments, and the books to read."""

from django.contrib import admin

from payments.admin.batches import BankBatchAdmin
from payments.admin.differences import DifferenceAdmin
from payments.admin.ledger import LedgerAccountAdmin, LedgerEntryAdmin
from payments.admin.payments import PaymentAdmin
from payments.admin.payouts import PayoutAdmin
from payments.models import BankBatch, Difference, LedgerAccount, LedgerEntry, Payment, Payout

admin.site.register(Payout, PayoutAdmin)
admin.site.register(Payment, PaymentAdmin)
admin.site.register(LedgerAccount, LedgerAccountAdmin)
admin.site.register(LedgerEntry, LedgerEntryAdmin)
admin.site.register(Difference, DifferenceAdmin)
admin.site.register(BankBatch, BankBatchAdmin)
