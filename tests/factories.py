"""Makes what the tests stand on. Moments are relative to NOON; amounts are minor units of CNY unless said otherwise."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import factory
from django.conf import settings
from django.contrib.auth.models import Permission
from factory.django import DjangoModelFactory

from certificates.models import Certificate, Domain, Order, OrderPayment, Product, Share
from certificates.states import CertificateState, DomainType, Level
from certificates.x509 import Handover
from core import jobs
from core.models import Job, User
from payments.models import Payment
from payments.money import share_out
from refunds.models import RefundRequest
from refunds.pages.request_form import new_form
from refunds.rules.facts import facts_of
from refunds.rules.situation import situation_of
from refunds.services import request_refund, review_token
from refunds.services.agreed import summarise
from refunds.states import Reason

NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)  # noon in the service's zone, a Monday

_numbers = count(1)


class UserFactory(DjangoModelFactory):
    class Meta:
        model = User
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"account-{n}")
    email = factory.LazyAttribute(lambda user: f"{user.username}@example.com")
    password = factory.django.Password("refund-demo")


class ProductFactory(DjangoModelFactory):
    class Meta:
        model = Product
        django_get_or_create = ("brand", "level", "domain_type", "free")

    brand = "DigiCert"
    level = Level.DV
    domain_type = DomainType.SINGLE
    free = False


def staff(name: str, *permissions: str, **fields: Any) -> User:
    """A member of staff with these permissions, each `app.codename`."""
    user = UserFactory(username=name, is_staff=True, **fields)
    for permission in permissions:
        app, codename = permission.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return user


def reviewer(name: str = "reviewer") -> User:
    return staff(
        name,
        "refunds.review_refund",
        "refunds.view_refundrequest",
        "certificates.record_authority_answer",
        "certificates.view_certificate",
    )


def cashier(name: str = "cashier") -> User:
    return staff(
        name, "payments.record_payout", "payments.send_payout", "payments.view_payout", "refunds.view_refundrequest"
    )


def clerk(name: str = "clerk") -> User:
    """Staff who may only look."""
    return staff(name, "refunds.view_refundrequest", "payments.view_payout", "certificates.view_certificate")


def order(account: User, payments: dict[str, int], *, at: datetime, voucher: int = 0, currency: str = "CNY") -> Order:
    """An order paid by these amounts per channel; it has no certificates yet."""
    paid = sum(payments.values())
    made = Order.objects.create(
        number=f"order-{next(_numbers)}",
        account=account,
        paid_at=at,
        currency=currency,
        list_amount=paid + voucher,
        voucher_amount=voucher,
        paid_amount=paid,
        policy=settings.REFUND_POLICY,
    )
    for channel, amount in payments.items():
        payment = Payment.objects.create(
            account=account,
            channel=channel,
            amount=amount,
            currency=currency,
            reference=f"{channel}-{next(_numbers)}",
            paid_at=at,
        )
        OrderPayment.objects.create(order=made, payment=payment)
    return made


def certificate(
    account: User,
    *,
    bought: timedelta = timedelta(days=1),
    payments: dict[str, int] | None = None,
    voucher: int = 0,
    at: datetime = NOON,
    domains: tuple[str, ...] = ("shop.example.com",),
    product: Product | None = None,
    currency: str = "CNY",
    **fields: Any,
) -> Certificate:
    """One certificate on an order of its own, bought so long before `at`."""
    purchased_at = at - bought
    made = order(
        account,
        {"balance": 120_000} if payments is None else payments,
        at=purchased_at,
        voucher=voucher,
        currency=currency,
    )
    stored = Certificate.objects.create(
        account=account,
        order=made,
        product=product or ProductFactory(),
        name=domains[0],
        currency=currency,
        paid_part=made.paid_amount,
        voucher_part=voucher,
        purchased_at=purchased_at,
        service_ends_at=fields.pop("service_ends_at", purchased_at + timedelta(days=365)),
        **fields,
    )
    _share(stored)
    for position, name in enumerate(domains, 1):
        Domain.objects.create(certificate=stored, position=position, name=name)
    return Certificate.objects.get(pk=stored.pk)


def _share(stored: Certificate) -> None:
    payments = [link.payment for link in stored.order.order_payments.select_related("payment").order_by("payment_id")]
    if payments:
        [amounts] = share_out([stored.paid_part], [payment.amount for payment in payments])
        for payment, amount in zip(payments, amounts, strict=True):
            Share.objects.create(certificate=stored, payment=payment, amount=amount)


def bought_together(
    account: User, parts: list[int], payments: dict[str, int], *, bought: timedelta = timedelta(days=1), **fields: Any
) -> list[Certificate]:
    """Certificates of one order, each with its paid part; the payments sum to the parts."""
    purchased_at = NOON - bought
    made = order(account, payments, at=purchased_at)
    stored = [
        Certificate.objects.create(
            account=account,
            order=made,
            position=position,
            product=ProductFactory(),
            name=f"shop-{position}.example.com",
            currency=made.currency,
            paid_part=part,
            purchased_at=purchased_at,
            service_ends_at=purchased_at + timedelta(days=365),
            **fields,
        )
        for position, part in enumerate(parts, 1)
    ]
    links = made.order_payments.order_by("payment_id")
    table = share_out(parts, [link.payment.amount for link in links])
    for certificate_, amounts in zip(stored, table, strict=True):
        for link, amount in zip(links, amounts, strict=True):
            Share.objects.create(certificate=certificate_, payment=link.payment, amount=amount)
    return stored


def issued(account: User, *, ago: timedelta = timedelta(days=3), at: datetime = NOON, **fields: Any) -> Certificate:
    """A certificate issued so long before `at`; further events as fields."""
    issued_at = at - ago
    return certificate(
        account,
        at=at,
        **{
            "bought": ago + timedelta(days=1),
            "state": CertificateState.ISSUED,
            "submitted_at": issued_at - timedelta(hours=2),
            "validated_at": issued_at - timedelta(hours=1),
            "issued_at": issued_at,
            "not_before": issued_at - timedelta(hours=1),
            "not_after": issued_at + timedelta(days=365),
            "serial": "1a2b",
            **fields,
        },
    )


def revoked(account: User, *, at: datetime = NOON, **fields: Any) -> Certificate:
    """A certificate issued five and revoked two days before `at`."""
    return issued(
        account,
        ago=timedelta(days=5),
        at=at,
        **{
            "state": CertificateState.REVOKED,
            "revocation_requested_at": at - timedelta(days=3),
            "revoked_at": at - timedelta(days=2),
            **fields,
        },
    )


def submit(wanted: Certificate, *, at: datetime = NOON, reason: str = Reason.NO_NEED, text: str = "") -> RefundRequest:
    """Request a refund as the panel does: shown now, submitted at once."""
    current = Certificate.objects.get(pk=wanted.pk)
    form = new_form(current, summarise(situation_of(current, at)))
    return request_refund(
        current.pk,
        agreed=form.summary,
        form_key=form.key,
        reason=reason,
        reason_text=text,
        by=current.account,
        at=at,
    )


def seen(request: RefundRequest) -> str:
    """The token of a reviewer's page opened now."""
    current = RefundRequest.objects.get(pk=request.pk)
    return review_token(current, facts_of(Certificate.objects.get(pk=current.certificate_id)))


def handover(*, at: datetime = NOON, serial: str = "1a2b") -> Handover:
    """What an authority hands over at `at`, valid for a year."""
    return Handover(
        not_before=at - timedelta(hours=1),
        not_after=at + timedelta(days=365),
        serial=serial,
        fingerprint="00" * 32,
        names=("shop.example.com",),
        scts=(),
        pem="",
    )


def pay_out(*, at: datetime = NOON) -> int:
    """Let the worker pay what is due, nothing else; say how many payouts. A job that fails fails the test."""
    count = 0
    for job in Job.objects.filter(kind="pay_payout", state=Job.State.QUEUED).order_by("id"):
        jobs.run(_claimed(job), at=at)
        job.refresh_from_db()
        assert job.state == Job.State.DONE, job.last_error
        count += 1
    return count


def _claimed(job: Job) -> Job:
    job.lease = "worker:test"
    job.save()
    return job
