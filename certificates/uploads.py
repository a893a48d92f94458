"""Certificates bought elsewhere, kept here for their dates."""

from datetime import datetime

from django.db import transaction

from certificates.models import Certificate, Domain, SearchTerm, new_instance_id
from certificates.states import CertificateState, Source
from certificates.storing import search_terms
from certificates.x509 import Handover
from core.models import User

# Nothing was paid for it here; a currency stands on every certificate.
CURRENCY = "CNY"


@transaction.atomic
def store_upload(account: User, handover: Handover, *, at: datetime) -> Certificate:
    """Keep a certificate that an account brings along. It counts as issued when it came, not before."""
    certificate = Certificate.objects.create(
        instance_id=new_instance_id(),
        account=account,
        source=Source.UPLOADED,
        state=CertificateState.ISSUED,
        name=handover.names[0],
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
        Domain(certificate=certificate, position=position, name=name) for position, name in enumerate(handover.names, 1)
    )
    SearchTerm.objects.bulk_create(
        SearchTerm(certificate=certificate, account=account, text=text) for text in search_terms(handover.names)
    )
    return certificate
