"""Chains of X.509 certificates: who signed whom, and in which order they stand. Pure."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from django.utils.translation import gettext as _

# Public chains have two to four; whoever needs more has made a mistake.
MOST_CERTIFICATES = 10


class BrokenChain(ValueError):
    """Certificates that do not follow from one another; the message is a sentence for the customer."""


def load_chain(pem: str) -> list[x509.Certificate]:
    """The certificates of what `read_certificate` has read, in their order."""
    return x509.load_pem_x509_certificates(pem.encode())


def check_chain(chain: Sequence[x509.Certificate]) -> None:
    """Raises BrokenChain unless each certificate is signed by the next, and none stands there twice."""
    if len(chain) > MOST_CERTIFICATES:
        sentence = _("There are %(count)s certificates; a chain has at most %(most)s.")
        raise BrokenChain(sentence % {"count": len(chain), "most": MOST_CERTIFICATES})
    for position, certificate in enumerate(chain, 1):
        if certificate in chain[: position - 1]:
            raise BrokenChain(_("Certificate %(position)s stands there twice.") % {"position": position})
    for position, (certificate, issuer) in enumerate(pairwise(chain), 1):
        _check_link(certificate, issuer, {"position": position, "next": position + 1})


def _check_link(certificate: x509.Certificate, issuer: x509.Certificate, places: dict[str, int]) -> None:
    if certificate.issuer != issuer.subject:
        sentence = _(
            "Certificate %(next)s is not the issuer of certificate %(position)s. Put your own first, then the one "
            "that issued it, and so on; a root at the end may be left out."
        )
        raise BrokenChain(sentence % places)
    try:
        certificate.verify_directly_issued_by(issuer)
    except InvalidSignature as error:
        sentence = _("Certificate %(next)s bears the issuer's name, but certificate %(position)s is not signed by it.")
        raise BrokenChain(sentence % places) from error
    except Exception as error:  # keys and signatures of kinds that are not known here; many kinds of errors
        sentence = _("Whether certificate %(position)s is signed by certificate %(next)s cannot be checked here.")
        raise BrokenChain(sentence % places) from error


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # as above: what cannot be checked is not shown
        return False
    return True


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether a certificate may issue others."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def path_of(chain: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """The first certificate, then each one's issuer, as far as they are there; a root is left out."""
    path, left = [chain[0]], list(chain[1:])
    while issuer := _issuer_in(left, path[-1]):
        left.remove(issuer)
        if is_issued_by(issuer, issuer):
            break
        path.append(issuer)
    return path


def root_of(path: Sequence[x509.Certificate], known: Iterable[x509.Certificate]) -> x509.Certificate | None:
    """The root that issued the last certificate of a path, among those that are known; None where it is not."""
    return _issuer_in([each for each in known if is_issued_by(each, each)], path[-1])


def _issuer_in(candidates: Sequence[x509.Certificate], certificate: x509.Certificate) -> x509.Certificate | None:
    return next((each for each in candidates if is_issued_by(certificate, each)), None)
