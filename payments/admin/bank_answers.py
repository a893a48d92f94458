"""Importing the bank's answer to a batch."""

from typing import Any

from django import forms
from django.contrib import messages
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from core.desk.acts import Act, ActForm, Outcome
from core.money import format_money
from core.templatetags.console_format import moment
from payments.admin.batch_totals import batch_facts
from payments.channels.bank import ANSWER_COLUMNS, LARGEST_ANSWER
from payments.channels.bank_lines import BadFile, FileProblem
from payments.exceptions import NotYours
from payments.models import BankBatch, Payout
from payments.services import AnswerSummary, import_answer, may_import_answer
from payments.states import UNDER_WAY, PayoutState

MOST_PROBLEMS = 100  # told one by one


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
