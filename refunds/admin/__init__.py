"""The staff desk of refund requests, inside Django's admin: a list, a page a request, decisions that ask first."""

from django.contrib import admin

from refunds.admin.requests import RefundRequestAdmin
from refunds.models import RefundRequest

admin.site.register(RefundRequest, RefundRequestAdmin)
