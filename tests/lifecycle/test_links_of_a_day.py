"""Nobody fills a contact's mailbox by asking for a revocation and withdrawing it in turn."""

from datetime import timedelta

import pytest

from certificates.exceptions import TooManyLinks
from certificates.services.revocations import MOST_LINKS, withdraw_revocation
from core.models import Notice, User
from tests.conftest import signed_in
from tests.factories import NOON
from tests.lifecycle.revoking import ov, panel_of, requested

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("frozen")]


def test_a_contact_gets_so_many_links_a_day_whatever_is_asked_and_withdrawn(customer: User) -> None:
    certificate = ov(customer)
    for _ in range(MOST_LINKS):
        requested(certificate)
        withdraw_revocation(certificate.pk, by=customer, at=NOON)
    with pytest.raises(TooManyLinks):
        requested(certificate)
    answer = signed_in(customer).post(
        panel_of(certificate, "revoke"), {"reason": "superseded", "domain": certificate.name}
    )
    assert answer.status_code == 409
    assert "Try again tomorrow" in answer.content.decode()
    assert Notice.objects.filter(template="revocation_link").count() == MOST_LINKS
    assert requested(certificate, at=NOON + timedelta(days=1, seconds=1)).links_sent == 1
