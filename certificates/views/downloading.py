"""Download: an issued certificate as the files that a server reads."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core import signing
from django.http import Http404, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from certificates.exceptions import (
    CertificatesError,
    KeyUnreadable,
    NothingToDownload,
    NotYourCertificate,
    PackageUnavailable,
)
from certificates.instructions import own_keystore_command
from certificates.models import Certificate
from certificates.packages import KEYSTORES, Download, Obstacle, Package, new_password
from certificates.services.downloading import download as build_package
from certificates.services.downloading import offered, require_downloadable, stem_for
from certificates.states import Source
from certificates.views.common import CONFLICT, owned, show_refusal, subject, to_panel
from core.requests import SignedInRequest, show_panel

# How long the page with a keystore's password may lie open before its button is pressed.
PASSWORD_LASTS = 15 * 60  # seconds
_SALT = "certificates.download"

HOLDS = {
    Package.NGINX: gettext_lazy("Certificate with its chain in PEM"),
    Package.APACHE: gettext_lazy("Certificate and chain in PEM, a file each"),
    Package.TOMCAT: gettext_lazy("Keystore (.pfx) with certificate, chain and key"),
    Package.JAVA: gettext_lazy("Keystore (PKCS#12, .p12) with certificate, chain and key"),
    Package.IIS: gettext_lazy("Keystore (.pfx) with certificate, chain and key"),
    Package.OTHER: gettext_lazy("Certificate, chain and both together, in PEM"),
    Package.ROOT: gettext_lazy("The root's certificate in PEM, for clients that do not know it"),
}
WHY_NOT = {
    Obstacle.NO_KEY: gettext_lazy("Needs the private key, which was not made here."),
    Obstacle.NO_ROOT: gettext_lazy("Which root this certificate goes back to is not known here. Its issuer offers it."),
}


@dataclass(frozen=True, slots=True)
class Offer:
    """One package as the panel shows it."""

    package: Package
    holds: Any
    why_not: Any
    command: str  # how it is made where the key is

    @property
    def is_keystore(self) -> bool:
        return self.package in KEYSTORES


@require_safe
def download(request: SignedInRequest, instance_id: str) -> HttpResponse:
    """The packages there are, and why one cannot be had."""
    certificate, at = owned(request, instance_id), timezone.now()
    try:
        require_downloadable(certificate, at=at)
    except CertificatesError as error:
        return _refuse(request, certificate, error, at)
    return _show_offers(request, certificate, at)


@sensitive_post_parameters("sealed")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def download_package(request: SignedInRequest, instance_id: str, package: str) -> HttpResponse:
    """A POST gives the package's file. For a keystore the first one shows its password, and a second, from there,
    gives the file: the password is made for this one download, stands in no file and is stored nowhere."""
    if package not in Package.values:
        raise Http404
    certificate, at = owned(request, instance_id), timezone.now()
    if request.method != "POST":  # whoever had to sign in first comes back this way
        return to_panel("download", instance_id)
    try:
        return _give(request, certificate, Package(package), at)
    except NotYourCertificate as error:
        raise Http404 from error
    except PackageUnavailable:
        return _show_offers(request, certificate, at, status=CONFLICT)
    except CertificatesError as error:
        return _refuse(request, certificate, error, at)


@sensitive_variables("password")
def _give(request: SignedInRequest, certificate: Certificate, package: Package, at: datetime) -> HttpResponse:
    password = _opened(request.POST.get("sealed", ""), certificate, package) if package in KEYSTORES else ""
    if password is None:
        return _show_password(request, certificate, package, at)
    return _as_file(build_package(certificate.pk, package, password=password, by=request.user, at=at))


def _as_file(made: Download) -> HttpResponse:
    disposition = {"Content-Disposition": f'attachment; filename="{made.name}"'}
    return HttpResponse(made.content, content_type=made.content_type, headers=disposition)


# --- Passwords ---------------------------------------------------------------------------------


@sensitive_variables("password")
def _show_password(request: SignedInRequest, certificate: Certificate, package: Package, at: datetime) -> HttpResponse:
    require_downloadable(certificate, at=at)
    if obstacle := offered(certificate)[package]:
        raise PackageUnavailable(obstacle)
    password = new_password()
    context = {
        **subject(certificate, at),
        "package": package,
        "password": password,
        "sealed": signing.dumps([certificate.instance_id, package, password], salt=_SALT),
        "minutes": PASSWORD_LASTS // 60,
        "is_late": "sealed" in request.POST,
    }
    return show_panel(request, "certificates/download_password.html", _("Download"), context)


@sensitive_variables()
def _opened(sealed: str, certificate: Certificate, package: Package) -> str | None:
    """The password that this console made for this download; None where it was not, or too long ago."""
    try:
        instance_id, named, password = signing.loads(sealed, salt=_SALT, max_age=PASSWORD_LASTS)
    except signing.BadSignature:
        return None
    return password if (instance_id, named) == (certificate.instance_id, package) else None


# --- What is shown instead ---------------------------------------------------------------------


def _show_offers(
    request: SignedInRequest, certificate: Certificate, at: datetime, *, status: int = 200
) -> HttpResponse:
    obstacles, stem = offered(certificate), stem_for(certificate)
    offers = [_offer(package, obstacle, stem) for package, obstacle in obstacles.items()]
    context = {
        **subject(certificate, at),
        "offers": offers,
        "has_key": Obstacle.NO_KEY not in obstacles.values(),
        "is_refused": status == CONFLICT,
    }
    return show_panel(request, "certificates/download.html", _("Download"), context, status=status)


def _offer(package: Package, obstacle: Obstacle | None, stem: str) -> Offer:
    command = own_keystore_command(package, stem, KEYSTORES[package]) if obstacle == Obstacle.NO_KEY else ""
    return Offer(package, HOLDS[package], WHY_NOT[obstacle] if obstacle else "", command)


def _refuse(request: SignedInRequest, certificate: Certificate, error: CertificatesError, at: datetime) -> HttpResponse:
    if not isinstance(error, NothingToDownload | KeyUnreadable):
        return show_refusal(request, certificate, error, _("Download"), at)
    context = {**subject(certificate, at), "title": _("Download"), "why": _why(certificate, error)}
    return show_panel(request, "certificates/refused.html", _("Download"), context, status=CONFLICT)


def _why(certificate: Certificate, error: CertificatesError) -> str:
    if isinstance(error, KeyUnreadable):
        return _(
            "The private key that was made here cannot be opened at the moment, and nothing was downloaded. Try again "
            "later; if it stays so, tell our staff, and name the instance ID."
        )
    if certificate.source == Source.UPLOADED:
        return _(
            "This certificate was bought elsewhere and is kept here for its dates. Its files are where you bought it."
        )
    return _("Only the dates of this certificate are recorded here, not the certificate itself. Its issuer has it.")
