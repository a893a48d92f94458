"""The staff desk of the money: payouts with what staff record of them, payments, and the books to read."""

from django.contrib import admin

from payments.admin.ledger import LedgerAccountAdmin, LedgerEntryAdmin
from payments.admin.payments import PaymentAdmin
from payments.admin.payouts import PayoutAdmin
from payments.models import LedgerAccount, LedgerEntry, Payment, Payout

admin.site.register(Payout, PayoutAdmin)
admin.site.register(Payment, PaymentAdmin)
admin.site.register(LedgerAccount, LedgerAccountAdmin)
admin.site.register(LedgerEntry, LedgerEntryAdmin)
