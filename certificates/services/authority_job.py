"""The job that carries one enrollment on: it asks the authority for the step that's due, outside any transaction.

What it returns stores the answer under the certificate's lock, unless another step has become due meanwhile.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from django.db import InterfaceError, OperationalError

from certificates.authority import authority_of
from certificates.authority.base import AuthorityUnavailable, Enrolled, Issued
from certificates.csr import key_fingerprint_of
from certificates.models import Application, Enrollment, Revocation
from certificates.services.authority_answers import Answer, store_answer, store_nothing_due, store_trouble
from certificates.services.enrolling import CLOSE, HAND_IN, MAKE_READY, POLL, REVOKE, step_due
from certificates.states import RevocationReason
from certificates.x509 import UnreadableCertificate, read_certificate

logger = logging.getLogger(__name__)


def advance_enrollment(payload: dict[str, Any], *, at: datetime) -> Callable[[], None] | None:
    """Job handler: the one step that is due for an enrollment; returns what stores the authority's answer."""
    enrollment = Enrollment.objects.select_related("certificate__product").get(pk=payload["enrollment"])
    if enrollment.step != payload["step"]:
        return None
    step = step_due(enrollment, enrollment.certificate, at)
    if step is None:
        return partial(store_nothing_due, enrollment.pk, enrollment.step, at=at)
    try:
        answer = _ask(step, enrollment, at=at)
    except AuthorityUnavailable as trouble:
        logger.warning("authority %s: %s of %s: %s", enrollment.authority, step, enrollment, trouble)
        return partial(store_trouble, enrollment.pk, enrollment.step, str(trouble), at=at)
    except (InterfaceError, OperationalError):  # the database is away: nothing can be stored either
        raise
    except Exception as fault:
        # A fault of ours or of the authority: what waits for it waits on, and its page says so.
        logger.exception("authority %s: %s of %s failed", enrollment.authority, step, enrollment)
        words = f"{step}: {type(fault).__name__}"
        return partial(store_trouble, enrollment.pk, enrollment.step, words, at=at)
    return partial(store_answer, enrollment.pk, enrollment.step, answer, at=at)


def _ask(step: str, enrollment: Enrollment, *, at: datetime) -> Answer:
    authority, order = authority_of(enrollment.authority), enrolled(enrollment)
    if step == REVOKE:
        return authority.revoke(order, enrollment.pem, _reason_of(enrollment), at=at)
    ask = {HAND_IN: authority.hand_in, MAKE_READY: authority.make_ready, POLL: authority.poll, CLOSE: authority.close}
    answer: Answer = ask[step](order, at=at)
    if isinstance(answer, Issued):
        _require_own(answer, order)
    return answer


def _require_own(answer: Issued, order: Enrolled) -> None:
    """Raises AuthorityUnavailable unless the certificate can be read and is for the request's key, octet for octet."""
    try:
        issued = read_certificate(answer.pem).key_fingerprint
    except UnreadableCertificate as error:
        raise AuthorityUnavailable(f"The certificate that was issued {error}.") from error
    if issued != key_fingerprint_of(order.csr):
        raise AuthorityUnavailable("The certificate that was issued is for another key than the request's.")


def enrolled(enrollment: Enrollment) -> Enrolled:
    """An enrollment as its authority is told of it. It comes with its certificate and product."""
    application = Application.objects.filter(pk=enrollment.certificate_id).first()
    product = enrollment.certificate.product
    named = application if application and product and product.is_checked_by_staff else None
    return Enrolled(
        reference=enrollment.reference,
        names=tuple(enrollment.names),
        verification=enrollment.verification,
        csr=enrollment.csr,
        organisation=named.company_name if named else "",
        country=named.company_country if named else "",
        locality=named.company_city if named else "",
        until=enrollment.certificate.service_ends_at,
        data=enrollment.data,
    )


def _reason_of(enrollment: Enrollment) -> str:
    newest = Revocation.objects.filter(certificate=enrollment.certificate_id).order_by("-id").first()
    return newest.reason if newest else RevocationReason.CESSATION
