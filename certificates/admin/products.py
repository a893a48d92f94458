"""The products: what is for sale, for how much, and who issues it."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from certificates.models import Product
from certificates.states import AuthorityName, DomainType, Level
from certificates.wording import name_of
from core.desk.changes import AuditedChanges
from core.desk.fields import AmountField, CurrencyField, amount_in
from core.desk.lists import ListFilter, RowForm
from core.desk.marks import EMPTY, money_mark
from core.money import plain_amount
from core.text import drop_turning

LARGEST_PRICE = 10**12  # minor units

# What certificates were bought as, refund rules among it, does not change under them.
IDENTITY = ("brand", "level", "domain_type", "free")
# Of one that is only looked at: prices as people read them.
SHOWN = (*IDENTITY, "shown_price", "further", "authority")


class ProductForm(RowForm):
    """Prices are typed in major units. What the product is, is given once; the price may change."""

    price = AmountField(
        label=_("Price"),
        required=False,
        help_text=_("For one year and one certificate, in whole units: 298.00. Empty: not for sale. A free one: 0."),
    )
    further_name_price = AmountField(
        label=_("Price of each further name"),
        required=False,
        help_text=_("Multi-Domain only: of each name after the first."),
    )
    currency = CurrencyField()

    class Meta:
        model = Product
        fields = (*IDENTITY, "currency", "price", "further_name_price", "authority")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("price", "further_name_price"):
            minor = getattr(self.instance, name) if self.instance.pk else None
            self.initial[name] = "" if minor is None else plain_amount(minor, self.instance.currency)

    def clean_brand(self) -> str:
        brand = self.cleaned_data["brand"]
        if not brand.isprintable():
            raise ValidationError(_("The brand holds a character that cannot be printed."))
        return brand

    def clean(self) -> dict[str, Any]:
        super().clean()
        for name, read in (("price", self._price), ("further_name_price", self._further_name_price)):
            try:
                self.cleaned_data[name] = read(self.cleaned_data.get(name, ""), self.cleaned_data.get("currency", ""))
            except ValidationError as error:
                self.add_error(name, error)
        if self._is("free", True) and not self._is("level", Level.DV):
            self.add_error("free" if "free" in self.fields else None, _("Only a DV product is free."))
        if self.cleaned_data.get("authority") == AuthorityName.ACME and not self._is("level", Level.DV):
            self.add_error("authority", _("ACME authorities validate domains only: choose it for DV products."))
        return self.cleaned_data

    def _is(self, name: str, value: Any) -> bool:
        """What is typed of the product, or stands in it already."""
        return self.cleaned_data.get(name, getattr(self.instance, name)) == value

    def _price(self, text: str, currency: str) -> int | None:
        if not text or not currency:
            return None
        minor = amount_in(text, currency, most=LARGEST_PRICE)
        if minor and self._is("free", True):
            raise ValidationError(_("A free product costs 0, or is not for sale."))
        if not minor and self._is("free", False):
            raise ValidationError(_("Only a free product costs nothing. Leave it empty to take it off sale."))
        return minor

    def _further_name_price(self, text: str, currency: str) -> int:
        minor = amount_in(text, currency, most=LARGEST_PRICE) if text and currency else 0
        if minor and not self._is("domain_type", DomainType.MULTI):
            raise ValidationError(_("Only a Multi-Domain product has further names."))
        return minor


def _plain(product: Product) -> str:
    """A product's name as it's searched for, in small letters and without marks of direction."""
    return drop_turning(name_of(product)).lower()


class LevelFilter(ListFilter):
    title = _("validation level")
    parameter_name = "level"

    def known(self) -> list[tuple[str, Any]]:
        return list(Level.choices)

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        return queryset.filter(level=value)


class SaleFilter(ListFilter):
    title = _("sale")
    parameter_name = "sale"

    def known(self) -> list[tuple[str, Any]]:
        return [("yes", _("For sale")), ("no", _("Not for sale"))]

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        return queryset.filter(price__isnull=value == "no")


class ProductAdmin(AuditedChanges):
    form = ProductForm
    list_display = ("name", "shown_price", "further", "authority")
    list_filter = (SaleFilter, LevelFilter)
    ordering = ("brand", "level", "domain_type", "free")
    search_help_text = _("The beginning of a product as it stands here.")

    def search(self, queryset: QuerySet[Any], needle: str) -> QuerySet[Any]:
        """There are some dozens of them, and their names stand in no column."""
        wanted = needle.lower()
        found = [product.pk for product in Product.objects.all() if _plain(product).startswith(wanted)]
        return queryset.filter(pk__in=found)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        is_looked_at = obj is not None and not self.has_change_permission(request, obj)
        return SHOWN if is_looked_at else ProductForm.Meta.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if obj is None:
            return ()
        return IDENTITY if self.has_change_permission(request, obj) else SHOWN

    def detail_of(self, obj: Product) -> dict[str, Any]:
        names = ("currency", "price", "further_name_price", "authority", "free")
        return {name: getattr(obj, name) for name in names}

    @admin.display(description=_("product"))
    def name(self, product: Product) -> str:
        return name_of(product)

    @admin.display(description=_("price"))
    def shown_price(self, product: Product) -> Any:
        if product.price is None:
            return gettext("Not for sale")
        return gettext("Free") if product.free else money_mark(product.price, product.currency)

    @admin.display(description=_("each further name"))
    def further(self, product: Product) -> Any:
        return money_mark(product.further_name_price, product.currency) if product.further_name_price else EMPTY
