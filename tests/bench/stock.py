from django.contrib.admin import AdminSite, ModelAdmin

from certificates.models import Certificate


class StockCertificateAdmin(ModelAdmin):
    """Django's own list of certificates, in the same nine columns."""

    list_display = (
        "name",
        "instance_id",
        "product",
        "source",
        "state",
        "purchased_at",
        "issued_at",
        "expires_at",
        "paid_part",
    )
    list_filter = ("state",)
    list_per_page = 20
    list_select_related = ("product",)
    ordering = ("-listed_at", "-id")


stock_site = AdminSite(name="stock")
stock_site.register(Certificate, StockCertificateAdmin)
