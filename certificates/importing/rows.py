"""From raw values to a row that is right in itself: every value fits, and none contradicts another."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from certificates.importing import values
from certificates.importing.domains import domain_names, type_reason, uncovered
from certificates.importing.problems import BadRow, Problem, Unfit
from certificates.importing.reading import COLUMNS, REQUIRED, RawRow
from certificates.orders import CertificateLine
from certificates.states import DomainType, Level
from certificates.x509 import Handover, UnreadableCertificate, read_certificate
from core.money import AmountError, parse_amount
from payments.payers import NO_PAYER, Payer
from payments.states import Channel

# What every row of an order has to say alike.
ORDER_FIELDS = (
    *("account", "email", "paid_at", "currency", "list_amount", "voucher_amount", "paid_amount", "policy", "payments"),
)
EVENTS = ("submitted_at", "validated_at", "issued_at", "revocation_requested_at", "revoked_at")
AMOUNTS = ("list_amount", "voucher_amount", "paid_amount", "price")
SERVICE_DAYS = 365

_PARSERS: dict[str, Callable[[Any], Any]] = {
    "order_number": values.order_number,
    "account": values.account,
    "email": values.email,
    "paid_at": values.moment,
    "currency": values.currency,
    "brand": values.brand,
    "level": values.level,
    "domain_type": values.domain_type,
    "free": values.flag,
    "domains": values.domains,
    "service_days": values.days,
    "instance_id": values.instance_id,
    **dict.fromkeys(EVENTS, values.moment),
}
_IF_BLANK = {"email": "", "free": False, "service_days": SERVICE_DAYS, "payments": [], "domains": []}
# An order of free certificates, or one paid by voucher alone, has no payments to name.
_MAY_BE_BLANK = {"payments"}


@dataclass(frozen=True, slots=True)
class Rules:
    """What a row is judged by beside itself: where its certificates lie, the policies there are, and the present."""

    folder: Path
    policies: Collection[str]
    default_policy: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it is kept: plain JSON values in one writing each, so that equal rows are equal."""

    line: int
    values: dict[str, Any]
    handover: Handover | None
    # The account of the order's bank payment. Kept apart: the values stay readable in the database.
    payer: Payer = NO_PAYER
    # Whether it names a policy itself; else it has that of new purchases, which may change until it comes in again.
    names_policy: bool = True

    @property
    def number(self) -> str:
        return self.values["order_number"]


def read_row(raw: RawRow, rules: Rules) -> Row:
    """Read and judge one row. Raises BadRow with everything that is wrong with it."""
    reading = _Reading(raw, rules)
    row = reading.row()
    unfit = {problem.field for problem in reading.problems}
    found = [Problem(raw.line, field, reason) for field, reason in contradictions(row, rules.at, unfit)]
    if reading.problems or found:
        raise BadRow(reading.problems + found, row.values["order_number"] or "")
    return row


class _Reading:
    """The values of one row, taken one after another; what does not fit is noted and None."""

    def __init__(self, raw: RawRow, rules: Rules) -> None:
        self.raw, self.rules = raw, rules
        self.problems: list[Problem] = []

    def row(self) -> Row:
        for name in sorted(self.raw.values.keys() - COLUMNS):
            self._note(ascii(name), "is not a known key")
        taken = {name: self.take(name, parse) for name, parse in _PARSERS.items()}
        written = values.MoneyFormat(taken["currency"], self.raw.has_decimal_comma)
        taken |= {name: self.take(name, partial(values.amount, written=written)) for name in AMOUNTS}
        taken["payments"] = self.take("payments", partial(values.payments, written=written))
        taken["policy"] = self.take("policy", partial(values.policy, known=self.rules.policies))
        names_policy = bool(taken["policy"])
        taken["policy"] = taken["policy"] or self.rules.default_policy
        handover = self.take("certificate", self._certificate)
        # A path and the text itself are the same certificate.
        taken["certificate"] = handover and handover.fingerprint
        if handover and not taken["domains"]:
            taken["domains"] = self.take("certificate", lambda _: domain_names(handover.names)) or []
        return Row(self.raw.line, taken, handover, self._payer(), names_policy)

    def _payer(self) -> Payer:
        holder, number = self.take("bank_holder", values.bank_holder), self.take("bank_account", values.bank_account)
        return Payer(holder or "", number or "")

    def take(self, name: str, parse: Callable[[Any], Any]) -> Any:
        value = self.raw.values.get(name, "")
        if value == "":
            if name in REQUIRED and name not in _MAY_BE_BLANK:
                self._note(name, "is missing")
            return _IF_BLANK.get(name)
        try:
            return parse(value)
        except (Unfit, AmountError, UnreadableCertificate) as error:
            self._note(name, str(error))
            return None

    def _certificate(self, value: Any) -> Handover:
        return read_certificate(values.pem_text(value, self.rules.folder))

    def _note(self, name: str, reason: str) -> None:
        self.problems.append(Problem(self.raw.line, name, reason))


# --- What contradicts itself --------------------------------------------------------------------


def contradictions(row: Row, at: datetime, unfit: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """Each field at odds with another one, and why; nothing may have happened after `at`.

    What needs one of the `unfit` fields is not looked at.
    """
    for fields, find in _CONTRADICTIONS:
        if fields.isdisjoint(unfit):
            yield from find(row, at)


def _money_contradictions(read: Row, _at: datetime) -> Iterator[tuple[str, str]]:
    row = read.values
    whole, voucher, paid = (minor(row, name) for name in ("list_amount", "voucher_amount", "paid_amount"))
    if voucher + paid > whole:
        yield "paid_amount", "is with the voucher_amount more than the list_amount"
    payments = sum(parse_amount(payment["amount"], row["currency"]) for payment in row["payments"])
    if payments != paid:
        yield "payments", "do not sum to the paid_amount"
    if row["price"] is not None and minor(row, "price") > whole:
        yield "price", "is more than the list_amount of the whole order"
    if row["free"] and row["price"] is not None and minor(row, "price"):
        yield "price", "is above 0, and the certificate is free"


def _event_contradictions(row: Row, at: datetime) -> Iterator[tuple[str, str]]:
    before, latest = "paid_at", row.values["paid_at"]
    if _moment(latest) > at:
        yield "paid_at", "lies in the future"
    for name in EVENTS:
        event = row.values[name]
        if event is None:
            continue
        if _moment(event) < _moment(latest):
            yield name, f"is before {before}"
        elif _moment(event) > at:
            yield name, "lies in the future"
        before, latest = name, event
    is_issued = row.values["issued_at"] or row.handover
    for name in ("revocation_requested_at", "revoked_at"):
        if row.values[name] and not is_issued:
            yield name, "needs issued_at or a certificate: nothing was issued that could be revoked"


def _product_contradictions(read: Row, _at: datetime) -> Iterator[tuple[str, str]]:
    row = read.values
    if row["free"] and row["level"] != Level.DV:
        yield "free", "is true, and only DV certificates are free"
    if row["level"] == Level.EV and row["domain_type"] == DomainType.WILDCARD:
        yield "domain_type", "is wildcard, which no EV certificate may be"
    elif row["domains"]:
        reason = type_reason(row["domains"], row["domain_type"], row["level"])
        if reason:
            yield "domains", reason
    elif any(row[name] for name in EVENTS):
        yield "domains", "are missing, and an application names them"


def _certificate_contradictions(row: Row, at: datetime) -> Iterator[tuple[str, str]]:
    handover = row.handover
    if handover is None:
        return
    missing = uncovered(row.values["domains"], handover.names)
    if missing:
        yield "certificate", f"is not for {', '.join(missing)}"
    if handover.not_after <= _moment(row.values["paid_at"]):
        yield "certificate", "had ended before the payment"
        return
    issued = issue_moment(row, handover)
    if issued >= handover.not_after:
        yield "issued_at", "is not before the certificate's end"
    if row.values["issued_at"] is None:
        yield from _guess_contradictions(row.values, issued, at)


def _guess_contradictions(row: dict[str, Any], issued: datetime, at: datetime) -> Iterator[tuple[str, str]]:
    if issued > at:
        yield "certificate", "was issued in the future by its own dates"
    for name in ("revocation_requested_at", "revoked_at"):
        if row[name] and _moment(row[name]) < issued:
            yield name, "is before the certificate was issued by its own dates"


def _payer_contradictions(row: Row, _at: datetime) -> Iterator[tuple[str, str]]:
    if not row.payer:
        return
    given = "bank_account" if row.payer.number else "bank_holder"
    of_bank = [payment for payment in row.values["payments"] if payment["channel"] == Channel.BANK]
    if not row.payer.number:
        yield "bank_account", "is missing, and bank_holder is given"
    if not row.payer.holder:
        yield "bank_holder", "is missing, and bank_account is given"
    if not of_bank:
        yield given, "is given, and no payment of the order is the bank's"
    elif len(of_bank) > 1:
        reason = f"is given, and {len(of_bank)} payments of the order are the bank's: record theirs at the desk"
        yield given, reason


_CONTRADICTIONS: tuple[tuple[frozenset[str], Callable[[Row, datetime], Iterator[tuple[str, str]]]], ...] = (
    (frozenset({*AMOUNTS, "currency", "payments", "free"}), _money_contradictions),
    (frozenset({*EVENTS, "paid_at", "certificate"}), _event_contradictions),
    (frozenset({"free", "level", "domain_type", "domains", "certificate", *EVENTS}), _product_contradictions),
    (frozenset({*EVENTS, "paid_at", "certificate", "domains"}), _certificate_contradictions),
    (frozenset({"payments", "bank_holder", "bank_account"}), _payer_contradictions),
)


# --- From a kept row to what is stored ----------------------------------------------------------


def minor(row: dict[str, Any], name: str) -> int:
    """An amount of a row in minor units."""
    return parse_amount(row[name], row["currency"])


def issued_at(row: Row) -> datetime | None:
    """When the certificate was handed over; None when it was not."""
    if row.handover:
        return issue_moment(row, row.handover)
    return _event(row.values, "issued_at")


def issue_moment(row: Row, handover: Handover) -> datetime:
    """When the certificate was handed over: as recorded, else the best guess of the certificate itself.

    The guess is the earliest SCT, else notBefore; authorities backdate that, so it is never before the payment nor
    before anything of the application that is recorded.
    """
    if row.values["issued_at"]:
        return _moment(row.values["issued_at"])
    earlier = [_moment(row.values[name]) for name in ("paid_at", "submitted_at", "validated_at") if row.values[name]]
    return max(handover.earliest_issue, *earlier)


def certificate_line(row: Row) -> CertificateLine:
    """The row as a certificate to be stored."""
    kept = row.values
    return CertificateLine(
        brand=kept["brand"],
        level=Level(kept["level"]),
        domain_type=DomainType(kept["domain_type"]),
        free=kept["free"],
        domains=tuple(kept["domains"]),
        price=None if kept["price"] is None else minor(kept, "price"),
        service_ends_at=_moment(kept["paid_at"]) + timedelta(days=kept["service_days"]),
        submitted_at=_event(kept, "submitted_at"),
        validated_at=_event(kept, "validated_at"),
        issued_at=issued_at(row),
        revocation_requested_at=_event(kept, "revocation_requested_at"),
        revoked_at=_event(kept, "revoked_at"),
        handover=row.handover,
        instance_id=kept["instance_id"],
        row=kept,
    )


def _event(row: dict[str, Any], name: str) -> datetime | None:
    return _moment(row[name]) if row[name] else None


_moment = datetime.fromisoformat
