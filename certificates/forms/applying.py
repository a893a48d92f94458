"""Apply for Certificate as a form: what is typed is checked here, field by field; states and times by the service."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from babel import Locale
from django import forms
from django.core.exceptions import ValidationError
from django.forms.boundfield import BoundField
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from certificates.csr import LEAKED, SigningRequest, UnusableCsr, read_request
from certificates.csr import LONGEST_TEXT as LONGEST_CSR
from certificates.models import Certificate
from certificates.names import UnfitNames, names_of
from certificates.pem import holds_private_key
from certificates.services.applications import Submission, draft_of
from certificates.states import AuthorityName, DomainType, KeyType, Verification
from core.email_fields import EmailFormField
from core.forms import LONGEST_TEXT, CodeField, PanelForm

LONGEST_DOMAINS = 30_000
# What X.520 gives a company's name and a city, in octets: more does not fit into a certificate.
MOST_COMPANY_OCTETS, MOST_CITY_OCTETS = 64, 128

# CLDR's territories beside those of ISO 3166.
_NO_COUNTRIES = frozenset(["AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "XK", "ZZ"])
_PHONE = re.compile(r"\+?[0-9 ()./-]+(?: ?(?:x|ext\.?) ?[0-9]+)?", re.ASCII | re.I)
_ANY_DASH = re.compile("[\u2010-\u2015\u2212]")

COMPANY_FIELDS = ("company_name", "company_number", "company_country", "company_city", "company_address")
CONTACT_FIELDS = ("contact_name", "contact_email", "contact_phone")

DOMAINS_HINTS = {
    DomainType.SINGLE: _("One name, such as shop.example.com; the same with or without www. may stand beside it."),
    DomainType.WILDCARD: _("One wildcard, such as *.example.com; example.com itself may stand beside it."),
    DomainType.MULTI: _("One name a line. A name with and without www. counts as one."),
}


def check_phone(text: str) -> None:
    if not _PHONE.fullmatch(text) or sum(each.isdigit() for each in text) < 5:
        raise ValidationError(_("Enter a telephone number, such as +86 571 1234 5678."))


@dataclass(frozen=True)
class FitsOctets:
    """A validator: certificates measure in octets, of which a Chinese character takes three."""

    most: int

    def __call__(self, text: str) -> None:
        if len(text.encode()) > self.most:
            sentence = _("This is too long for a certificate: at most %(most)d Latin or %(wide)d Chinese characters.")
            raise ValidationError(sentence % {"most": self.most, "wide": self.most // 3})


class Line(forms.CharField):
    """One line of text, with our sentences for an empty one and for one that is too long."""

    def __init__(self, label: Any, required: Any, max_length: int, **kwargs: Any) -> None:
        autocomplete = kwargs.pop("autocomplete", "off")
        messages = {
            "required": required,
            "max_length": _("This is too long: at most %(limit_value)d characters."),
        }
        widget = forms.TextInput(attrs={"autocomplete": autocomplete, "maxlength": None})
        kwargs = {"widget": widget, "error_messages": messages, **kwargs}
        super().__init__(label=label, max_length=max_length, **kwargs)


class CodeLine(Line, CodeField):
    """A number of one line."""


class PhoneLine(CodeLine):
    """A telephone number; every hyphen and dash that web pages and word processors write counts as a plain one."""

    def to_python(self, value: Any) -> str:
        return _ANY_DASH.sub("-", super().to_python(value) or "")


@lru_cache
def countries(language: str) -> list[tuple[str, str]]:
    """The countries of ISO 3166 by their names in a language, as choices."""
    territories = Locale.parse(language, sep="-").territories
    known = [(code, name) for code, name in territories.items() if len(code) == 2 and code not in _NO_COUNTRIES]
    return sorted(known, key=lambda country: country[1])


class ApplyForm(PanelForm):
    """What a certificate is for, whom to ask about it, and its key.

    A private key pasted into any field is taken out before anything else: it is neither kept nor shown again.
    """

    as_sent = frozenset(["csr"])

    domains = CodeField(
        label=_("Domains"),
        max_length=LONGEST_DOMAINS,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "autocapitalize": "none", "maxlength": None}),
        error_messages={
            "required": _("Enter the domain name that the certificate is for."),
            "max_length": _("This is too long for a list of domains."),
        },
    )
    verification = forms.ChoiceField(
        label=_("Verification"),
        choices=Verification.choices,
        initial=Verification.DNS,
        error_messages={
            "required": _("Choose how you prove that the domains are yours."),
            "invalid_choice": _("Choose one of the ways offered here."),
        },
    )
    contact_name = Line(_("Name"), _("Enter the name of a person whom we can ask."), 100, autocomplete="name")
    contact_email = EmailFormField(error_messages={"required": _("Enter the contact's email address.")})
    contact_phone = PhoneLine(
        _("Telephone"), _("Enter the contact's telephone number."), 40, autocomplete="tel", validators=[check_phone]
    )
    company_name = Line(
        _("Company name"),
        _("Enter the company's name as it is registered."),
        200,
        autocomplete="organization",
        validators=[FitsOctets(MOST_COMPANY_OCTETS)],
        help_text=_("As it is registered; it stands in the certificate."),
    )
    company_number = CodeLine(
        _("Registration number"), _("Enter the number under which the company is registered."), 60
    )
    company_country = forms.ChoiceField(
        label=_("Country or region"),
        error_messages={
            "required": _("Choose the country or region in which the company is registered."),
            "invalid_choice": _("Choose one from the list."),
        },
    )
    company_city = Line(
        _("City"),
        _("Enter the city of the company's seat."),
        100,
        autocomplete="address-level2",
        validators=[FitsOctets(MOST_CITY_OCTETS)],
    )
    company_address = Line(
        _("Address"), _("Enter the address of the company's seat."), 200, autocomplete="street-address"
    )
    key_type = forms.ChoiceField(
        label=_("Key"),
        choices=KeyType.choices,
        initial=KeyType.RSA_2048,
        error_messages={
            "required": _("Choose where the certificate's key comes from."),
            "invalid_choice": _("Choose one of the keys offered here."),
        },
    )
    csr = forms.CharField(
        label=_("CSR"),
        required=False,
        max_length=LONGEST_CSR,
        widget=forms.Textarea(attrs={"rows": 8, "class": "mono", "spellcheck": "false", "maxlength": None}),
        help_text=_(
            "In PEM, with an RSA key of 2048 bits or more or an EC key (P-256, P-384), for the domains above. "
            "Never paste the private key."
        ),
        error_messages={
            "max_length": _("This is too long for a CSR."),
            "null_characters_not_allowed": _("This isn't a CSR. Paste it as PEM text."),
        },
    )

    def __init__(self, data: Any = None, *, certificate: Certificate) -> None:
        self.certificate = certificate
        assert certificate.product is not None  # noqa: S101 - what was uploaded is never applied for
        self.product = certificate.product
        # What's beyond that is refused as too long, and not shown again.
        self.leaks = frozenset(name for name in data or () if holds_private_key(str(data[name])[:LONGEST_TEXT]))
        super().__init__(_without(data, self.leaks), initial=initial_of(certificate))
        self.fields["domains"].help_text = DOMAINS_HINTS[DomainType(self.product.domain_type)]
        self._offer()

    def _offer(self) -> None:
        """Only what the product asks for, in the reader's language."""
        language = get_language() or "en"
        choose: Any = ("", _("Choose…"))
        self.fields["company_country"].choices = [choose, *countries(language)]  # type: ignore[attr-defined]
        if not self.product.is_checked_by_staff:
            for name in COMPANY_FIELDS:
                del self.fields[name]
        if self.product.domain_type == DomainType.WILDCARD:
            only_dns = [(Verification.DNS.value, Verification.DNS.label)]
            self.fields["verification"].choices = only_dns  # type: ignore[attr-defined]
            self.fields["verification"].error_messages["invalid_choice"] = _(
                "A wildcard can be verified by DNS record only."
            )

    # --- Checks ---

    def clean_domains(self) -> str:
        """Kept as typed; the names in it are at hand as `names`."""
        text = self.cleaned_data["domains"]
        try:
            self.names = tuple(names_of(text, self.product.domain_type, self.certificate.names_bought))
        except UnfitNames as unfit:
            raise ValidationError([ValidationError(sentence) for sentence in unfit.problems]) from unfit
        return text

    def clean_csr(self) -> str:
        return self.cleaned_data["csr"] if self.cleaned_data.get("key_type") == KeyType.PASTED else ""

    def clean(self) -> dict[str, Any]:
        self.request: SigningRequest | None = None
        for name in self.leaks & set(self.fields):
            # Whatever else is said of the empty field is not the point.
            self.errors.pop(name, None)
            self.add_error(name, str(LEAKED))
        if self.cleaned_data.get("key_type") == KeyType.PASTED and "domains" in self.cleaned_data:
            self._read_csr()
        return self.cleaned_data

    def _read_csr(self) -> None:
        if "csr" in self.errors:
            return
        if not self.cleaned_data["csr"]:
            self.add_error("csr", str(_("Paste your CSR, or choose a key that is made here.")))
            return
        # An ACME authority issues for the names in the CSR, all of them.
        is_exact = self.product.authority == AuthorityName.ACME
        try:
            self.request = read_request(self.cleaned_data["csr"], self.names, is_exact=is_exact)
        except UnusableCsr as error:
            self.add_error("csr", str(error))

    def refuse_key(self) -> None:
        """Say beside the field that the key is another certificate's."""
        self.add_error("csr", str(_("The key of this CSR serves another certificate. Make a new key and a new CSR.")))

    # --- What it gives ---

    def submission(self) -> Submission:
        """What a valid form hands in."""
        typed = {name: text for name, text in self.cleaned_data.items() if name not in {"key_type", "csr"}}
        return Submission(self.names, self.cleaned_data["key_type"], self.request, typed)

    def groups(self) -> dict[str, list[BoundField]]:
        """The fields that are drawn alike, under the names that the template has for them."""
        return {"contact": list(self._present(CONTACT_FIELDS)), "company": list(self._present(COMPANY_FIELDS))}

    def _present(self, names: tuple[str, ...]) -> Iterator[BoundField]:
        return (self[name] for name in names if name in self.fields)


def initial_of(certificate: Certificate) -> dict[str, str]:
    """The draft, else what the account and the certificate know already."""
    draft = draft_of(certificate)
    if draft:
        return {name: getattr(draft, name) for name in _drafted(draft.key_type)}
    return {
        "domains": "\n".join(certificate.domains.values_list("name", flat=True)),
        "contact_name": str(certificate.account),
        "contact_email": certificate.account.email,
    }


def _drafted(key_type: str) -> list[str]:
    """What is shown of a draft; a CSR only where it is the customer's own."""
    own = ["csr"] if key_type == KeyType.PASTED else []
    return ["domains", "verification", "key_type", *CONTACT_FIELDS, *COMPANY_FIELDS, *own]


def _without(data: Any, names: frozenset[str]) -> Any:
    if not names:
        return data
    kept = data.copy()
    for name in names:
        kept[name] = ""
    return kept
