"""Judges whole orders, against each other and against what the console has already; writes nothing to the database."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from certificates.exceptions import CannotBeShared
from certificates.importing.orders import order_to_store
from certificates.importing.problems import Problem
from certificates.importing.rows import ORDER_FIELDS, Row, minor
from certificates.importing.spool import BAD, KNOWN, KnownAccount, Spool, SpooledOrder
from certificates.models import Certificate, ImportedRow, Order, OrderPayment
from certificates.orders import MOST_CERTIFICATES
from certificates.sharing import shares_of
from core.email_addresses import is_same_email
from core.models import User
from core.money import plain_amount
from payments.channels import step_of
from payments.models import BankAccount, Payment
from payments.payers import Payer
from payments.services import AccountUnreadable, payer_of
from payments.states import Channel

AT_ONCE = 500  # orders that are looked up together


def judge_orders(spool: Spool) -> Iterator[int]:
    """Give every spooled order its verdict and note what is wrong; yields how many were judged, as it goes."""
    orders = spool.orders()
    while chunk := list(islice(orders, AT_ONCE)):
        stored = _Stored(chunk)
        for order in chunk:
            _judge(order, spool, stored)
        yield len(chunk)


def load_accounts(spool: Spool) -> None:
    accounts = User.objects.values_list("username", "email", "is_staff")
    spool.add_accounts(accounts.iterator(chunk_size=2000))


def _judge(order: SpooledOrder, spool: Spool, stored: "_Stored") -> None:
    if order.number in stored.orders:
        problems = [*_changes(order, stored.rows.get(order.number)), *_other_payer(order, stored)]
    else:
        problems = [*_own_problems(order), *_conflicts(order, spool, stored)]
    if problems:
        spool.add_problems(problems, order.number)
    elif order.number in stored.orders and order.verdict != BAD:
        spool.judge(order.number, KNOWN)


class _Stored:
    """What the console has already of what a few orders name: three queries and one for each channel."""

    def __init__(self, orders: Sequence[SpooledOrder]) -> None:
        numbers = [order.number for order in orders]
        self.orders = set(Order.objects.filter(number__in=numbers).values_list("number", flat=True))
        self.rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        found = ImportedRow.objects.filter(certificate__order__number__in=numbers if self.orders else [])
        for number, row in found.order_by("certificate_id").values_list("certificate__order__number", "row"):
            self.rows[number].append(row)
        self.accounts = _accounts_of(order for order in orders if order.number in self.orders)
        new = [row for order in orders if order.number not in self.orders for row in order.rows]
        self.references = _references(new)
        ids = [row.values["instance_id"] for row in new if row.values["instance_id"]]
        self.instance_ids = set(
            Certificate.objects.filter(instance_id__in=ids).values_list("instance_id", flat=True) if ids else []
        )


def _references(rows: Sequence[Row]) -> set[tuple[str, str]]:
    """Those of the rows' payments, as channel and reference, that came in already."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        for payment in row.values["payments"]:
            wanted[payment["channel"]].add(payment["reference"])
    found: set[tuple[str, str]] = set()
    for channel, references in wanted.items():
        known = Payment.objects.filter(channel=channel, reference__in=references - {""}).exclude(reference="")
        found.update((channel, reference) for reference in known.values_list("reference", flat=True))
    return found


def _accounts_of(orders: Iterable[SpooledOrder]) -> dict[str, BankAccount]:
    """The bank accounts of stored orders, by order number."""
    numbers = [order.number for order in orders]
    if not numbers:
        return {}
    links = OrderPayment.objects.filter(order__number__in=numbers, payment__channel=Channel.BANK)
    payments = dict(links.values_list("payment", "order__number"))
    accounts = BankAccount.objects.filter(payment__in=payments)
    return {payments[account.payment_id]: account for account in accounts}


# --- An order that is stored already ------------------------------------------------------------


def _changes(order: SpooledOrder, stored: list[dict[str, Any]] | None) -> Iterator[Problem]:
    """What the rows say that they did not say when they were imported; nothing for the same rows, in any order."""
    if stored is None:
        yield Problem(order.first.line, "order_number", "is of an order that the console has from elsewhere")
        return
    left = list(stored)
    rows = [row if row.names_policy else _with_policy(row, stored[0]["policy"]) for row in order.rows]
    changed = [row for row in rows if not _take(left, row.values)]
    for row in changed:
        before = next(
            (old for old in left if old["instance_id"] == row.values["instance_id"]), left[0] if left else None
        )
        if before is None:
            yield Problem(row.line, "order_number", "is of an order that is imported already, without this row")
        else:
            left.remove(before)
            yield from _differences(row, before)


def _other_payer(order: SpooledOrder, stored: "_Stored") -> Iterator[Problem]:
    """An account that is not the one imported. What staff have recorded since is the console's own, and stands."""
    account = stored.accounts.get(order.number)
    if account is not None and account.recorded_by_id is not None:
        return
    for row in order.rows:
        reason = _other_account(row.payer, account)
        if reason:
            yield Problem(row.line, "bank_account", reason)


def _other_account(payer: Payer, account: BankAccount | None) -> str:
    if account is None:
        return "is given, and was not when the order was imported: record it at the desk" if payer else ""
    if not payer:
        return "is missing, and was given when the order was imported"
    try:
        return "" if payer_of(account) == payer else "is not the one that was imported, with its bank_holder"
    except AccountUnreadable:
        return "cannot be compared: none of KEY_ENCRYPTION_KEYS opens the one that was imported"


def _with_policy(row: Row, policy: str) -> Row:
    """A row that names no policy, under the one that its order keeps."""
    return replace(row, values={**row.values, "policy": policy})


def _take(rows: list[dict[str, Any]], row: dict[str, Any]) -> bool:
    if row not in rows:
        return False
    rows.remove(row)
    return True


def _differences(row: Row, before: dict[str, Any]) -> Iterator[Problem]:
    for field, value in row.values.items():
        if before.get(field) != value and not (field == "email" and _is_kept_email(before.get(field), value)):
            yield Problem(row.line, field, f"was imported as {shown(before.get(field))} and is now {shown(value)}")


def _is_kept_email(before: Any, value: str) -> bool:
    """Rows imported before addresses had one form keep them as they were written."""
    return is_same_email(before or "", value)


def shown(value: Any) -> str:
    """A kept value as a person reads it."""
    if value in (None, "", []):
        return "nothing"
    if isinstance(value, list):
        return ";".join(map(_shown_part, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shown_part(part: Any) -> str:
    return "{channel}:{amount}:{reference}".format(**part) if isinstance(part, dict) else part


# --- A new order --------------------------------------------------------------------------------


def _own_problems(order: SpooledOrder) -> list[Problem]:
    """What is wrong with the order in itself. Amounts are shared out only once everything else fits."""
    problems = list(_disagreements(order))
    if order.verdict != BAD:
        problems += _order_contradictions(order)
        problems = problems or list(_share_contradictions(order))
    return problems


def _disagreements(order: SpooledOrder) -> Iterator[Problem]:
    first = order.first
    for row in order.rows[1:]:
        for field in ORDER_FIELDS:
            if row.values[field] != first.values[field]:
                here, there = shown(row.values[field]), shown(first.values[field])
                yield Problem(row.line, field, f"is {here}, and {there} in line {first.line} of the same order")
        for field, is_same in _payer_agreement(row.payer, first.payer):
            if not is_same:
                yield Problem(row.line, field, f"is not that of line {first.line} of the same order")


def _payer_agreement(payer: Payer, other: Payer) -> list[tuple[str, bool]]:
    """Column by column; what they say is never told."""
    return [("bank_holder", payer.holder == other.holder), ("bank_account", payer.number == other.number)]


def _order_contradictions(order: SpooledOrder) -> Iterator[Problem]:
    """What no single row shows. For orders all of whose rows are fit and agree as far as this goes."""
    first, rows = order.first, order.rows
    if len(rows) > MOST_CERTIFICATES:
        reason = f"has {len(rows)} rows, and an order holds at most {MOST_CERTIFICATES} certificates"
        yield Problem(rows[MOST_CERTIFICATES].line, "order_number", reason)
    if all(row.values["free"] for row in rows):
        for field in ("paid_amount", "voucher_amount"):
            if minor(first.values, field):
                yield Problem(first.line, field, "is above 0, and every certificate of the order is free")
    yield from _price_contradictions(order)


def _price_contradictions(order: SpooledOrder) -> Iterator[Problem]:
    priced = [row for row in order.rows if row.values["price"] is not None]
    unpriced = [row for row in order.rows if row.values["price"] is None and not row.values["free"]]
    if not priced:
        return
    for row in unpriced:
        yield Problem(row.line, "price", f"is missing, and line {priced[0].line} of the same order has one")
    total = sum(minor(row.values, "price") for row in priced)
    if not unpriced and total != minor(order.first.values, "list_amount"):
        yield Problem(order.first.line, "price", "does not sum to the list_amount over the order")


def _share_contradictions(order: SpooledOrder) -> Iterator[Problem]:
    """Amounts that leave no way to refund each certificate through the channels that it was paid by."""
    currency = order.first.values["currency"]
    if all(step_of(payment["channel"], currency) == 1 for payment in order.first.values["payments"]):
        return
    try:
        shares_of(order_to_store(order))
    except CannotBeShared as error:
        yield _unshareable(order, error)


def _unshareable(order: SpooledOrder, error: CannotBeShared) -> Problem:
    payment, step = error.payment, plain_amount(error.step, error.currency)
    told = f"{step}, the step of {payment.channel} refunds in {error.currency}"
    if error.cause == CannotBeShared.PAYMENT:
        amount = plain_amount(payment.amount, error.currency)
        return Problem(order.first.line, "payments", f"{payment.channel}:{amount} is not a multiple of {told}")
    if error.cause == CannotBeShared.PRICES:
        priced = [row for row in order.rows if row.values["price"] is not None]
        odd = next((row for row in priced if minor(row.values, "price") % error.step), order.first)
        reason = f"is not a multiple of {told}, and what was paid cannot be divided in that step without exceeding it"
        return Problem(odd.line, "price", reason)
    reason = f"cannot be divided in multiples of {told}: the other payments are too small to make up the difference"
    return Problem(order.first.line, "payments", reason)


def _conflicts(order: SpooledOrder, spool: Spool, stored: _Stored) -> Iterator[Problem]:
    """What belongs to somebody else already, in this file or in the console."""
    yield from _account_conflicts(order.first, spool)
    for payment in order.first.values["payments"]:
        channel, reference = payment["channel"], payment["reference"]
        if (channel, reference) in stored.references:
            reason = f"name {channel}:{reference}, which paid for another order already"
            yield Problem(order.first.line, "payments", reason)
        elif reference and (holder := spool.claim(channel, reference, order.number, order.first.line)):
            reason = f"name {channel}:{reference}, as line {holder[1]} does for another order"
            yield Problem(order.first.line, "payments", reason)
    for row in order.rows:
        name = row.values["instance_id"]
        if name in stored.instance_ids:
            yield Problem(row.line, "instance_id", "is another certificate's already")
        elif name and (holder := spool.claim("instance", name, str(row.line), row.line)):
            yield Problem(row.line, "instance_id", f"is that of line {holder[1]} already")


def _account_conflicts(row: Row, spool: Spool) -> Iterator[Problem]:
    name, email = row.values["account"], row.values["email"]
    like = spool.accounts_like(name)
    known = next((account for account in like if account.name == name), None)
    if known and known.is_staff:
        yield Problem(row.line, "account", "is a member of staff, who has no orders")
    elif like and not known:
        yield Problem(row.line, "account", f"differs from the account {like[0].name} by capital letters only")
    elif holder := spool.claim("account", name.casefold(), name, row.line):
        yield Problem(row.line, "account", f"differs from {holder[0]} in line {holder[1]} by capital letters only")
    if email:
        yield from _email_conflicts(row, known, spool)


def _email_conflicts(row: Row, known: KnownAccount | None, spool: Spool) -> Iterator[Problem]:
    name, email = row.values["account"], row.values["email"]
    others = [account for account in spool.accounts_with_email(email) if account.name != name]
    if others:
        yield Problem(row.line, "email", f"is that of the account {others[0].name}")
    elif known and known.email and known.email != email:
        yield Problem(row.line, "email", "is not the one that this account has; left out, the account keeps its own")
    elif holder := spool.claim("email", email, name, row.line):
        yield Problem(row.line, "email", f"is that of the account {holder[0]} in line {holder[1]}")
    elif holder := spool.claim("email of", name, email, row.line):
        yield Problem(row.line, "email", f"is not the one that the same account has in line {holder[1]}")
