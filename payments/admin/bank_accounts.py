"""The account that a bank payment came from: recorded on the payment's page, shown masked ever after."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.desk.acts import Act, ActForm, Outcome
from core.desk.fields import PLAIN
from core.desk.marks import Fact, mono, time_mark
from core.forms import CodeField
from payments.exceptions import NotYours
from payments.models import BankAccount, Payment
from payments.payers import (
    LONGEST_HOLDER,
    LONGEST_TYPED,
    BadPayer,
    Payer,
    masked_holder,
    masked_number,
    read_holder,
    read_number,
)
from payments.services import (
    AccountFixed,
    AccountUnreadable,
    account_token,
    can_have_account,
    may_record_account,
    payer_of,
    record_bank_account,
)
from payments.states import Channel

ACCOUNT_WORDS = {
    "bank_account_recorded": _("Bank account recorded"),
    "bank_account_corrected": _("Bank account corrected"),
}


class AccountForm(ActForm):
    holder = forms.CharField(
        label=_("Account holder"),
        max_length=LONGEST_HOLDER,
        widget=forms.TextInput(attrs=PLAIN),
        error_messages={"required": _("Enter the name that the account is under.")},
    )
    number = CodeField(
        label=_("Account number"),
        max_length=LONGEST_TYPED,
        widget=forms.TextInput(attrs=PLAIN),
        help_text=_("The number or IBAN of the account that paid. Blanks and dashes make no difference."),
        error_messages={"required": _("Enter the number of the account that paid.")},
    )

    def clean_holder(self) -> str:
        return _read(read_holder, self.cleaned_data["holder"])

    def clean_number(self) -> str:
        return _read(read_number, self.cleaned_data["number"])


def _read(reader: Callable[[str], str], typed: str) -> str:
    try:
        return reader(typed)
    except BadPayer as error:
        raise ValidationError(gettext("This %(fault)s.") % {"fault": error}) from error


class RecordAccount(Act):
    """Where a bank payment goes back to. Whoever has a part in its refunds does not say it."""

    slug = "bank-account"
    title = _("Record the account that paid")
    button = _("Record the bank account")
    submit = _("Record")
    form_class = AccountForm
    forbidden = (NotYours,)
    refusals = (AccountFixed,)
    thing: Payment

    def may(self) -> bool:
        return may_record_account(self.thing, self.by)

    def is_possible(self) -> bool:
        return can_have_account(self.thing)

    def seen(self) -> str:
        return account_token(self.thing)

    def page(self) -> dict[str, Any]:
        return {"facts": [Fact(gettext("Payment"), mono(str(self.thing))), *account_facts(self.thing)]}

    def why_not(self) -> str:
        if self.thing.channel != Channel.BANK:
            return gettext("Nothing was recorded: this payment did not come from a bank account.")
        return gettext("Nothing was recorded: a file has told the bank this account already.")

    def do(self, form: ActForm) -> Outcome:
        payer = Payer(form.cleaned_data["holder"], form.cleaned_data["number"])
        record_bank_account(self.thing.pk, payer, by=self.by, at=self.at, seen=form.cleaned_data["seen"])
        return Outcome(gettext("The account is recorded; from now on it is shown masked."))


def account_facts(payment: Payment) -> list[Fact]:
    """The account of a bank payment, masked, and who recorded it; nothing for other payments."""
    if payment.channel != Channel.BANK:
        return []
    account = _account_of(payment)
    label = gettext("Account that paid")
    if account is None:
        return [Fact(label, gettext("not recorded: it cannot go back by a file for the bank"))]
    return [
        Fact(label, mono(_masked(account))),
        Fact(gettext("Account recorded"), time_mark(account.recorded_at)),
        Fact(gettext("Account recorded by"), account.recorded_by or gettext("the import")),
    ]


def _masked(account: BankAccount) -> str:
    try:
        payer = payer_of(account)
    except AccountUnreadable:
        return gettext("cannot be read with any of the console's keys")
    return f"{masked_holder(payer.holder)} · {masked_number(payer.number)}"


def _account_of(payment: Payment) -> BankAccount | None:
    return BankAccount.objects.select_related("recorded_by").filter(payment=payment.pk).first()
