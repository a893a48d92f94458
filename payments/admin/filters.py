"""What the list of payouts is narrowed to: what waits for a person, a state, a channel, a day of the books."""

from datetime import date, timedelta
from functools import partial
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.clock import service_day
from core.desk.lists import ListFilter
from payments.models import BatchLine, Payout
from payments.states import UNDER_WAY, Channel, PayoutState
from payments.totals import Direction, back_on, paid_on

ENDED_BADLY = frozenset({PayoutState.FAILED, PayoutState.RETURNED})


# --- What waits for a person -------------------------------------------------------------------
# As `services.recording` asks of one payout; here of all. Each first names its states, which an index serves.


def _is_in_batch() -> Exists:
    return Exists(BatchLine.objects.filter(payout=OuterRef("pk")))


def _has_successor() -> Exists:
    return Exists(Payout.objects.filter(follows=OuterRef("pk")))


def with_staff() -> Q:
    """As `is_with_staff`."""
    return Q(Q(is_queued=False) | Q(handed_over_at__isnull=False), state__in=sorted(UNDER_WAY))


def to_make_good(*states: str) -> Q:
    """As `is_to_make_good`."""
    return Q(~_has_successor(), state__in=states or sorted(ENDED_BADLY), given_up_at=None)


def to_send() -> Q:
    """What is ordered and no worker has: for the bank's next file, and of channels that are not configured."""
    return Q(~_is_in_batch(), state=PayoutState.ORDERED, is_queued=False, handed_over_at=None)


def at_the_bank() -> Q:
    """In a file, and the bank has not said yet what became of it."""
    return Q(_is_in_batch(), state__in=sorted(UNDER_WAY))


def handed_over() -> Q:
    """Under way, and a person's for another reason than its channel's: the worker has tried as often as it does."""
    is_lost = Q(handed_over_at__isnull=False) | ~Q(state=PayoutState.ORDERED)
    return Q(with_staff(), is_lost, ~_is_in_batch())


def waiting_for_staff() -> Q:
    """Payouts that nobody but a person moves on."""
    return Q(with_staff() | to_make_good(), state__in=sorted(UNDER_WAY | ENDED_BADLY))


def _plainly(state: str) -> Q:
    """The payouts whose chip says this state."""
    return to_make_good(state) if state in ENDED_BADLY else Q(state=state)


class StateFilter(ListFilter):
    """Opens on what waits for a person. A day in the books is looked for in every state."""

    title = _("state")
    parameter_name = "state"
    default = "waiting"
    longest_first = frozenset({default, "to_send", "at_the_bank", "handed_over", *ENDED_BADLY})

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        super().__init__(request, *args)
        if request.GET.get(MovementFilter.parameter_name):
            self.fallback = None

    def known(self) -> list[tuple[str, Any]]:
        return [
            (self.default, _("Waiting for staff")),
            ("to_send", _("To send")),
            ("at_the_bank", _("In a bank batch")),
            ("handed_over", _("Handed to staff")),
            *PayoutState.choices,
            ("made_good", _("Returned, ordered anew")),
            ("given_up", _("Given up")),
        ]

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        conditions = {
            self.default: waiting_for_staff,
            "to_send": to_send,
            "at_the_bank": at_the_bank,
            "handed_over": handed_over,
            "made_good": lambda: Q(_has_successor(), state=PayoutState.RETURNED),
            "given_up": lambda: Q(state__in=sorted(ENDED_BADLY), given_up_at__isnull=False),
        }
        return queryset.filter(conditions.get(value, partial(_plainly, value))())


class ChannelFilter(ListFilter):
    title = _("channel")
    parameter_name = "channel"

    def known(self) -> list[tuple[str, Any]]:
        return list(Channel.choices)

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        return queryset.filter(channel=value)


class MovementFilter(ListFilter):
    """What went out, or came back, on a day of the channels' books; the totals lead here with a day and a currency."""

    title = _("in the books")
    parameter_name = "moved"
    words = {Direction.OUT: _("Paid on %(day)s"), Direction.BACK: _("Came back on %(day)s")}

    def known(self) -> list[tuple[str, Any]]:
        today = service_day(timezone.now())
        offered = [f"{direction}:{day}" for day in (today, today - timedelta(days=1)) for direction in Direction]
        chosen = self.value()
        if chosen and _read(chosen) and chosen not in offered:
            offered.append(chosen)
        return [(value, self._word(value)) for value in offered]

    def _word(self, value: str) -> str:
        direction, day, currency = _read(value) or (Direction.OUT, "", "")
        return " · ".join(filter(None, [self.words[direction] % {"day": day}, currency]))

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        read = _read(value)
        if read is None:
            return queryset.none()
        direction, day, currency = read
        moved = paid_on(day) if direction == Direction.OUT else back_on(day)
        queryset = queryset & moved
        return queryset.filter(currency=currency) if currency else queryset


def _read(value: str) -> tuple[Direction, date, str] | None:
    """Direction, day and currency, as "out:2026-11-24:CNY"; None for anything else."""
    direction, _colon, rest = value.partition(":")
    day, _colon, currency = rest.partition(":")
    try:
        read = Direction(direction), date.fromisoformat(day), currency
    except ValueError:
        return None
    is_known = read[1].isoformat() == day and 1970 <= read[1].year < 9999
    return read if is_known and (not currency or _is_code(currency)) else None


def _is_code(currency: str) -> bool:
    return len(currency) == 3 and currency.isascii() and currency.isupper()
