"""Certificates bought elsewhere, kept here for their dates."""

from datetime import datetime

from django.db import transaction

from certificates.exceptions import AlreadyUploaded
from certificates.models import Certificate, Domain, SearchTerm
from certificates.states import CertificateState, Source
from certificates.storing import readable, search_terms
from certificates.x509 import Handover
from core import audit
from core.models import User

# Nothing was paid for it here; a currency stands on every certificate.
CURRENCY = "CNY"


@transaction.atomic
def store_upload(account: User, handover: Handover, *, name: str, at: datetime) -> Certificate:
    """Keep a certificate that an account brings along, under a name of its own. Raises AlreadyUploaded.

    It counts as issued when it came, not before.
    """
    # Two uploads of one account wait for one another; what only points to the account does not.
    User.objects.select_for_update(no_key=True).get(pk=account.pk)
    if known := Certificate.objects.owned_by(account).filter(fingerprint=handover.fingerprint).first():
        raise AlreadyUploaded(known)
    certificate = _store(account, handover, name, at=at)
    detail = {"serial": handover.serial, "fingerprint": handover.fingerprint}
    audit.record(certificate, "uploaded", by=account, at=at, detail=detail)
    return certificate


def _store(account: User, handover: Handover, name: str, *, at: datetime) -> Certificate:
    certificate = Certificate.objects.create(
        account=account,
        source=Source.UPLOADED,
        state=CertificateState.ISSUED,
        name=name,
        currency=CURRENCY,
        purchased_at=at,
        service_ends_at=handover.not_after,
        issued_at=max(at, handover.earliest_issue),
        not_before=handover.not_before,
        not_after=handover.not_after,
        serial=handover.serial,
        fingerprint=handover.fingerprint,
        pem=handover.pem,
    )
    Domain.objects.bulk_create(
        Domain(certificate=certificate, position=position, name=each) for position, each in enumerate(handover.names, 1)
    )
    terms = search_terms([name.lower(), *handover.names, *map(readable, handover.names)])
    SearchTerm.objects.bulk_create(SearchTerm(certificate=certificate, account=account, text=text) for text in terms)
    return certificate
