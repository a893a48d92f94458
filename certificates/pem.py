"""PEM as people have it: from PowerShell in UTF-16, out of quoted mail, with dashes that a word processor put there.

The one reader for certificates, chains, requests and private keys. Pure. What it raises never repeats the text, which
may be a private key.
"""

import re
import unicodedata
from base64 import b64decode, b64encode
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from certificates import der
from core.text import is_invisible


class Kind(Enum):
    """What the label of a block says that it holds."""

    CERTIFICATE = "a certificate"
    REQUEST = "a certificate signing request"
    PKCS7 = "PKCS#7"
    PRIVATE_KEY = "a private key"
    PUBLIC_KEY = "a public key"
    OTHER = "something else"


_KINDS = {
    **dict.fromkeys(("CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"), Kind.CERTIFICATE),
    **dict.fromkeys(("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"), Kind.REQUEST),
    **dict.fromkeys(("PKCS7", "PKCS #7 SIGNED DATA", "CMS"), Kind.PKCS7),
    **dict.fromkeys(("PUBLIC KEY", "RSA PUBLIC KEY", "SSH2 PUBLIC KEY"), Kind.PUBLIC_KEY),
}


class Flaw(Enum):
    """What is wrong with a text, fit for "<field>: <reason>"."""

    NO_BEGIN = "has no BEGIN line"
    NO_END = "has no END line: it is cut off"
    OTHER_END = "has an END line that doesn't match its BEGIN line"
    EMPTY = "is empty between its BEGIN and END lines"
    NOT_BASE64 = "holds characters that aren't base64"
    CUT_OFF = "is incomplete: a part of it is missing"
    DAMAGED = "is damaged"


SENTENCES = {
    Flaw.NO_BEGIN: _("The BEGIN line is missing. Copy the text again, from its BEGIN to its END line."),
    Flaw.NO_END: _("The END line is missing, so the text is cut off. Copy it again, from its BEGIN to its END line."),
    Flaw.OTHER_END: _("The END line doesn't match the BEGIN line: a part in between is missing. Copy the text again."),
    Flaw.EMPTY: _("There is nothing between the BEGIN and END lines. Copy the text again, every line of it."),
    Flaw.NOT_BASE64: _(
        "Between the BEGIN and END lines there are characters that don't belong there. Copy the text again."
    ),
    Flaw.CUT_OFF: _("A part of the text between the BEGIN and END lines is missing. Copy it again, every line of it."),
    Flaw.DAMAGED: _("The text between the BEGIN and END lines is damaged: some of it was changed. Copy it again."),
}


class BadPem(ValueError):
    """A text isn't whole PEM. `position` counts the block, from 1, among those in the text."""

    def __init__(self, flaw: Flaw, position: int = 1) -> None:
        super().__init__(flaw.value)
        self.flaw = flaw
        self.position = position

    @property
    def sentence(self) -> str:
        return str(SENTENCES[self.flaw])


@dataclass(frozen=True, slots=True, repr=False)
class Block:
    """What stands between a BEGIN and an END line. It has no repr: it may be a private key."""

    label: str
    body: str
    position: int
    # As in keys that OpenSSL protected in its old format.
    headers: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        is_private = self.label.endswith("PRIVATE KEY")
        return Kind.PRIVATE_KEY if is_private else _KINDS.get(self.label, Kind.OTHER)

    @sensitive_variables()
    def octets(self) -> bytes:
        """What the base64 stands for. Padding that was lost is put back. Raises BadPem."""
        letters = "".join(self.body.split())
        if not letters:
            raise BadPem(Flaw.EMPTY, self.position)
        if not _BASE64.fullmatch(letters):
            raise BadPem(Flaw.NOT_BASE64, self.position)
        letters = letters.rstrip("=")
        if len(letters) % 4 == 1:
            raise BadPem(Flaw.CUT_OFF, self.position)
        return b64decode(letters + "=" * (-len(letters) % 4))

    @sensitive_variables()
    def der(self) -> bytes:
        """The one DER value that the block holds. Raises BadPem."""
        octets, flaw = self.octets(), Flaw.DAMAGED
        try:
            if octets[0] == der.SEQUENCE:
                return self._only(octets)
        except der.CutOff:
            flaw = Flaw.CUT_OFF
        except der.Malformed:
            pass
        raise BadPem(flaw, self.position)

    @sensitive_variables()
    def _only(self, octets: bytes) -> bytes:
        found = der.first(octets)
        # A trusted certificate of OpenSSL's is followed by what it is trusted for.
        if found.whole != octets and self.label != "TRUSTED CERTIFICATE":
            raise der.Malformed("more follows")
        return found.whole


def text_of(content: bytes) -> str:
    """The text in a file: UTF-8, or UTF-16 with its mark or without, or what Windows wrote before."""
    if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return content.decode("utf-16", "replace")
    half = len(content) // 2
    for codec, zeros in (("utf-16-le", content[1::2]), ("utf-16-be", content[::2])):
        # Nearly all of it is ASCII, so that every other octet is zero.
        if half and zeros.count(0) > half * 0.9:
            return content.decode(codec, "replace")
    try:
        return content.removeprefix(BOM_UTF8).decode()
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


@sensitive_variables()
def blocks_of(text: str) -> list[Block]:
    """Every block in a text, in order; none where there is no BEGIN or END line. Raises BadPem."""
    return list(_blocks(plain(text)))


def is_armored(text: str) -> bool:
    """Whether a text has a BEGIN line."""
    return _BEGIN.search(plain(text)) is not None


# The armors of OpenSSL, OpenSSH, PGP, PuTTY and SSH2, whole or torn, and a key spelled out by OpenSSL.
_PRIVATE = re.compile(r"(?:BEGIN|END)[A-Z0-9 ]{0,40}PRIVATE[ _-]?KEY|PRIVATE-LINES:|PRIVATEEXPONENT:", re.I)


def holds_private_key(text: str) -> bool:
    """Whether a text seems to hold a private key, in any of the armors these come in."""
    return _PRIVATE.search(plain(text)) is not None


def armor(label: str, octets: bytes) -> str:
    body = b64encode(octets).decode()
    lines = (body[start : start + 64] for start in range(0, len(body), 64))
    return "\n".join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""))


# --- From what people have to PEM --------------------------------------------------------------

_DASHES = "\u2010\u2011\u2012\u2013\u2015\u2212\ufe58\ufe63\uff0d"


def _plain_form(character: str) -> str | None:
    """What a character is read as; None where it is dropped."""
    if character in "\n\r":
        return character
    if character in "\u0085\u2028\u2029\v\f":
        return "\n"
    if unicodedata.category(character) == "Zs" or character == "\t":
        return " "
    if character == "\u2014":  # how word processors join two hyphens
        return "--"
    if character in _DASHES:
        return "-"
    return None if is_invisible(character) else character


# One look-up for each character: texts of megabytes are looked at for private keys.
_PLAIN = {
    code: form for code in [*range(0x10000), *range(0xE0000, 0xE0080)] if (form := _plain_form(chr(code))) != chr(code)
}
_QUOTED = re.compile(r"^[ ]*(?:(?:>|&gt;|\|)[ ]*)+", re.M)
# Two hyphens are enough to find a line by, and keep the search linear in a text that is all hyphens.
_BEGIN = re.compile(r"-- ?BEGIN [A-Z0-9]", re.I)
_EDGE = re.compile(r"-- ?(BEGIN|END) ([A-Z0-9][A-Z0-9 #.]{0,60}?) ?-{2,}", re.I)
_HEADER = re.compile(r"[A-Za-z0-9-]+:")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,3}")


@sensitive_variables()
def plain(text: str) -> str:
    """`text` with plain hyphens, spaces and line breaks, without invisible characters and marks of quotation."""
    return _QUOTED.sub("", text.translate(_PLAIN).replace("\r\n", "\n").replace("\r", "\n"))


@sensitive_variables()
def _blocks(text: str) -> Iterator[Block]:
    edges, position, index = list(_EDGE.finditer(text)), 0, 0
    while index < len(edges):
        position += 1
        begin, end = edges[index], edges[index + 1] if index + 1 < len(edges) else None
        if begin[1].upper() != "BEGIN":
            raise BadPem(Flaw.NO_BEGIN, position)
        if end is None or end[1].upper() != "END":
            raise BadPem(Flaw.NO_END, position)
        if begin[2].upper() != end[2].upper():
            raise BadPem(Flaw.OTHER_END, position)
        headers, body = _without_headers(text[begin.end() : end.start()].rstrip("-"))
        yield Block(begin[2].upper(), body, position, headers)
        index += 2


@sensitive_variables()
def _without_headers(inside: str) -> tuple[tuple[str, ...], str]:
    lines = inside.strip().split("\n")
    count = next((index for index, line in enumerate(lines) if not _HEADER.match(line)), len(lines))
    return tuple(lines[:count]), "\n".join(lines[count:])
