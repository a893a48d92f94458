"""Files for the bank on the desk: the list, a batch's page with its payouts, making one, and importing the answer."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from core.desk.acts import Act, ActForm, Outcome
from core.desk.lists import COUNT_LIMIT, Waiting
from core.desk.marks import Fact, facts, money_mark, mono, page_link, time_mark
from core.desk.pages import SAFE, Desk, staff_of
from core.models import User
from core.money import format_money
from core.templatetags.console_format import chip, moment
from payments.admin.marks import GIVEN_UP, STATE_MARKS
from payments.channels.bank import ANSWER_COLUMNS, LARGEST_ANSWER, BadFile, FileProblem
from payments.days import zone_name
from payments.exceptions import NotYours
from payments.models import BankBatch, Payout
from payments.services import (
    AccountUnreadable,
    AnswerSummary,
    BatchDamaged,
    BatchOvertaken,
    BatchUnreadable,
    LeftOut,
    NothingToSend,
    Plan,
    hand_out,
    import_answer,
    judged,
    make_batch,
    may_hand_out,
    may_import_answer,
    may_make_batch,
    plan_batch,
    tallies_of,
    waiting_for_file,
)
from payments.states import UNDER_WAY, Channel, PayoutState

LINES_PER_PAGE = 100
MOST_NAMED = 20  # payments that lack an account
MOST_PROBLEMS = 100  # told one by one

# --- What a batch comes to ---------------------------------------------------------------------


@dataclass(frozen=True)
class Standing:
    """A batch's lines, counted: per currency what they sum to, and how many are open, paid, failed and came back."""

    count: int
    totals: dict[str, int]
    states: dict[str, int]

    @property
    def money(self) -> SafeString:
        marks = ((money_mark(amount, currency),) for currency, amount in self.totals.items())
        return format_html_join(", ", "{}", marks)

    @property
    def words(self) -> str:
        labels = {
            "open": _("%(number)s open"),
            PayoutState.PAID: _("%(number)s paid"),
            PayoutState.FAILED: _("%(number)s failed"),
            PayoutState.RETURNED: _("%(number)s returned"),
        }
        told = [str(label) % {"number": self.states[state]} for state, label in labels.items() if self.states[state]]
        return " · ".join(told)


def standings(batches: Iterable[BankBatch]) -> dict[int, Standing]:
    """The standing of each of these batches, in one query."""
    tallies = defaultdict(list)
    for tally in tallies_of(batch.pk for batch in batches):
        tallies[tally.batch_id].append(tally)
    return {batch.pk: _standing(tallies[batch.pk]) for batch in batches}


def _standing(tallies: list[Any]) -> Standing:
    totals: dict[str, int] = defaultdict(int)
    states: dict[str, int] = defaultdict(int)
    for tally in tallies:
        totals[tally.currency] += tally.amount
        states["open" if tally.state in UNDER_WAY else tally.state] += tally.number
    return Standing(sum(states.values()), dict(sorted(totals.items())), states)


# --- The bank's answer -------------------------------------------------------------------------


class AnswerForm(ActForm):
    file = forms.FileField(
        label=_("The bank's answer"),
        widget=forms.FileInput(attrs={"accept": ".csv,.txt,text/csv,text/plain"}),
        help_text=_("CSV in UTF-8 or UTF-16, separated by commas, semicolons or tabs, with the columns %(columns)s.")
        % {"columns": ", ".join(ANSWER_COLUMNS)},
        error_messages={
            "required": _("Choose the file that the bank has sent."),
            "empty": _("This file is empty."),
        },
    )


class ImportAnswer(Act):
    """Every line of the bank's file at once, or none."""

    slug = "import-answer"
    title = _("Import the bank's answer")
    button = _("Import the bank's answer")
    submit = _("Check and record")
    form_class = AnswerForm
    template = "admin/payments/bankbatch/answer.html"
    forbidden = (NotYours,)
    refusals = (BadFile,)
    thing: BankBatch
    problems: tuple[FileProblem, ...] = ()

    def may(self) -> bool:
        return may_import_answer(self.by)

    def is_possible(self) -> bool:
        to_record = Payout.objects.filter(batch_line__batch=self.thing.pk, given_up_at=None)
        return to_record.filter(state__in=[*sorted(UNDER_WAY), PayoutState.FAILED]).exists()

    def why_not(self) -> str:
        return gettext("Nothing was recorded: every payout of %(batch)s is recorded already.") % {"batch": self.thing}

    def page(self) -> dict[str, Any]:
        return {
            "facts": batch_facts(self.thing, self.by),
            "problems": self.problems[:MOST_PROBLEMS],
            "untold": max(0, len(self.problems) - MOST_PROBLEMS),
        }

    def do(self, form: ActForm) -> Outcome:
        content = form.cleaned_data["file"].read(LARGEST_ANSWER + 1)
        summary = import_answer(self.thing.pk, content, by=self.by, at=self.at)
        return Outcome(answer_words(summary), messages.SUCCESS if summary.recorded else messages.WARNING)

    def explain(self, error: Exception, form: ActForm) -> Outcome | None:
        self.problems = tuple(error.problems) if isinstance(error, BadFile) else ()
        words = ngettext(
            "Nothing was recorded: one thing is wrong with this file.",
            "Nothing was recorded: %(number)s things are wrong with this file.",
            len(self.problems),
        )
        form.add_error("file", words % {"number": len(self.problems)})
        return None


def answer_words(summary: AnswerSummary) -> str:
    if summary.imported_at:
        words = gettext("This very file was imported on %(time)s: nothing has changed.")
        return words % {"time": moment(summary.imported_at)}
    if not summary.recorded:
        return gettext("All that this file says was recorded before: nothing has changed.")
    money = ", ".join(format_money(amount, currency) for currency, amount in sorted(summary.paid_amounts.items()))
    told = {"paid": summary.paid, "failed": summary.failed, "known": summary.known, "money": money or "0"}
    words = gettext("Recorded: %(paid)s paid (%(money)s), %(failed)s failed; %(known)s were recorded before.") % told
    if not summary.before:
        return words
    before = ngettext(
        "The bank had already made %(number)s transfer: decide on it under Differences.",
        "The bank had already made %(number)s transfers: decide on them under Differences.",
        summary.before,
    )
    return f"{words} {before % {'number': summary.before}}"


# --- Making one --------------------------------------------------------------------------------


def make_view(desk: Any, request: HttpRequest) -> HttpResponse:
    """GET shows what would be in it, POST makes it. 403 without the right."""
    by = staff_of(request)
    if not may_make_batch(by) or not desk.has_view_permission(request):
        raise PermissionDenied
    if request.method == "POST":
        return _make(desk, request, by, at=timezone.now())
    if request.method not in SAFE:
        return HttpResponseNotAllowed([*sorted(SAFE), "POST"])
    return _show_plan(desk, request, by)


def _make(desk: Any, request: HttpRequest, by: User, *, at: datetime) -> HttpResponse:
    try:
        batch = make_batch(by=by, at=at, seen=request.POST.get("seen", ""))
    except NotYours as error:
        raise PermissionDenied from error
    except NothingToSend:
        return _show_plan(desk, request, by, notice=gettext("Nothing was made: there is nothing to send."))
    except BatchOvertaken:
        notice = gettext("Nothing was made: other payouts would be in it than the page showed. Look again.")
        return _show_plan(desk, request, by, notice=notice)
    except AccountUnreadable as error:
        notice = gettext("Nothing was made: none of the console's keys opens the account of %(payment)s.")
        return _show_plan(desk, request, by, notice=notice % {"payment": error})
    messages.success(request, gettext("%(batch)s is made: download it and hand it to the bank.") % {"batch": batch})
    return HttpResponseRedirect(reverse("admin:payments_bankbatch_change", args=[batch.pk]))


def _show_plan(desk: Any, request: HttpRequest, by: User, *, notice: str = "") -> HttpResponse:
    plan = plan_batch(by)
    context = {
        "title": gettext("Make a bank batch"),
        "plan": plan,
        "notice": notice,
        "facts": _plan_facts(plan),
        "left_out": [_left_out_words(reason, number) for reason, number in sorted(plan.left_out.items())],
        "to_record": _to_record(by),
        "page_address": reverse("admin:payments_bankbatch_changelist"),
    }
    return desk.answer(request, "admin/payments/bankbatch/make.html", context, status=409 if notice else 200)


def _plan_facts(plan: Plan) -> list[Fact]:
    totals = [Fact(currency, money_mark(amount, currency)) for currency, amount in plan.totals.items()]
    rest = [Fact(gettext("Left for the next batch"), capped(plan.rest))] if plan.rest else []
    return [Fact(gettext("Payouts"), len(plan.payouts)), *totals, *rest]


def _left_out_words(reason: str, number: int) -> str:
    words = {
        LeftOut.NO_ACCOUNT: _("%(number)s without an account: record it on the payment's page."),
        LeftOut.YOURS: _("%(number)s approved by you or going to your own account: somebody else makes their batch."),
        LeftOut.ONE_HAND: _(
            "%(number)s whose account was recorded by who approved the refund: somebody else records it once more."
        ),
        LeftOut.FOUND: _("%(number)s of payments of which the bank itself gave money back: decide on that first."),
    }
    return str(words[LeftOut(reason)]) % {"number": capped(number)}


def _to_record(by: User) -> list[Any]:
    """The first payments whose account somebody has to record, as links."""
    lacking = judged(by).filter(left_out__in=[LeftOut.NO_ACCOUNT, LeftOut.ONE_HAND])
    payouts = lacking.select_related("payment").order_by("pk")[:MOST_NAMED]
    return [page_link(payment, by) for payment in dict.fromkeys(payout.payment for payout in payouts)]


def capped(number: int) -> str:
    return f"{COUNT_LIMIT - 1}+" if number >= COUNT_LIMIT else str(number)


# --- The desk ----------------------------------------------------------------------------------


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


def day_in_words(batch: BankBatch) -> str:
    return f"{batch.day} ({zone_name(Channel.BANK)})"


def batch_facts(batch: BankBatch, by: User) -> list[Fact]:
    standing = standings([batch])[batch.pk]
    return [
        Fact(gettext("Day in the bank's books"), day_in_words(batch)),
        Fact(gettext("Payouts"), standing.count),
        *(Fact(currency, money_mark(amount, currency)) for currency, amount in standing.totals.items()),
        Fact(gettext("State"), standing.words),
        *facts(batch, by, "made_at", "made_by"),
        Fact(gettext("SHA-256 of the file"), mono(batch.digest)),
    ]


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
