"""Where payment channels tell what became of refunds: for programs, without sign-in. What is told is checked later."""

import logging

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from payments.channels import Forged, connected
from payments.services import receive_notification
from payments.states import Channel

logger = logging.getLogger(__name__)

# Octets; the largest events have a few thousand.
LARGEST_NOTIFICATION = 256 * 1024
REFUSED, TOO_LARGE = 400, 413


@csrf_exempt
@login_not_required
@require_POST
def stripe(request: HttpRequest) -> HttpResponse:
    if not settings.STRIPE_WEBHOOK_SECRET:
        raise Http404
    return _receive(request, Channel.CARD, thanks="")


@csrf_exempt
@login_not_required
@require_POST
def alipay(request: HttpRequest) -> HttpResponse:
    """Alipay sends everything again that is not answered by this very word."""
    return _receive(request, Channel.ALIPAY, thanks="success")


def _receive(request: HttpRequest, channel: str, *, thanks: str) -> HttpResponse:
    if connected(channel) is None:
        raise Http404
    # Not `request.body`, which would first take in whatever comes.
    body = request.read(LARGEST_NOTIFICATION + 1)
    if len(body) > LARGEST_NOTIFICATION:
        return _answer("", TOO_LARGE)
    try:
        receive_notification(channel, body, request.headers, at=timezone.now())
    except Forged as reason:
        # Whoever sends such a thing learns nothing from the answer.
        logger.warning("a notification to %s was refused: %s", channel, reason)
        return _answer("", REFUSED)
    return _answer(thanks)


def _answer(words: str, status: int = 200) -> HttpResponse:
    return HttpResponse(words, "text/plain", status, headers={"Cache-Control": "no-store"})
