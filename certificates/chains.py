"""Chains of X.509 certificates: who signed whom, and in which order they come. Pure."""

from collections.abc import Iterable, Sequence
from enum import Enum, auto
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from django.utils.translation import gettext as _

from certificates import foreign

# Public chains have two to four; a longer one is a mistake.
MOST_CERTIFICATES = 10


class BrokenChain(ValueError):
    """Certificates that do not follow from one another; the message is a sentence for the customer."""


class Link(Enum):
    """What is between a certificate and one that may have issued it."""

    SIGNED = auto()
    # The names fit, and nothing speaks against it; key or signature are of a kind that can't be checked here.
    UNCHECKED = auto()
    OTHER_NAME = auto()
    NOT_SIGNED = auto()


HOLDS = {Link.SIGNED, Link.UNCHECKED}


def load_chain(pem: str) -> list[x509.Certificate]:
    """The certificates of what `read_certificate` has read, in their order."""
    return x509.load_pem_x509_certificates(pem.encode())


def check_chain(chain: Sequence[x509.Certificate]) -> None:
    """Raises BrokenChain unless each certificate is signed by the next, and each is there once.

    A link that can't be checked here is taken as it is.
    """
    if len(chain) > MOST_CERTIFICATES:
        sentence = _("There are %(count)s certificates; a chain has at most %(most)s.")
        raise BrokenChain(sentence % {"count": len(chain), "most": MOST_CERTIFICATES})
    for position, certificate in enumerate(chain, 1):
        if certificate in chain[: position - 1]:
            raise BrokenChain(_("Certificate %(position)s is there twice.") % {"position": position})
    for position, (certificate, issuer) in enumerate(pairwise(chain), 1):
        _require_link(certificate, issuer, {"position": position, "next": position + 1})


def _require_link(certificate: x509.Certificate, issuer: x509.Certificate, places: dict[str, int]) -> None:
    found = link(certificate, issuer)
    if found == Link.OTHER_NAME:
        sentence = _(
            "Certificate %(next)s is not the issuer of certificate %(position)s. Put your own first, then the one "
            "that issued it, and so on; a root at the end may be left out."
        )
        raise BrokenChain(sentence % places)
    if found == Link.NOT_SIGNED:
        sentence = _("Certificate %(next)s bears the issuer's name, but certificate %(position)s is not signed by it.")
        raise BrokenChain(sentence % places)


def unchecked_links(chain: Sequence[x509.Certificate]) -> list[int]:
    """The positions, from 1, of those whose signature by the next one can't be checked here."""
    pairs = enumerate(pairwise(chain), 1)
    return [position for position, (each, issuer) in pairs if link(each, issuer) == Link.UNCHECKED]


def link(certificate: x509.Certificate, issuer: x509.Certificate) -> Link:
    """By name as RFC 5280, section 7.1, compares them, then by signature, else by the identifiers of the key."""
    if foreign.issuer_of(certificate) != foreign.subject_of(issuer):
        return Link.OTHER_NAME
    try:
        _verify(certificate, issuer)
    except InvalidSignature:
        return Link.NOT_SIGNED
    except Exception:  # keys and signatures of kinds that are not known here; many kinds of errors
        return Link.NOT_SIGNED if _is_of_another_key(certificate, issuer) else Link.UNCHECKED
    return Link.SIGNED


def _verify(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    """As `verify_directly_issued_by`, which also wants the names to be the same octets. Raises InvalidSignature, and
    errors of other kinds where key or signature aren't known here."""
    key, how = issuer.public_key(), certificate.signature_algorithm_parameters
    signature, signed = certificate.signature, certificate.tbs_certificate_bytes
    digest = certificate.signature_hash_algorithm
    if isinstance(key, rsa.RSAPublicKey) and isinstance(how, padding.AsymmetricPadding) and digest:
        key.verify(signature, signed, how, digest)
    elif isinstance(key, ec.EllipticCurvePublicKey) and isinstance(how, ec.ECDSA):
        key.verify(signature, signed, how)
    elif how is not None or isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise InvalidSignature("made with a key of another kind")
    else:
        key.verify(signature, signed, *((digest,) if digest else ()))  # type: ignore[union-attr]


def _is_of_another_key(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    wanted, own = foreign.issuer_key_identifier(certificate), foreign.subject_key_identifier(issuer)
    return wanted is not None and own is not None and wanted != own


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether this is certain: what can't be checked is not shown."""
    return link(certificate, issuer) == Link.SIGNED


def path_of(chain: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """The first certificate, then each one's issuer, as far as they are there; a root is left out.

    Where a link on the way can't be checked here, the chain as it was handed over: nothing of it is dropped.
    """
    path, left = [chain[0]], list(chain[1:])
    while issuer := _issuer_in(left, path[-1]):
        if not is_issued_by(path[-1], issuer):
            return list(chain)
        left.remove(issuer)
        if is_root(issuer):
            break
        path.append(issuer)
    return path


def root_of(path: Sequence[x509.Certificate], known: Iterable[x509.Certificate]) -> x509.Certificate | None:
    """The root that a path goes back to, among those that are known; None where it is not."""
    roots = [each for each in known if is_root(each)]
    # From its end: an authority may send along a certificate of its root by an older one, which needn't be known.
    found = (_issuer_in(roots, each) for each in reversed(path))
    return next((each for each in found if each), None)


def in_order(certificates: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """Certificates that came in no order: the one that issued no other first, then its path, then the rest."""
    leaves = [each for each in certificates if not _issued_any(each, certificates)] or list(certificates)
    own = next((each for each in leaves if not foreign.is_authority(each)), leaves[0])
    path = path_of([own, *(each for each in certificates if each != own)])
    return [*path, *(each for each in certificates if each not in path)]


def _issued_any(issuer: x509.Certificate, certificates: Sequence[x509.Certificate]) -> bool:
    return any(link(each, issuer) in HOLDS for each in certificates if each != issuer)


def is_root(certificate: x509.Certificate) -> bool:
    """By name and signature: a root's new key signed by its old one has the same two names and is no root."""
    return link(certificate, certificate) in HOLDS


def _issuer_in(candidates: Sequence[x509.Certificate], certificate: x509.Certificate) -> x509.Certificate | None:
    """The issuer that is certain before one that isn't, and one with an issuer of its own before a root."""
    links = [(link(certificate, each), each) for each in candidates]
    for wanted in (Link.SIGNED, Link.UNCHECKED):
        found = [each for between, each in links if between == wanted]
        if found:
            return min(found, key=is_root)
    return None
