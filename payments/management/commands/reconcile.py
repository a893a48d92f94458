"""`manage.py reconcile`: compares a channel's own list of a day with ours. For support staff, and for cron."""

import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from core.money import format_money
from payments.channels import ChannelRefund, Unanswered, bank, connected, missing_settings
from payments.channels.bank_lines import BadFile
from payments.days import books_day, zone_name
from payments.models import Difference, Payout
from payments.services import Comparison, reconcile
from payments.services.reconciling import Total
from payments.states import Channel, DifferenceKind

WRONG_USAGE = 2
LARGEST_FILE = 64 * 1024 * 1024  # octets

KINDS = {
    DifferenceKind.MISSING_HERE: "missing here",
    DifferenceKind.MISSING_THERE: "missing there",
    DifferenceKind.DIFFERENT_AMOUNT: "different amount",
    DifferenceKind.DIFFERENT_STATE: "paid there, not here",
}


class Command(BaseCommand):
    help = (
        "Compare a channel's own list of the refunds of one day with ours, and file what differs on the payments "
        "desk. Exit 0 if the books agree, 1 if they differ, 2 for wrong usage, a file that cannot be read, or a "
        "channel that is not connected or does not answer; then nothing is filed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("channel", choices=Channel.values, metavar="CHANNEL", help=", ".join(Channel.values))
        parser.add_argument(
            "--date",
            type=_day,
            metavar="YYYY-MM-DD",
            help="a day of the channel's books (Stripe's count UTC, all others Asia/Shanghai); yesterday by default",
        )
        parser.add_argument("--file", metavar="FILE", help="the bank's statement; for the bank, which is asked nothing")

    def handle(self, *_args: Any, channel: str, date: date | None, file: str | None, **_options: Any) -> None:
        at = timezone.now()
        today = books_day(channel, at)
        day = date or today - timedelta(days=1)
        if day > today:
            raise CommandError(f"{day} has not begun in {zone_name(channel)}", returncode=WRONG_USAGE)
        listed = _listed(channel, day, file)
        if day == today:
            self.stderr.write(f"{day} has not ended in {zone_name(channel)}: what follows is of this moment")
        try:
            comparison = reconcile(channel, day, listed, at=at)
        except Unanswered as error:
            raise CommandError(f"{channel} does not answer: {error}", returncode=WRONG_USAGE) from error
        self._tell(comparison)
        if comparison.open:
            sys.exit(1)

    def _tell(self, comparison: Comparison) -> None:
        for difference in comparison.open:
            self.stdout.write(_line(difference))
        for difference in comparison.explained:
            self.stdout.write(f"{_line(difference)}; {difference.get_state_display()}: {difference.note}")
        for refund, payout in comparison.of_other_days:
            self.stdout.write(_of_another_day(refund, payout))
        for line in _summary(comparison):
            self.stdout.write(line)


# --- What is read ------------------------------------------------------------------------------


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text} is no day: YYYY-MM-DD") from error


def _listed(channel: str, day: date, file: str | None) -> Iterable[ChannelRefund]:
    """The channel's own list. Raises CommandError; what asking raises comes while it is read."""
    if channel == Channel.BANK:
        return _statement(day, file)
    if file:
        raise CommandError(f"{channel} is asked itself: --file is for the bank", returncode=WRONG_USAGE)
    connection = connected(channel)
    if connection is None:
        missing = ", ".join(missing_settings(channel))
        raise CommandError(f"{channel} is not connected; it needs {missing}", returncode=WRONG_USAGE)
    return connection.refunds_on(day)


def _statement(day: date, file: str | None) -> list[ChannelRefund]:
    """What the bank's statement has of that day."""
    if not file:
        raise CommandError("the bank is asked nothing: name its statement with --file", returncode=WRONG_USAGE)
    try:
        refunds = bank.read_statement(_content(Path(file)))
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror or error}", returncode=WRONG_USAGE) from error
    except BadFile as error:
        problems = "\n".join(f"{file}: {problem}" for problem in error.problems)
        raise CommandError(problems, returncode=WRONG_USAGE) from error
    of_day = [refund for refund in refunds if refund.at is None or books_day(Channel.BANK, refund.at) == day]
    if refunds and not of_day:
        words = f"{file}: none of its {len(refunds)} lines is of {day} ({zone_name(Channel.BANK)})"
        raise CommandError(words, returncode=WRONG_USAGE)
    return of_day


def _content(path: Path) -> bytes:
    """Raises CommandError for a file larger than any statement, and OSError."""
    with path.open("rb") as file:
        content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise CommandError(f"{path}: too large for a statement", returncode=WRONG_USAGE)
    return content


# --- What is said ------------------------------------------------------------------------------


def _line(difference: Difference) -> str:
    sides = f"{_money(difference.amount, difference)} there, {_money(difference.our_amount, difference)} here"
    about = difference.external_reference or difference.subject
    whose = difference.payout or difference.payment or "no payment known here"
    return f"{KINDS[DifferenceKind(difference.kind)]}: {about}, {sides}; {whose} ({difference})"


def _money(amount: int | None, difference: Difference) -> str:
    return "nothing" if amount is None else format_money(amount, difference.currency)


def _of_another_day(refund: ChannelRefund, payout: Payout) -> str:
    money = format_money(refund.amount, refund.currency)
    return f"of another day here: {refund.reference or refund.key}, {money}; {payout} is booked on {payout.booked_on}"


def _summary(comparison: Comparison) -> list[str]:
    """Both sides' totals, a line per currency; which day it is, in which zone."""
    zone = zone_name(comparison.channel)
    result = f"{len(comparison.open)} to look at" if comparison.open else "the books agree"
    sums = [
        f"{currency}: {_total(comparison.there, currency)} there, {_total(comparison.here, currency)} here"
        for currency in sorted({*comparison.there, *comparison.here})
    ]
    return [*sums, f"{comparison.channel}, {comparison.day} ({zone}): {result}"]


def _total(totals: dict[str, Total], currency: str) -> str:
    total = totals.get(currency, Total())
    return f"{format_money(total.amount, currency)} in {total.count}"
