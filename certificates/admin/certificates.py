"""The list of certificates and a certificate's page."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from certificates.admin.acts import RecordClosed, RecordIssued
from certificates.admin.marks import certificate_chip
from certificates.models import Certificate, SearchTerm
from certificates.services import may_record_answer
from certificates.states import ShownState, shown_as
from core.desk.lists import ListFilter, accounts_named
from core.desk.marks import EMPTY, Fact, facts, money_mark, mono, page_link, time_mark
from core.desk.pages import Desk
from core.models import User


class StateFilter(ListFilter):
    """The states as people read them, and what waits for an authority's answer."""

    title = _("state")
    parameter_name = "state"
    closing = "closing"

    def known(self) -> list[tuple[str, Any]]:
        return [(self.closing, _("Waiting for the authority")), *ShownState.choices]

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        if value == self.closing:
            return queryset.filter(closing_since__isnull=False)
        return queryset.filter(shown_as(value, timezone.now()))


class CertificateAdmin(Desk):
    page_template = "admin/certificates/certificate/page.html"
    page_select_related = ("account", "order", "product")
    acts = (RecordClosed, RecordIssued)
    act_words = {
        "application_closed": _("The authority closed the application"),
        "issued": _("The authority issued it"),
    }

    list_display = ("label", "who", "kind", "state_chip", "purchased", "expires", "held")
    list_filter = (StateFilter,)
    list_read_along = ("account", "product")
    ordering = ("-id",)
    search_help_text = _("An instance ID, a user name, or the beginning of a domain.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Certificate]:
        return super().get_queryset(request).defer("pem")

    def search(self, queryset: QuerySet[Any], needle: str) -> QuerySet[Any]:
        if needle.lower().startswith("cas-"):
            return queryset.filter(instance_id=needle.lower())
        named = SearchTerm.objects.filter(text__begins_with=needle.lower()).values("certificate_id")
        return queryset.filter(Q(account__in=accounts_named(needle)) | Q(pk__in=named))

    @admin.display(description=_("certificate"))
    def label(self, certificate: Certificate) -> Any:
        return format_html('{}<div class="mono muted">{}</div>', certificate.name, certificate.instance_id)

    @admin.display(description=_("account"))
    def who(self, certificate: Certificate) -> str:
        return str(certificate.account)

    @admin.display(description=_("type"))
    def kind(self, certificate: Certificate) -> str:
        return str(certificate.product or certificate.get_source_display())

    @admin.display(description=_("state"))
    def state_chip(self, certificate: Certificate) -> Any:
        chip = certificate_chip(certificate, timezone.now())
        if certificate.closing_since is None:
            return chip
        return format_html('{}<div class="tone--near">{}</div>', chip, gettext("being closed"))

    @admin.display(description=_("purchased"))
    def purchased(self, certificate: Certificate) -> Any:
        return time_mark(certificate.purchased_at)

    @admin.display(description=_("expires"))
    def expires(self, certificate: Certificate) -> Any:
        return time_mark(certificate.expires_at)

    @admin.display(description=_("held for"))
    def held(self, certificate: Certificate) -> Any:
        return mono(certificate.hold)

    def waiting(self) -> Any:
        awaited = Certificate.objects.filter(closing_since__isnull=False)
        return _("Answers awaited of authorities"), awaited, f"?state={StateFilter.closing}"

    # --- A certificate's page ----------------------------------------------------------------------

    def page(self, thing: Certificate, *, by: User, at: datetime) -> dict[str, Any]:
        return {
            "title": thing.name,
            "chip": certificate_chip(thing, at),
            "facts": _facts(thing, by),
            "dates": _dates(thing, by),
            "x509": facts(thing, by, "serial", "fingerprint", "not_before", "not_after"),
            "money": _money(thing),
            "shares": [
                (share.payment, page_link(share.payment, by), money_mark(share.amount, thing.currency))
                for share in thing.shares.select_related("payment")
            ],
            "why_not": _why_not(thing, by),
        }


def _facts(certificate: Certificate, by: User) -> list[Fact]:
    domains = ", ".join(domain.name for domain in certificate.domains.all())
    return [
        Fact(gettext("Instance ID"), mono(certificate.instance_id)),
        *facts(certificate, by, "account"),
        Fact(gettext("Domains"), domains or EMPTY),
        *facts(certificate, by, "product", "source", "order"),
        *(facts(certificate, by, "failure_cause") if certificate.failure_cause else []),
        *(facts(certificate, by, "deleted_at") if certificate.deleted_at else []),
    ]


def _dates(certificate: Certificate, by: User) -> list[Fact]:
    names = ("purchased_at", "submitted_at", "validated_at", "issued_at", "revocation_requested_at", "revoked_at")
    return [*facts(certificate, by, *names), *facts(certificate, by, "service_ends_at", "expires_at")]


def _money(certificate: Certificate) -> list[Fact]:
    return [
        Fact(gettext("Paid part"), money_mark(certificate.paid_part, certificate.currency)),
        Fact(gettext("Voucher part (not refunded)"), money_mark(certificate.voucher_part, certificate.currency)),
    ]


def _why_not(certificate: Certificate, by: User) -> str:
    """Why this person cannot record the answer that is awaited."""
    if certificate.closing_since is None or not may_record_answer(by):
        return ""
    own = gettext("This certificate is for your own account: somebody else records the authority's answer.")
    return own if by.pk == certificate.account_id else ""
