"""What went out and came back on a day: a page per day, and the same as a file, a line each."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django import forms
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, StreamingHttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from core.clock import service_day
from core.csv_cells import safe_cell
from core.desk.marks import EMPTY, money_mark
from core.desk.pages import SAFE
from core.forms import PanelForm
from core.money import plain_amount
from payments.days import zone_name
from payments.states import Channel
from payments.totals import Direction, Movement, Total, movements, totals_of

FIRST_DAY = date(2000, 1, 1)
COLUMNS = ["day", "zone", "channel", "direction", "payout", "refund", "outside_reference", "amount", "currency"]


@dataclass(frozen=True)
class Line:
    """A channel's day in one currency, as the page shows it; without a currency where nothing moved."""

    channel: str
    zone: str
    total: Total | None
    paid_address: str = ""
    back_address: str = ""
    export_address: str = ""

    @property
    def paid(self) -> Any:
        return self._money(self.total.paid) if self.total else EMPTY

    @property
    def back(self) -> Any:
        return self._money(self.total.back) if self.total else EMPTY

    @property
    def net(self) -> Any:
        return money_mark(self.total.net, self.total.currency) if self.total else EMPTY

    def _money(self, amount: int) -> Any:
        return money_mark(amount, self.total.currency) if self.total and amount else EMPTY


class DayForm(PanelForm):
    day = forms.DateField(
        label=_("Day"),
        required=False,
        input_formats=["%Y-%m-%d"],
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
        error_messages={"invalid": _("This is no day; write it as YYYY-MM-DD.")},
    )
    channel = forms.ChoiceField(choices=Channel.choices, required=False)

    def __init__(self, *args: Any, today: date, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.today = today
        self.fields["day"].widget.attrs.update({"min": FIRST_DAY.isoformat(), "max": today.isoformat()})

    def clean_day(self) -> date:
        day = self.cleaned_data["day"] or self.today
        if not FIRST_DAY <= day <= self.today:
            raise forms.ValidationError(_("There are no books of this day."))
        return day


def totals_view(desk: Any, request: HttpRequest) -> HttpResponse:
    """The totals of `?day=`, today's without it."""
    if refused := _refuse(desk, request):
        return refused
    today = service_day(timezone.now())
    form = DayForm({"day": today.isoformat(), **request.GET.dict()}, today=today)
    day = form.cleaned_data["day"] if form.is_valid() and form.cleaned_data["day"] else None
    return desk.answer(request, "admin/payments/totals.html", _context(form, day, today))


def export_view(desk: Any, request: HttpRequest) -> Any:
    """The movements of `?day=` as CSV, of `?channel=` or of all channels."""
    if refused := _refuse(desk, request):
        return refused
    form = DayForm(request.GET, today=service_day(timezone.now()))
    if not form.is_valid():
        raise BadRequest("no such day or channel")
    day, channel = form.cleaned_data["day"], form.cleaned_data["channel"]
    name = "-".join(filter(None, ["payouts", day.isoformat(), channel]))
    disposition = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return StreamingHttpResponse(csv_lines(day, channel), content_type="text/csv; charset=utf-8", headers=disposition)


def _refuse(desk: Any, request: HttpRequest) -> HttpResponse | None:
    if not desk.has_view_permission(request):
        raise PermissionDenied
    return None if request.method in SAFE else HttpResponseNotAllowed(sorted(SAFE))


# --- The page ----------------------------------------------------------------------------------


def _context(form: DayForm, day: date | None, today: date) -> dict[str, Any]:
    context: dict[str, Any] = {"title": _("Daily totals"), "form": form, "day": day, "is_today": day == today}
    if day is None:
        return context
    return {
        **context,
        "lines": _lines(day),
        "export": _address("export", day=day),
        "earlier": _address("totals", day=day - timedelta(days=1)) if day > FIRST_DAY else "",
        "later": _address("totals", day=day + timedelta(days=1)) if day < today else "",
    }


def _lines(day: date) -> list[Line]:
    """A line a channel and currency; a channel in which nothing moved says so, since closing a day asks for it."""
    totals = totals_of(day)
    moved = {total.channel for total in totals}
    still = [Line(str(channel.label), zone_name(channel), None) for channel in Channel if channel not in moved]
    return [*(_line(total, day) for total in totals), *still]


def _line(total: Total, day: date) -> Line:
    return Line(
        channel=str(Channel(total.channel).label),
        zone=zone_name(total.channel),
        total=total,
        paid_address=_list_address(Direction.OUT, total, day) if total.paid_count else "",
        back_address=_list_address(Direction.BACK, total, day) if total.back_count else "",
        export_address=_address("export", day=day, channel=total.channel),
    )


def _list_address(direction: Direction, total: Total, day: date) -> str:
    query = {"moved": f"{direction}:{day}:{total.currency}", "channel": total.channel, "state": "all"}
    return f"{reverse('admin:payments_payout_changelist')}?{urlencode(query)}"


def _address(name: str, **query: Any) -> str:
    return f"{reverse(f'admin:payments_payout_{name}')}?{urlencode(query)}"


# --- The file ----------------------------------------------------------------------------------


class _Echo:
    """A file for the csv writer that hands each line back instead of keeping it."""

    def write(self, line: str) -> str:
        return line


def csv_lines(day: date, channel: str = "") -> Iterator[str]:
    """The file, line by line. Amounts have no sign, so that no cell of it begins with one: `direction` says it."""
    writer = csv.writer(_Echo())
    yield writer.writerow(COLUMNS)
    for movement in movements(day, channel or None):
        yield writer.writerow(_cells(day, movement))


def _cells(day: date, movement: Movement) -> list[str]:
    return [
        day.isoformat(),
        zone_name(movement.channel),
        movement.channel,
        movement.direction,
        safe_cell(movement.payout),
        safe_cell(movement.reference),
        safe_cell(movement.external_reference),
        plain_amount(movement.amount, movement.currency),
        movement.currency,
    ]
