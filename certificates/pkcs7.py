"""The certificates in PKCS#7 (RFC 2315, 9.1), of which nothing else is looked at. Pure."""

from certificates import der
from certificates.pem import BadPem, Block, Flaw

_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_CERTIFICATES = 0xA0


def certificates_in(block: Block) -> list[bytes]:
    """The certificates in DER, in the order in which they are there. Raises BadPem."""
    try:
        kind, content = der.elements(block.der())[0].children()
        if kind.contents != _SIGNED_DATA:
            raise der.Malformed("another kind of PKCS#7")
        # After the version, the digest algorithms and what was signed.
        parts = content.children()[0].children()[3:]
        return [each.whole for part in parts if part.tag == _CERTIFICATES for each in part.children()]
    except der.CutOff:
        raise BadPem(Flaw.CUT_OFF, block.position) from None
    except (ValueError, IndexError) as error:
        raise error if isinstance(error, BadPem) else BadPem(Flaw.DAMAGED, block.position) from None
