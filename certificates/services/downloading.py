"""Handing an issued certificate to its owner, as the files that a server reads."""

import logging
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12PrivateKeyTypes
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from certificates.actions import Action, actions_of
from certificates.chains import load_chain, path_of, root_of
from certificates.exceptions import (
    CertificateHeld,
    KeyUnreadable,
    NothingToDownload,
    PackageUnavailable,
    WrongState,
)
from certificates.models import Application, CaIssuer, Certificate
from certificates.packages import Download, Material, Obstacle, Package, build, obstacle_to, stem_of
from certificates.private_keys import is_key_of
from certificates.services.locking import lock_for_owner
from certificates.states import KeyType, Source
from core import audit
from core.encryption import WrongKey, decrypt
from core.models import User

logger = logging.getLogger(__name__)


@sensitive_variables("password")
@transaction.atomic
def download(certificate_id: int, package: Package, *, password: str = "", by: User, at: datetime) -> Download:
    """Build a package for the certificate's owner. A keystore is encrypted under `password`.

    Raises NotYourCertificate, CertificateHeld, WrongState, NothingToDownload, PackageUnavailable and KeyUnreadable.
    """
    certificate = lock_for_owner(certificate_id, by=by)
    require_downloadable(certificate, at=at)
    if obstacle := offered(certificate)[package]:
        raise PackageUnavailable(obstacle)
    made = build(package, _material_of(certificate), password=password, at=at)
    audit.record(certificate, "downloaded", by=by, at=at, detail={"package": package, "holds_key": made.holds_key})
    return made


def require_downloadable(certificate: Certificate, *, at: datetime) -> None:
    """Raises CertificateHeld, NothingToDownload and WrongState."""
    if certificate.hold:
        raise CertificateHeld(certificate.hold)
    if certificate.source == Source.UPLOADED:
        raise NothingToDownload(str(certificate))
    if Action.DOWNLOAD not in actions_of(certificate, at):
        raise WrongState(certificate)
    if not certificate.pem:
        raise NothingToDownload(str(certificate))


def offered(certificate: Certificate) -> dict[Package, Obstacle | None]:
    """Every package of a downloadable certificate, with what stands in its way."""
    has_key = _application_with_key(certificate) is not None
    has_root = _root(load_chain(certificate.pem)) is not None
    return {each: obstacle_to(each, has_key=has_key, has_root=has_root) for each in Package}


def stem_for(certificate: Certificate) -> str:
    """What the names of the certificate's files begin with."""
    first = certificate.domains.values_list("name", flat=True).first()
    return stem_of(first or certificate.name)


def _material_of(certificate: Certificate) -> Material:
    chain = load_chain(certificate.pem)
    return Material(path_of(chain), stem_for(certificate), _key_of(certificate, chain[0]), _root(chain))


def _root(chain: list[x509.Certificate]) -> x509.Certificate | None:
    """The chain's own last one, or the root of the console's authority where that is whose it is."""
    ours = CaIssuer.objects.filter(kind=CaIssuer.Kind.ROOT).values_list("pem", flat=True)
    known = [*chain[1:], *(x509.load_pem_x509_certificate(pem.encode()) for pem in ours)]
    return root_of(path_of(chain), known)


def _application_with_key(certificate: Certificate) -> Application | None:
    made_here = Application.objects.filter(pk=certificate.pk).exclude(key_type=KeyType.PASTED)
    return made_here.exclude(key="").first()


@sensitive_variables()
def _key_of(certificate: Certificate, leaf: x509.Certificate) -> PKCS12PrivateKeyTypes | None:
    """The key, if it was made here; only here it is decrypted. Raises KeyUnreadable."""
    application = _application_with_key(certificate)
    if application is None:
        return None
    try:
        key = load_pem_private_key(decrypt(application.key), password=None)
    except (WrongKey, ImproperlyConfigured) as error:
        logger.error("the key of %s can't be opened: %s", certificate, error)
        raise KeyUnreadable(str(certificate)) from None
    except ValueError:
        logger.error("what is stored as the key of %s is no key", certificate)
        raise KeyUnreadable(str(certificate)) from None
    if not is_key_of(key, leaf):
        logger.error("the key kept for %s is not that of its certificate", certificate)
        raise KeyUnreadable(str(certificate))
    return key  # type: ignore[return-value]
