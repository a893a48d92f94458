"""What the embedded authority publishes: for programs, without sign-in, kept by whoever passes it on."""

import base64
import hashlib
import logging
from collections.abc import Callable
from functools import wraps

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.cache import get_conditional_response
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from certificates.authority import publishing
from certificates.authority.base import AuthorityUnavailable

logger = logging.getLogger(__name__)

# Seconds. A revocation shows everywhere a minute later; the certificates themselves hardly ever change.
STATUS_KEPT, CERTIFICATES_KEPT = 60, 3600
OCSP_REQUEST, OCSP_RESPONSE = "application/ocsp-request", "application/ocsp-response"
PEM, CERTIFICATE, CRL = "application/pem-certificate-chain", "application/pkix-cert", "application/pkix-crl"
# Octets. A plain request has about a hundred; one may come signed, with certificates.
LARGEST_REQUEST = 16 * 1024
UNAVAILABLE, TOO_LARGE, WRONG_TYPE = 503, 413, 415

View = Callable[..., HttpResponseBase]


def for_everybody(view: View) -> View:
    @login_not_required
    @wraps(view)
    def answer(request: HttpRequest, **asked: str) -> HttpResponseBase:
        try:
            return view(request, **asked)
        except AuthorityUnavailable as trouble:
            logger.error("the console's own authority publishes nothing: %s", trouble)
            headers = {"Cache-Control": "no-store", "Retry-After": "60"}
            words = "The certificate authority cannot answer now. Try again later.\n"
            return HttpResponse(words, "text/plain", UNAVAILABLE, headers=headers)

    return answer


@for_everybody
@require_safe
def chain(request: HttpRequest) -> HttpResponseBase:
    return _published(request, publishing.chain_pem(at=timezone.now()).encode(), PEM, seconds=CERTIFICATES_KEPT)


@for_everybody
@require_safe
def root(request: HttpRequest) -> HttpResponseBase:
    return _published(request, publishing.root_pem(at=timezone.now()).encode(), PEM, seconds=CERTIFICATES_KEPT)


@for_everybody
@require_safe
def certificate(request: HttpRequest, kind: str) -> HttpResponseBase:
    der = publishing.certificate_der(kind, at=timezone.now())
    return _published(request, der, CERTIFICATE, seconds=CERTIFICATES_KEPT)


@for_everybody
@require_safe
def crl(request: HttpRequest, kind: str) -> HttpResponseBase:
    return _published(request, publishing.crl_der(kind, at=timezone.now()), CRL, seconds=STATUS_KEPT)


@for_everybody
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def ocsp(request: HttpRequest, asked: str = "") -> HttpResponseBase:
    """A request in the body, or in base64 at the end of the address (RFC 6960, A.1)."""
    if request.method != "POST":
        return _ocsp_answer(_from_address(asked))
    if request.content_type != OCSP_REQUEST:
        return HttpResponse(f"Send {OCSP_REQUEST}.\n", "text/plain", WRONG_TYPE)
    # Not `request.body`, which would first take in whatever comes.
    body = request.read(LARGEST_REQUEST + 1)
    if len(body) > LARGEST_REQUEST:
        return HttpResponse(f"Send {LARGEST_REQUEST} octets at most.\n", "text/plain", TOO_LARGE)
    return _ocsp_answer(body)


def _from_address(asked: str) -> bytes:
    """The octets of a request, or none where it is not base64. Slashes before it and lost padding do no harm."""
    text = asked.lstrip("/").rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return b""


def _ocsp_answer(request: bytes) -> HttpResponse:
    answer = publishing.answer_ocsp(request, at=timezone.now())
    kept = f"public, max-age={STATUS_KEPT}" if answer.is_for_all else "no-store"
    return HttpResponse(answer.der, OCSP_RESPONSE, headers={"Cache-Control": kept})


def _published(request: HttpRequest, body: bytes, content_type: str, *, seconds: int) -> HttpResponseBase:
    etag = f'"{hashlib.sha256(body).hexdigest()}"'
    headers = {"Cache-Control": f"public, max-age={seconds}", "ETag": etag}
    response = HttpResponse(body, content_type, headers=headers)
    return get_conditional_response(request, etag=etag, response=response) or response
