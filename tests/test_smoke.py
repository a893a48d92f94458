import pytest
from core.models import User
from payments.models import LedgerEntry, Payout
from core import jobs
from certificates.models import Certificate
from tests import factories
from tests.factories import NOON


def test_immediate(customer: User):
    c = factories.certificate(customer)
    r = factories.submit(c)
    assert r.state == "approved"
    from django.utils import timezone
    print(jobs.run_due("w", clock=lambda: NOON))
    r = type(r).objects.get(pk=r.pk)
    assert r.state == "refunded"
    assert Certificate.objects.get().state == "refunded"
    assert LedgerEntry.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_tx():
    c = factories.certificate(factories.UserFactory())
    factories.submit(c)
