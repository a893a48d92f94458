"""Upload Certificate: a certificate bought elsewhere is kept here for its dates; its key is thrown away."""

from datetime import datetime
from io import BytesIO
from typing import Any

from django.core.files.uploadedfile import InMemoryUploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from certificates.chains import load_chain, unchecked_links
from certificates.exceptions import AlreadyUploaded
from certificates.foreign import is_authority
from certificates.forms.uploading import MOST_BYTES, UploadForm
from certificates.models import Certificate
from certificates.services.uploading import store_upload
from certificates.states import Source
from certificates.views.common import UNPROCESSABLE, announced, owned, subject, to_panel
from core.requests import SignedInRequest, show_panel


class MemoryAlone(FileUploadHandler):
    """Files with keys in them never touch a disk. What goes beyond the limit is counted no further and dropped."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self.content = bytearray()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        if len(self.content) <= MOST_BYTES:
            self.content += raw_data

    def file_complete(self, file_size: int) -> InMemoryUploadedFile:
        content = BytesIO(self.content)
        return InMemoryUploadedFile(
            content, self.field_name, self.file_name or "", self.content_type, len(self.content), self.charset
        )


# The handlers must be chosen before anything reads the body, and the check against forgery reads it: so it comes after.
@csrf_exempt
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters()
def upload(request: HttpRequest) -> HttpResponse:
    """The form on GET, or with `done` the receipt for what was uploaded. A POST uploads."""
    if request.method == "POST":
        request.upload_handlers = [MemoryAlone(request)]
    return _upload(request)  # type: ignore[arg-type]


@csrf_protect
def _upload(request: SignedInRequest) -> HttpResponse:
    if request.method != "POST":
        return _show_receipt(request) if "done" in request.GET else _show_form(request, UploadForm())
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return _show_form(request, form)
    try:
        made = store_upload(request.user, form.handover, name=form.cleaned_data["name"], at=timezone.now())
    except AlreadyUploaded as error:
        form.add_error(form.came_by, _known(error.certificate))
        return _show_form(request, form)
    return to_panel("upload", done=made.instance_id)


def _show_form(request: SignedInRequest, form: UploadForm) -> HttpResponse:
    status = UNPROCESSABLE if form.errors else 200
    return show_panel(request, "certificates/upload.html", _("Upload Certificate"), {"form": form}, status=status)


def _known(certificate: Any) -> str:
    words = _("You have this certificate here already: {link}.")
    link = format_html('<a href="{}">{}</a>', reverse("details", args=[certificate.instance_id]), certificate.name)
    return format_html(words, link=link)


def _show_receipt(request: SignedInRequest) -> HttpResponse:
    certificate, at = owned(request, request.GET["done"]), timezone.now()
    if certificate.source != Source.UPLOADED:
        raise Http404
    chain = load_chain(certificate.pem)
    names = list(certificate.domains.values_list("name", flat=True))
    context = {
        **subject(certificate, at),
        "names": names,
        "above": len(chain) - 1,
        "warnings": [
            *_warnings(certificate, names, is_authority=is_authority(chain[0]), at=at),
            *map(_unchecked, unchecked_links(chain)),
        ],
    }
    return announced(request, show_panel(request, "certificates/upload_done.html", _("Upload Certificate"), context))


def _unchecked(position: int) -> str:
    told = {"position": position, "next": position + 1}
    return (
        _(
            "Whether certificate %(position)s is signed by certificate %(next)s can't be checked here. The chain is "
            "kept as you uploaded it."
        )
        % told
    )


def _warnings(certificate: Certificate, names: list[str], *, is_authority: bool, at: datetime) -> list[str]:
    """What its owner should know of a certificate that was accepted all the same."""
    assert certificate.not_before is not None  # noqa: S101 - every uploaded one has its dates
    told = {
        _("It has expired: no browser accepts it any more."): certificate.expires_at <= at,
        _("It is not valid yet: browsers accept it from its first day on."): certificate.not_before > at,
        _("It is an authority's certificate, which may issue others: no web server should use it."): is_authority,
        _("It is for no domain name, so it is found by the name you gave it alone."): not names,
    }
    return [sentence for sentence, is_so in told.items() if is_so]
