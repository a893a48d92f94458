"""What can be bought, and what may pay for it beside money."""

from django.conf import settings
from django.db import models
from django.db.models import CheckConstraint, Q, UniqueConstraint
from django.db.models.functions import Upper
from django.utils.translation import gettext_lazy as _

from certificates.states import AuthorityName, DomainType, Level
from core.money import format_money
from core.text import isolated


class Product(models.Model):
    """What can be bought. The free DV product is one of its own. Prices are minor units of `currency`, for one year."""

    brand = models.CharField(_("brand"), max_length=50)
    level = models.CharField(_("validation level"), max_length=2, choices=Level)
    domain_type = models.CharField(_("domain type"), max_length=10, choices=DomainType)
    free = models.BooleanField(_("free"), default=False)
    # Without a price it is not for sale: it stands here for what was bought elsewhere or earlier.
    price = models.BigIntegerField(_("price"), null=True, blank=True)
    # Of each name after the first; Multi-Domain products only.
    further_name_price = models.BigIntegerField(_("price of each further name"), default=0)
    currency = models.CharField(_("currency"), max_length=3, default="CNY")
    authority = models.CharField(
        _("certificate authority"), max_length=10, choices=AuthorityName, default=AuthorityName.EMBEDDED
    )

    class Meta:
        verbose_name = _("product")
        verbose_name_plural = _("products")
        constraints = [
            UniqueConstraint(fields=["brand", "level", "domain_type", "free"], name="one_product"),
            CheckConstraint(condition=Q(level__in=Level.values), name="product_level_known"),
            CheckConstraint(condition=Q(domain_type__in=DomainType.values), name="product_type_known"),
            CheckConstraint(condition=Q(authority__in=AuthorityName.values), name="product_authority_known"),
            CheckConstraint(condition=~Q(authority="acme") | Q(level="DV"), name="acme_validates_domains_only"),
            CheckConstraint(
                condition=Q(price=None) | Q(free=True, price=0, further_name_price=0) | Q(free=False, price__gt=0),
                name="only_free_products_cost_nothing",
            ),
            CheckConstraint(condition=Q(further_name_price__gte=0), name="further_name_price_not_negative"),
            CheckConstraint(condition=Q(free=False) | Q(level="DV"), name="only_dv_is_free"),
        ]

    def __str__(self) -> str:
        return f"{isolated(self.brand)} {self.level} {self.get_domain_type_display()}"

    @property
    def is_checked_by_staff(self) -> bool:
        """Whether staff check the application before it is issued, and a revocation is confirmed by mail."""
        return self.level != Level.DV


class Voucher(models.Model):
    """A code that pays a part of one order of its account, once; what it covers beyond the price is lost."""

    code = models.CharField(_("code"), max_length=40)
    account = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("account"))
    amount = models.BigIntegerField(_("amount"))
    currency = models.CharField(_("currency"), max_length=3, default="CNY")
    expires_at = models.DateTimeField(_("expires"))
    order = models.OneToOneField(
        "certificates.Order", models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("used for")
    )

    class Meta:
        verbose_name = _("voucher")
        verbose_name_plural = _("vouchers")
        constraints = [
            UniqueConstraint(Upper("code"), name="one_voucher_per_code"),
            CheckConstraint(condition=Q(amount__gt=0), name="voucher_amount_positive"),
        ]

    def __str__(self) -> str:
        return self.code

    @property
    def money(self) -> str:
        return format_money(self.amount, self.currency)
