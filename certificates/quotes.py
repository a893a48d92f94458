"""What a customer is shown before buying, carried by the form so that nobody buys on terms they have not seen."""

from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID, uuid4

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from core import signed_forms
from core.models import User
from core.money import format_money

SALT = "certificates.purchase"


@dataclass(frozen=True)
class Basket:
    """What is to be bought. `names` counts for each certificate; `renews` is the certificate that it follows."""

    product_id: int
    names: int = 1
    quantity: int = 1
    voucher_code: str = ""
    renews: int | None = None


@dataclass(frozen=True)
class Quote:
    """The terms of a purchase at one moment. Amounts are minor units of `currency`.

    `balance` is what the account has in it before; None where nothing is paid.
    """

    currency: str
    unit_price: int
    list_amount: int
    voucher_amount: int
    voucher_left: int
    paid_amount: int
    balance: int | None
    bonus_days: int = 0

    @property
    def missing(self) -> int:
        """What the balance lacks; 0 when it is enough."""
        return max(self.paid_amount - (self.balance or 0), 0)

    @property
    def balance_after(self) -> int:
        return (self.balance or 0) - self.paid_amount


@dataclass(frozen=True)
class Form:
    """One form as it was handed out: to whom, for what, on which terms, under which key."""

    account_id: int
    key: UUID
    basket: Basket
    quote: Quote


def new_form(account: User, basket: Basket, quote: Quote) -> Form:
    return Form(account.pk, uuid4(), basket, quote)


def sign(form: Form) -> str:
    """The form as a text that nobody can alter."""
    return signed_forms.sign(form, salt=SALT)


def read(token: str, account: User) -> Form | None:
    """The form that was signed, or None if it isn't one of ours for this account."""
    return signed_forms.read(token, _form, salt=SALT, account_id=account.pk)


def _form(data: dict[str, Any]) -> Form:
    return Form(data["account_id"], data["key"], Basket(**data["basket"]), Quote(**data["quote"]))


# --- What has changed --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    label: Any
    before: str
    now: str


_LABELS = {
    "currency": gettext_lazy("Currency"),
    "unit_price": gettext_lazy("Price of one certificate"),
    "list_amount": gettext_lazy("List price"),
    "voucher_amount": gettext_lazy("Voucher"),
    "voucher_left": gettext_lazy("Lost of the voucher"),
    "paid_amount": gettext_lazy("To pay"),
    "balance": gettext_lazy("Your balance"),
    "bonus_days": gettext_lazy("Remaining days added"),
}


def changes_between(seen: Quote, now: Quote) -> list[Change]:
    """Every difference in the order shown; empty when nothing differs."""
    differing = [field.name for field in fields(Quote) if getattr(seen, field.name) != getattr(now, field.name)]
    return [Change(_LABELS[name], _in_words(name, seen), _in_words(name, now)) for name in differing]


def _in_words(name: str, quote: Quote) -> str:
    value = getattr(quote, name)
    if name == "currency":
        return value
    if name == "bonus_days":
        return ngettext("%(days)d day", "%(days)d days", value) % {"days": value}
    return _("not needed") if value is None else format_money(value, quote.currency)
