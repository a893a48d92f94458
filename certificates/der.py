"""As much of DER as is needed to reach into what `cryptography` refuses to parse. Pure.

Indefinite lengths (BER) are read too: OpenSSL writes PKCS#7 with them when it streams.
"""

from dataclasses import dataclass

INTEGER, BIT_STRING, OCTET_STRING, OID, SEQUENCE, SET = 0x02, 0x03, 0x04, 0x06, 0x30, 0x31
_END_OF_CONTENTS = b"\0\0"
# Nothing in a certificate or a PKCS#7 nests as deep as this.
_DEEPEST = 32


class Malformed(ValueError):
    """Octets that aren't DER."""


class CutOff(Malformed):
    """An element that says it is longer than what is there."""


@dataclass(frozen=True, slots=True)
class Element:
    """A tag with its contents; `whole` is the element as it was written, from its tag on."""

    tag: int
    contents: bytes
    whole: bytes

    def children(self) -> list["Element"]:
        """What a constructed element holds. Raises Malformed."""
        return elements(self.contents)


def first(octets: bytes) -> Element:
    """The element that the octets begin with, whatever follows it. Raises Malformed, CutOff."""
    return _read(octets, 0, 0)


def elements(octets: bytes) -> list[Element]:
    """The elements that follow one another. Raises Malformed, CutOff."""
    found, position = [], 0
    while position < len(octets):
        found.append(_read(octets, position, 0))
        position += len(found[-1].whole)
    return found


def _read(octets: bytes, start: int, depth: int) -> Element:
    if len(octets) < start + 2:
        raise CutOff("no room for a tag and a length")
    tag, size, begin = octets[start], octets[start + 1], start + 2
    if tag & 0x1F == 0x1F:
        raise Malformed("a tag of more than one octet")
    if size == 0x80:
        return _read_indefinite(octets, start, depth)
    if size > 0x80:
        begin += size & 0x7F
        if size > 0x84:
            raise Malformed("a length of more than four octets")
        size = int.from_bytes(octets[start + 2 : begin], "big")
    end = begin + size
    if end > len(octets):
        raise CutOff("shorter than its length")
    return Element(tag, octets[begin:end], octets[start:end])


def _read_indefinite(octets: bytes, start: int, depth: int) -> Element:
    if depth > _DEEPEST:
        raise Malformed("nested too deeply")
    position = start + 2
    while octets[position : position + 2] != _END_OF_CONTENTS:
        position += len(_read(octets, position, depth + 1).whole)
    return Element(octets[start], octets[start + 2 : position], octets[start : position + 2])
