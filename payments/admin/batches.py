"""Files for the bank on the desk: the list, a batch's page with its payouts, and its download."""

from datetime import datetime
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.desk.acts import Act
from core.desk.lists import Waiting
from core.desk.marks import page_link, time_mark
from core.desk.pages import Desk, staff_of
from core.models import User
from core.templatetags.console_format import chip
from payments.admin.bank_answers import ImportAnswer
from payments.admin.batch_making import make_view
from payments.admin.batch_totals import batch_facts, day_in_words, standings
from payments.admin.marks import GIVEN_UP, STATE_MARKS
from payments.exceptions import NotYours
from payments.models import BankBatch, Payout
from payments.services import BatchDamaged, BatchUnreadable, hand_out, may_hand_out, may_make_batch, waiting_for_file
from payments.states import PayoutState

LINES_PER_PAGE = 100


class BankBatchAdmin(Desk):
    page_template = "admin/payments/bankbatch/page.html"
    change_list_template = "admin/payments/bankbatch/change_list.html"
    page_select_related = ("made_by",)
    acts = (ImportAnswer,)
    act_words = {
        "made": _("Made"),
        "downloaded": _("Downloaded"),
        "answer_imported": _("Answer of the bank imported"),
    }
    list_display = ("name", "books_day", "count", "totals", "standing_words", "maker", "made")
    list_read_along = ("made_by",)
    ordering = ("-number",)
    search_help_text = _("The number of a batch.")

    def get_urls(self) -> list[Any]:
        make = self.admin_site.admin_view(partial(make_view, self))
        return [
            path("make/", make, name="payments_bankbatch_make"),
            path("<int:pk>/file/", self.admin_site.admin_view(self._file_view), name="payments_bankbatch_file"),
            *super().get_urls(),
        ]

    def waiting(self) -> list[Waiting]:
        return [Waiting(_("Bank payouts for the next file"), waiting_for_file())]

    # --- The list ----------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("content")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """With what the rows of this page come to, in one query for all of them."""
        shown = super().get_changelist_instance(request)
        shown.result_list = list(shown.result_list)
        known = standings(shown.result_list)
        for batch in shown.result_list:
            batch.standing = known[batch.pk]
        return shown

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        may_make = may_make_batch(staff_of(request))
        return super().changelist_view(request, {"may_make": may_make, **(extra_context or {})})

    def search(self, queryset: QuerySet[Any], needle: str) -> QuerySet[Any]:
        digits = needle.upper().removeprefix("BATCH-")
        is_number = digits.isascii() and digits.isdecimal() and len(digits) < 10
        return queryset.filter(number=int(digits)) if is_number else queryset.none()

    @admin.display(description=_("batch"))
    def name(self, batch: BankBatch) -> str:
        return str(batch)

    @admin.display(description=_("day"))
    def books_day(self, batch: BankBatch) -> str:
        return day_in_words(batch)

    @admin.display(description=_("payouts"))
    def count(self, batch: Any) -> int:
        return batch.standing.count

    @admin.display(description=_("total"))
    def totals(self, batch: Any) -> Any:
        return batch.standing.money

    @admin.display(description=_("state"))
    def standing_words(self, batch: Any) -> str:
        return batch.standing.words

    @admin.display(description=_("made by"))
    def maker(self, batch: BankBatch) -> str:
        return str(batch.made_by)

    @admin.display(description=_("made"))
    def made(self, batch: BankBatch) -> Any:
        return time_mark(batch.made_at)

    # --- A batch's page ----------------------------------------------------------------------------

    def pages(self) -> QuerySet[Any]:
        return super().pages().defer("content")

    def page(self, thing: BankBatch, *, by: User, at: datetime) -> dict[str, Any]:
        return {
            "facts": batch_facts(thing, by),
            "may_download": may_hand_out(thing, by),
            "why_not": _why_no_download(thing, by),
        }

    def answer(self, request: HttpRequest, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
        """A batch's page holds a piece of its lines, which the address names."""
        if template == self.page_template:
            context = {**context, **lines_after(context["thing"], _cursor(request), staff_of(request))}
        return super().answer(request, template, context, status)

    # --- The file, and the answer to it ------------------------------------------------------------

    def _file_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """POST hands the file out, since that is written down. 404 without the batch, 403 without the right."""
        batch, by = self._find(pk), staff_of(request)
        if not self.has_view_permission(request, batch) or not may_hand_out(batch, by):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            content = hand_out(batch.pk, by=by, at=timezone.now())
        except NotYours as error:
            raise PermissionDenied from error
        except (BatchDamaged, BatchUnreadable) as error:
            messages.error(request, _why_not_handed_out(batch, error))
            return HttpResponseRedirect(self._address(batch, "change"))
        return _attachment(content, f"{batch}.csv")

    def _do(self, request: HttpRequest, act: Act) -> HttpResponse:
        """As every act's, with the file that was sent along."""
        form = act.form_class(request.POST, request.FILES)
        outcome = act.attempt(form) if form.is_valid() else None
        if outcome is None:
            return self._ask(request, act, form)
        messages.add_message(request, outcome.level, outcome.sentence)
        return HttpResponseRedirect(self._address(act.thing, "change"))


def _attachment(content: bytes, name: str) -> HttpResponse:
    """No cache keeps it: the admin says so of every page."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(content, content_type="text/csv; charset=utf-8", headers=headers)


def _why_not_handed_out(batch: BankBatch, error: BatchDamaged | BatchUnreadable) -> str:
    if isinstance(error, BatchUnreadable):
        words = gettext(
            "%(batch)s can't be downloaded: none of KEY_ENCRYPTION_KEYS opens it. Add the key that it was encrypted "
            "with to the console's settings and try again."
        )
    else:
        words = gettext(
            "%(batch)s can't be downloaded: what is stored differs from its digest. Send nothing to the bank; restore "
            "the row from a backup."
        )
    return words % {"batch": batch}


def _why_no_download(batch: BankBatch, by: User) -> str:
    if not may_make_batch(by) or may_hand_out(batch, by):
        return ""
    return gettext("You approved a payout of this batch, or receive one: somebody else hands it to the bank.")


def _cursor(request: HttpRequest) -> int:
    after = request.GET.get("after", "0")
    return int(after) if after.isascii() and after.isdecimal() and len(after) < 10 else 0


def lines_after(batch: BankBatch, position: int, by: User) -> dict[str, Any]:
    """The next lines of a batch, and where those after them begin."""
    lines = batch.lines.filter(position__gt=position).select_related("payout").order_by("position")
    found = list(lines[: LINES_PER_PAGE + 1])
    shown = found[:LINES_PER_PAGE]
    rows = [{"line": line, "link": page_link(line.payout, by), "chip": _line_chip(line.payout)} for line in shown]
    return {"rows": rows, "is_later": position > 0, "next": shown[-1].position if len(found) > len(shown) else None}


def _line_chip(payout: Payout) -> Any:
    if payout.given_up_at:
        return chip(gettext("Given up"), GIVEN_UP)
    return chip(payout.get_state_display(), STATE_MARKS[PayoutState(payout.state)])
