"""The list of certificates and a certificate's page."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from certificates.admin.acts import ApproveApplication, RecordClosed, RecordIssued, RecordRevoked, RefuseApplication
from certificates.admin.marks import application_facts, certificate_chip
from certificates.models import Certificate, Enrollment, Revocation, SearchTerm
from certificates.services import may_record_answer
from certificates.states import RUNNING, CertificateState, Level, RevocationState, ShownState, shown_as
from core.desk.lists import ListFilter, Waiting, accounts_named
from core.desk.marks import EMPTY, Fact, facts, money_mark, mono, page_link, time_mark
from core.desk.pages import Desk
from core.models import User

# Proven and complete: staff can decide about these now.
TO_VALIDATE = Q(
    state=CertificateState.VALIDATING_APPLICATION,
    product__level__in=[Level.OV, Level.EV],
    validated_at=None,
    proven_at__isnull=False,
    closing_since=None,
    hold="",
    enrollments__state__in=sorted(RUNNING),
)


# An authority that the console does not speak with itself is to answer: staff record what it says.
_NOT_ASKED = ~Exists(Enrollment.objects.filter(certificate=OuterRef("pk"), state__in=sorted(RUNNING | {"issued"})))
_CONFIRMED = ~Exists(Revocation.objects.filter(certificate=OuterRef("pk"), state=RevocationState.REQUESTED))
AWAITS_RECORD = (Q(closing_since__isnull=False) | Q(_CONFIRMED, state=CertificateState.REVOKING)) & Q(_NOT_ASKED)


class StateFilter(ListFilter):
    """The states as people read them, and what waits for an authority's answer."""

    title = _("state")
    parameter_name = "state"
    closing = "closing"
    to_validate = "to_validate"

    def known(self) -> list[tuple[str, Any]]:
        waiting = [(self.to_validate, _("To be validated by staff")), (self.closing, _("Waiting for the authority"))]
        return [*waiting, *ShownState.choices]

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        if value == self.closing:
            return queryset.filter(AWAITS_RECORD)
        if value == self.to_validate:
            return queryset.filter(TO_VALIDATE)
        return queryset.filter(shown_as(value, timezone.now()))


class CertificateAdmin(Desk):
    page_template = "admin/certificates/certificate/page.html"
    page_select_related = ("account", "order", "product")
    acts = (ApproveApplication, RefuseApplication, RecordClosed, RecordIssued, RecordRevoked)
    act_words = {
        "application_closed": _("The authority closed the application"),
        "issued": _("The authority issued it"),
        "reissued": _("The authority issued it anew"),
        "application_submitted": _("The application was handed in"),
        "application_cancelled": _("The application was cancelled"),
        "application_approved": _("Staff approved the application"),
        "application_refused": _("The application was refused"),
        "application_accepted": _("The authority accepted the application"),
        "domains_proven": _("The domains were proven"),
        "revocation_requested": _("Revocation requested"),
        "revocation_confirmed": _("The contact confirmed the revocation"),
        "revocation_withdrawn": _("The revocation was withdrawn"),
        "revocation_lapsed": _("The revocation was not confirmed in time"),
        "revoked": _("The authority revoked it"),
        "downloaded": _("Downloaded"),
        "deleted": _("Deleted by the customer"),
        "uploaded": _("Uploaded"),
        "renewed": _("Renewed"),
        "domains_not_proven": _("The domains were not proven in time"),
        "issued_unwanted": _("The authority issued what nobody waited for any more"),
        "reissue_ordered": _("Ordered anew at the authority"),
        "reissue_refused": _("The authority refused to issue it anew"),
        "revocation_link_sent": _("A link was sent to the contact again"),
        "revocation_noticed": _("The authority was found to have revoked it"),
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
        return format_html('{}<div class="mono muted">{}</div>', certificate.shown_name, certificate.instance_id)

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

    def waiting(self) -> list[Waiting]:
        undecided = Certificate.objects.filter(TO_VALIDATE)
        awaited = Certificate.objects.filter(AWAITS_RECORD)
        return [
            Waiting(_("Applications to validate"), undecided, f"?state={StateFilter.to_validate}"),
            Waiting(_("Answers awaited of authorities"), awaited, f"?state={StateFilter.closing}"),
        ]

    # --- A certificate's page ----------------------------------------------------------------------

    def page(self, thing: Certificate, *, by: User, at: datetime) -> dict[str, Any]:
        return {
            "title": thing.name,
            "chip": certificate_chip(thing, at),
            "facts": _facts(thing, by),
            "dates": _dates(thing, by),
            "application": application_facts(thing),
            "enrollments": list(thing.enrollments.order_by("id")),
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
    names = (
        *("purchased_at", "submitted_at", "proven_at", "validated_at", "issued_at"),
        *("revocation_requested_at", "revocation_confirmed_at", "revoked_at"),
    )
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
