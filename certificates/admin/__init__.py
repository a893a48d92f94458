"""The staff desk of orders and certificates, and of what is for sale: products with their prices, and vouchers."""

from django.contrib import admin

from certificates.admin.certificates import CertificateAdmin
from certificates.admin.orders import OrderAdmin
from certificates.admin.products import ProductAdmin
from certificates.admin.vouchers import VoucherAdmin
from certificates.models import Certificate, Order, Product, Voucher

admin.site.register(Certificate, CertificateAdmin)
admin.site.register(Order, OrderAdmin)
admin.site.register(Product, ProductAdmin)
admin.site.register(Voucher, VoucherAdmin)
