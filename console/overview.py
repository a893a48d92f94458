"""What the Overview shows: filters, a page of certificates with what each offers, and the numbers on the cards.

Read-only, in a fixed number of queries whatever the number of certificates.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any
from urllib.parse import urlencode

from django.db.models import BigIntegerField, DateTimeField, Max, Q, QuerySet, Subquery
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from certificates.actions import await_proof, renewed_among
from certificates.models import Certificate, Domain
from certificates.states import APPLICATION_RUNNING, ShownState, shown_as
from console.rows import Newest, Row, row_of
from core.models import User
from core.prepared import Late, Prepared
from core.text import read_search
from refunds.models import RefundRequest
from refunds.pages.payments_back import came_back_among

PAGE_SIZE = 20
# Seconds; a digest of what is shown makes most answers empty.
IDLE_POLL = 60
COUNT_LIMIT = 999
LONGEST_SEARCH = 253

UNDER_REFUND = "under_refund"
VALIDATING = "validating"

# Filters that stand for more than one state.
GROUPS = {VALIDATING: _("Validating"), UNDER_REFUND: _("Under refund")}
CARDS = {
    "": _("All certificates"),
    ShownState.PENDING_APPLICATION: _("Pending application"),
    VALIDATING: _("Validating"),
    ShownState.ISSUED: _("Issued"),
    ShownState.PENDING_EXPIRATION: _("Pending expiration"),
    ShownState.EXPIRED: _("Expired"),
    UNDER_REFUND: _("Under refund"),
}
STATUSES = {"": _("All statuses"), **dict(ShownState.choices), **GROUPS}


def status_options(chosen: str) -> SafeString:
    """The options of the status list."""
    return _status_options(chosen, get_language() or "")


@lru_cache
def _status_options(chosen: str, language: str) -> SafeString:
    marks = {chosen: " selected"}
    options = ((value, mark_safe(marks.get(value, "")), label) for value, label in STATUSES.items())  # noqa: S308
    return format_html_join("", '<option value="{}"{}>{}</option>', options)


def condition(status: str, at: Any) -> Q:
    """The certificates that a status stands for at `at`."""
    if status == "":
        return Q()
    if status == UNDER_REFUND:
        return ~Q(hold="")
    if status == VALIDATING:
        return Q(state__in=sorted(APPLICATION_RUNNING), expires_at__gt=at)
    return shown_as(status, at)


# --- Filters, search and page, as the address carries them -----------------------------------------


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the list, newest purchase first; the page lies after it, or before it."""

    listed_at: datetime
    id: int
    is_before: bool = False

    def __str__(self) -> str:
        return f"{int(self.listed_at.timestamp() * 1_000_000)}-{self.id}"


@dataclass(frozen=True, slots=True)
class Filters:
    status: str = ""
    search: str = ""
    cursor: Cursor | None = None

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "Filters":
        """From an address. What is not known falls back to everything."""
        status = query.get("status", "")
        return cls(
            status=status if status in STATUSES else "",
            search=read_search(query.get("q", ""), limit=LONGEST_SEARCH),
            cursor=_read_cursor(query.get("after", "")) or _read_cursor(query.get("before", ""), is_before=True),
        )

    @property
    def is_narrowed(self) -> bool:
        return bool(self.status or self.search)

    def address(self, **more: object) -> str:
        """The address of these filters, without the cursor, with what is added."""
        query = {"status": self.status, "q": self.search, **more}
        text = urlencode({name: value for name, value in query.items() if value})
        return f"?{text}" if text else "?"

    def here(self, **more: object) -> str:
        """The same with the cursor."""
        if self.cursor is None:
            return self.address(**more)
        return self.address(**{"before" if self.cursor.is_before else "after": self.cursor}, **more)


def _read_cursor(text: str, *, is_before: bool = False) -> Cursor | None:
    micros, _dash, number = text.partition("-")
    if not (micros.isascii() and micros.isdecimal() and number.isascii() and number.isdecimal()):
        return None
    if len(micros) > 17 or len(number) > 18:
        return None
    try:
        listed_at = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(micros))
    except OverflowError:
        return None
    return Cursor(listed_at, int(number), is_before)


# --- A page of certificates --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[Row]
    filters: Filters
    newer: Cursor | None
    older: Cursor | None

    @property
    def newer_address(self) -> str:
        return self.filters.address(before=self.newer)

    @property
    def older_address(self) -> str:
        return self.filters.address(after=self.older)

    @property
    def poll_seconds(self) -> int:
        """How soon the list asks again: of itself, time and authorities may change what nobody here has touched."""
        if any(row.is_moving for row in self.rows):
            return 2
        return 15 if any(row.is_in_motion for row in self.rows) else IDLE_POLL


def page_of(account: User, filters: Filters, at: datetime) -> Page:
    """A page of the account's certificates, each with what it offers at `at`."""
    certificates, newer, older = _slice(account, filters, at)
    if not certificates and filters.cursor:  # a place behind the list's end
        return page_of(account, replace(filters, cursor=None), at)
    ids = [certificate.pk for certificate in certificates]
    domains, requests = _domains_of(ids), _newest_requests_of(ids)
    unproven, renewed = await_proof(certificates), renewed_among(certificates, at)
    came_back = came_back_among(requests.values())
    rows = [
        row_of(
            each,
            domains.get(each.pk, []),
            requests.get(each.pk),
            at,
            awaits_proof=each.pk in unproven,
            is_renewed=each.pk in renewed,
            came_back=came_back.get(requests.get(each.pk, ("", ""))[1], ""),
        )
        for each in certificates
    ]
    return Page(rows, filters, newer, older)


def _slice(account: User, filters: Filters, at: datetime) -> tuple[list[Certificate], Cursor | None, Cursor | None]:
    found = (
        Certificate.objects.owned_by(account).matching(account, filters.search).filter(condition(filters.status, at))
    )
    found = found.select_related("order", "product").defer("pem")
    cursor = filters.cursor
    is_before = cursor is not None and cursor.is_before
    certificates = list(_from(found, cursor)[: PAGE_SIZE + 1])
    has_more = len(certificates) > PAGE_SIZE
    certificates = certificates[:PAGE_SIZE]
    if is_before:
        certificates.reverse()
    if not certificates:
        return [], None, None
    first, last = _at(certificates[0], is_before=True), _at(certificates[-1])
    return certificates, first if (has_more if is_before else cursor) else None, last if is_before or has_more else None


def _from(found: QuerySet[Certificate], cursor: Cursor | None) -> QuerySet[Certificate]:
    if cursor is None:
        return found.order_by("-listed_at", "-id")
    # The first condition lets the index be entered at the place, the second decides within one moment.
    if cursor.is_before:
        found = found.filter(listed_at__gte=cursor.listed_at)
        return found.exclude(listed_at=cursor.listed_at, id__lte=cursor.id).order_by("listed_at", "id")
    found = found.filter(listed_at__lte=cursor.listed_at)
    return found.exclude(listed_at=cursor.listed_at, id__gte=cursor.id).order_by("-listed_at", "-id")


def _at(certificate: Certificate, *, is_before: bool = False) -> Cursor:
    return Cursor(certificate.listed_at, certificate.pk, is_before)


def _domains_of(ids: list[int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    domains = Domain.objects.filter(certificate_id__in=ids).order_by("certificate_id", "position")
    for certificate_id, name in domains.values_list("certificate_id", "name"):
        found.setdefault(certificate_id, []).append(name)
    return found


def _newest_requests_of(ids: list[int]) -> dict[int, Newest]:
    of_these = RefundRequest.objects.filter(certificate_id__in=ids)
    newest = of_these.order_by().values("certificate_id").annotate(newest=Max("id")).values("newest")
    requests = RefundRequest.objects.filter(pk__in=newest).values_list("certificate_id", "state", "reference")
    return {pk: Newest(state, reference) for pk, state, reference in requests}


# --- Cards -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Card:
    status: str
    label: str
    number: str
    is_chosen: bool

    @property
    def asks(self) -> bool:
        """Whether it asks for the customer's act."""
        return self.status == ShownState.PENDING_EXPIRATION and self.number != "0"

    @property
    def address(self) -> str:
        return Filters(status=self.status).address()


class CappedCount(Subquery):
    """How many rows, counted up to one more than is shown: a count of everything grows with the table."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) AS capped)"

    def __init__(self, queryset: QuerySet[Any], limit: int) -> None:
        super().__init__(queryset.order_by().values("pk")[: limit + 1])


def counts_of(account: User, at: datetime) -> dict[str, int]:
    """How many certificates stand behind each card, each at most COUNT_LIMIT + 1, in one query."""
    [counts] = _counting(COUNT_LIMIT).ask(account=account.pk, at=at)
    return dict(zip(CARDS, counts, strict=True))


@cache
def _counting(limit: int) -> Prepared:
    account, at = Late("account", BigIntegerField()), Late("at", DateTimeField())
    owned = Certificate.objects.owned_by(account)
    counts = [CappedCount(owned.filter(condition(status, at)), limit) for status in CARDS]
    return Prepared(User.objects.filter(pk=account).values_list(*counts))


def cards_of(counts: Mapping[str, int], filters: Filters) -> list[Card]:
    return [
        Card(status, str(label), shown_count(counts[status]), filters.status == status)
        for status, label in CARDS.items()
    ]


def shown_count(number: int) -> str:
    return f"{COUNT_LIMIT}+" if number > COUNT_LIMIT else str(number)


def version_of(rows: Iterable[Row], counts: Mapping[str, int]) -> str:
    """A digest of what the list and the cards show; a poll that carries it gets nothing while it is the same."""
    shown = repr((list(rows), sorted(counts.items())))
    return hashlib.sha256(shown.encode()).hexdigest()[:16]
