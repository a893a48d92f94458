"""What is to be bought, as forms. What it costs, and whether the voucher pays for it, the service says."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from certificates.exceptions import CannotBeShared, CertificatesError, NotForSale, VoucherRefused
from certificates.models import Product
from certificates.orders import MOST_CERTIFICATES
from certificates.prices import FEWEST_NAMES, MOST_NAMES
from certificates.quotes import Basket
from certificates.states import DomainType
from certificates.wording import why_not_shared
from core.forms import CodeField, PanelForm

NOT_FOR_SALE = _("This product is not for sale, or no longer. Choose one of those listed.")
HOW_MANY_NAMES = _("Enter a whole number from %(fewest)d to %(most)d.")
HOW_MANY = _("Choose a number from 1 to %(most)d.") % {"most": MOST_CERTIFICATES}

VOUCHER_FAULTS = {
    VoucherRefused.UNKNOWN: _("Your account has no voucher with this code. Look for a typing error."),
    VoucherRefused.USED: _("This voucher has been used already."),
    VoucherRefused.EXPIRED: _("This voucher has expired."),
    VoucherRefused.CURRENCY: _("This voucher is in another currency than the product."),
    VoucherRefused.NOT_NEEDED: _("This product is free: keep the voucher for another purchase."),
}

ANOTHER_QUANTITY, ANOTHER_VOUCHER = _("Choose another quantity."), _("Use another voucher, or none.")


class VoucherForm(PanelForm):
    """A voucher's code; all that a renewal asks."""

    voucher = CodeField(
        label=_("Voucher code"),
        required=False,
        max_length=40,
        help_text=_("Optional. A voucher pays for one order; its part of the price is never refunded."),
        error_messages={"max_length": VOUCHER_FAULTS[VoucherRefused.UNKNOWN]},
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "maxlength": None}),
    )

    def clean_voucher(self) -> str:
        return self.cleaned_data["voucher"].upper()

    def show_fault(self, error: CertificatesError) -> None:
        """Say beside its field why the service refuses what was chosen."""
        if isinstance(error, VoucherRefused):
            self.add_error("voucher", VOUCHER_FAULTS[error.cause])
        elif isinstance(error, CannotBeShared):
            self.add_error("voucher", f"{why_not_shared(error)} {ANOTHER_VOUCHER}")


class PurchaseForm(VoucherForm):
    product = forms.ModelChoiceField(
        label=_("Product"),
        queryset=Product.objects.none(),
        error_messages={"required": _("Choose a product."), "invalid_choice": NOT_FOR_SALE},
    )
    names = forms.IntegerField(
        label=_("Number of domains"),
        required=False,
        initial=FEWEST_NAMES,
        help_text=_("Of each Multi-Domain certificate: %(fewest)d to %(most)d.")
        % {"fewest": FEWEST_NAMES, "most": MOST_NAMES},
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )
    quantity = forms.TypedChoiceField(
        label=_("Quantity"),
        choices=[(number, str(number)) for number in range(1, MOST_CERTIFICATES + 1)],
        coerce=int,
        initial=1,
        error_messages={"required": HOW_MANY, "invalid_choice": HOW_MANY},
    )
    field_order = ("product", "names", "quantity", "voucher")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["product"].queryset = Product.objects.exclude(price=None)  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Only Multi-Domain certificates are for several names; beside another one the number counts for nothing."""
        product = self.cleaned_data.get("product")
        if product and product.domain_type != DomainType.MULTI:
            self.errors.pop("names", None)
            self.cleaned_data["names"] = 1
        elif product and not FEWEST_NAMES <= (self.cleaned_data.get("names") or 0) <= MOST_NAMES:
            self.errors.pop("names", None)
            self.add_error("names", HOW_MANY_NAMES % {"fewest": FEWEST_NAMES, "most": MOST_NAMES})
        return self.cleaned_data

    def basket(self) -> Basket:
        chosen = self.cleaned_data
        return Basket(chosen["product"].pk, chosen["names"], chosen["quantity"], chosen["voucher"])

    def show_fault(self, error: CertificatesError) -> None:
        if isinstance(error, NotForSale):
            self.add_error("product", NOT_FOR_SALE)
        elif isinstance(error, CannotBeShared) and not self.cleaned_data["voucher"]:
            self.add_error("quantity", f"{why_not_shared(error)} {ANOTHER_QUANTITY}")
        else:
            super().show_fault(error)
