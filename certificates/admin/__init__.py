"""The staff desk of orders and certificates: to read, and to record what an authority answered."""

from django.contrib import admin

from certificates.admin.certificates import CertificateAdmin
from certificates.admin.orders import OrderAdmin, ProductAdmin
from certificates.models import Certificate, Order, Product

admin.site.register(Certificate, CertificateAdmin)
admin.site.register(Order, OrderAdmin)
admin.site.register(Product, ProductAdmin)
