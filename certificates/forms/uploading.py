"""The form of Upload Certificate: what is pasted or given as files, and what is wrong with it."""

from typing import Any

from cryptography import x509
from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_variables

from certificates.chains import BrokenChain, check_chain, load_chain
from certificates.pem import holds_private_key, text_of
from certificates.private_keys import LONGEST_KEY, UnusableKey, check_key
from certificates.x509 import Handover, HoldsPrivateKey, UnreadableCertificate, read_certificate
from core.forms import PanelForm

LONGEST_NAME = 100
# Of all that is sent, pasted and in files; a chain of ten large certificates takes 30 KiB.
MOST_BYTES = 256 * 1024
# As many as an authority puts into one certificate; each makes several terms to search for.
MOST_NAMES = 250

_TOO_LARGE = gettext_lazy("This is too large: at most 256 KiB in all. Give the certificate and key alone.")
_AREA = {"class": "mono", "spellcheck": "false", "autocomplete": "off", "autocapitalize": "off", "maxlength": None}


class SecretArea(forms.Textarea):
    """What was typed here is never sent back."""

    def format_value(self, value: Any) -> str:
        return ""


class UploadForm(PanelForm):
    """A name, a certificate with its chain, and its key. Valid, it holds `handover`, and of the key nothing."""

    as_sent = frozenset(["chain", "key"])
    handover: Handover
    came_by: str  # the field that the chain came by

    name = forms.CharField(
        label=gettext_lazy("Name"),
        help_text=gettext_lazy("Under which you find it in the list: 1 to 100 characters."),
        error_messages={"required": gettext_lazy("Give it a name, by which you find it again.")},
    )
    chain = forms.CharField(
        label=gettext_lazy("Certificate and chain"),
        required=False,
        max_length=MOST_BYTES,
        widget=forms.Textarea(attrs={**_AREA, "rows": 8}),
        help_text=gettext_lazy(
            "In PEM: your own certificate first, then the one that issued it, and so on. The root may be left out."
        ),
        error_messages={
            "max_length": _TOO_LARGE,
            "null_characters_not_allowed": gettext_lazy("This isn't text. Copy the certificate again."),
        },
    )
    chain_file = forms.FileField(
        label=gettext_lazy("Or the certificate's file"),
        required=False,
        error_messages={"empty": gettext_lazy("This file is empty. Choose the one with the certificate.")},
    )
    key = forms.CharField(
        label=gettext_lazy("Private key"),
        required=False,
        max_length=MOST_BYTES,
        widget=SecretArea(attrs={**_AREA, "rows": 5}),
        help_text=gettext_lazy(
            "In PEM, without a passphrase. It is compared with the certificate and thrown away: never stored, and "
            "never shown again. If something else has to be corrected, it must be given once more."
        ),
        error_messages={
            "max_length": _TOO_LARGE,
            "null_characters_not_allowed": gettext_lazy("This isn't text. Copy the key again."),
        },
    )
    key_file = forms.FileField(
        label=gettext_lazy("Or the key's file"),
        required=False,
        error_messages={"empty": gettext_lazy("This file is empty. Choose the one with the key.")},
    )

    @sensitive_variables()
    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        if holds_private_key(name):
            raise forms.ValidationError(_("This was a private key, not a name. It was not kept."))
        if len(name) > LONGEST_NAME:
            words = _("The name has %(length)d characters; at most %(most)d fit.")
            raise forms.ValidationError(words % {"length": len(name), "most": LONGEST_NAME})
        return name

    @sensitive_variables()
    def clean(self) -> dict[str, Any]:
        """Reads the chain and the key together, and lets go of the key whatever comes of it."""
        self._forget_stray_keys()
        if largest := self._too_large():
            self.add_error(largest, _TOO_LARGE)
        else:
            certificate = self._read_chain(*self._given("chain"))
            self._check_key(*self._given("key"), certificate)
        self.cleaned_data.pop("key", None)
        self.cleaned_data.pop("key_file", None)
        return self.cleaned_data

    # --- What was given ------------------------------------------------------------------------

    @sensitive_variables()
    def _forget_stray_keys(self) -> None:
        """A key that was pasted into the wrong field must not be shown there again."""
        for field in ("name", "chain"):
            if holds_private_key(self.data.get(field, "")):
                # Widgets take what they show from here.
                self.data = {name: self.data.get(name, "") for name in self.fields} | {field: ""}

    @sensitive_variables()
    def _too_large(self) -> str | None:
        """The largest field, where all of them together are too large."""
        sizes = {field: len(self.cleaned_data.get(field, "").encode()) for field in ("chain", "key")}
        sizes |= {field: file.size for field in ("chain_file", "key_file") if (file := self.cleaned_data.get(field))}
        return max(sizes, key=lambda field: sizes[field]) if sum(sizes.values()) > MOST_BYTES else None

    @sensitive_variables()
    def _given(self, field: str) -> tuple[str, str]:
        """The text of a field, and the field it came by; empty where an error says why there is none."""
        by_file = f"{field}_file"
        if field in self.errors or by_file in self.errors:
            return "", field
        text, file = self.cleaned_data[field], self.cleaned_data[by_file]
        if text and file:
            self.add_error(by_file, _("Both a text and a file were given. Empty the text, or send no file."))
        elif file:
            return self._text_of(file.read(), by_file), by_file
        elif not text:
            self.add_error(field, _NOTHING_GIVEN[field])
        return ("", field) if file else (text, field)

    @sensitive_variables()
    def _text_of(self, content: bytes, field: str) -> str:
        """PEM in whatever a file is encoded in; what is around it may be anything."""
        if content[:1] == b"\x30" and content[1:2] >= b"\x80":  # as DER begins, and no text
            self.add_error(field, _BINARY[field])
            return ""
        return text_of(content)

    # --- What is wrong with it -----------------------------------------------------------------

    @sensitive_variables("text")
    def _read_chain(self, text: str, field: str) -> x509.Certificate | None:
        """The certificate itself, even where its chain is not in order: then an error says so."""
        if not text:
            return None
        try:
            self.handover, self.came_by = read_certificate(text), field
            chain = load_chain(self.handover.pem)
        except UnreadableCertificate as error:
            self.add_error(field, _why_unreadable(error))
            return None
        self._check_chain(chain, field)
        return chain[0]

    def _check_chain(self, chain: list[x509.Certificate], field: str) -> None:
        try:
            check_chain(chain)
        except BrokenChain as error:
            self.add_error(field, str(error))
        if (count := len(self.handover.names)) > MOST_NAMES:
            words = _("It is for %(count)d domain names; at most %(most)d fit.")
            self.add_error(field, words % {"count": count, "most": MOST_NAMES})

    @sensitive_variables()
    def _check_key(self, text: str, field: str, certificate: x509.Certificate | None) -> None:
        if not text:
            return
        if len(text) > LONGEST_KEY:
            self.add_error(field, _("This is longer than any private key. Give the key alone."))
            return
        try:
            check_key(text, certificate)
        except UnusableKey as error:
            self.add_error(field, str(error))


_NOTHING_GIVEN = {
    "chain": gettext_lazy("Paste the certificate, or choose its file."),
    "key": gettext_lazy("Paste the certificate's private key, or choose its file."),
}
_BINARY = {
    "chain_file": gettext_lazy(
        "This file is binary (DER or PKCS#12), not PEM. Convert it: openssl x509 -inform der -in it.cer -out it.pem"
    ),
    "key_file": gettext_lazy(
        "This file is binary (DER or PKCS#12), not PEM. Convert it: openssl pkey -inform der -in it.key -out it.pem"
    ),
}


def _why_unreadable(error: UnreadableCertificate) -> str:
    if isinstance(error, HoldsPrivateKey):
        return _(
            "There is a private key among the certificates; it was not kept. Give the certificates alone here, and the "
            "key below."
        )
    return error.sentence
