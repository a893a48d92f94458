"""One certificate's facts a JSON line in, the policy's answer a JSON object out. Pure; docs/assess.md is the promise.

Moments are RFC 3339 with an offset, amounts decimal texts of their currency; what is wrong with a line is told as
"<field>: <reason>", the first thing found.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from core.money import AmountError, parse_amount, plain_amount
from refunds.rules.assess import DEFAULT_POLICY, EVENTS, Assessment, Facts, assess
from refunds.rules.policies import POLICIES

FIRST_YEAR, LAST_YEAR = 1970, 2200
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
SOURCES = ("purchased", "uploaded")

_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"([Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])?"
)
_CURRENCY = re.compile(r"[A-Z]{3}")


class LineError(ValueError):
    """A line cannot be answered. The message is "<field>: <reason>", `line` the field where it is none's fault."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")


class _Wrong(ValueError):
    """What is wrong with the value of a key; the message is the reason."""


def answers(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """An answer a line, in order; a wrong line's is its error and its number, counted from 1."""
    for number, line in enumerate(lines, 1):
        try:
            yield answer(line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line)
        except LineError as error:
            yield {"error": str(error), "line": number}


def answer(line: bytes) -> dict[str, Any]:
    """The policy's answer to one line. Raises LineError."""
    facts, at = read_line(line)
    return as_json(assess(facts, at))


def as_json(assessment: Assessment) -> dict[str, Any]:
    """The policy's answer as JSON values, in the promised order."""
    return {
        "supported": assessment.supported,
        "rule": assessment.rule,
        "review": assessment.review,
        "amount": None if assessment.amount is None else plain_amount(assessment.amount, assessment.currency),
        "currency": assessment.currency,
        "button": assessment.button,
        "warnings": list(assessment.warnings),
        "request_by": _iso(assessment.request_by),
        "revoke_by": _iso(assessment.revoke_by),
        "safe_revoke_by": _iso(assessment.safe_revoke_by),
        "review_due": _iso(assessment.review_due),
        "calendar": assessment.calendar,
        "changes_at": _iso(assessment.changes_at),
    }


def _iso(when: date | None) -> str | None:
    return when.isoformat() if when else None


# --- A line ------------------------------------------------------------------------------------


def read_line(line: bytes) -> tuple[Facts, datetime]:
    """The facts of one line and the moment asked about, in UTC.

    Raises LineError for the first thing wrong: the line, each key in the promise's order, the impossible facts.
    """
    members = _read_object(line)
    values = {key: _read_member(members, key, read) for key, read in READERS.items()}
    at = values.pop("at")
    facts = Facts(**values, policy=_read_policy(members))
    _require_possible(facts, at)
    return facts, at


class _Members(dict[str, Any]):
    """A JSON object, and which of its keys it gives more than once."""

    repeated: frozenset[str] = frozenset()


def _members(pairs: list[tuple[str, Any]]) -> _Members:
    members = _Members(pairs)
    if len(members) < len(pairs):
        counts = Counter(key for key, _value in pairs)
        members.repeated = frozenset(key for key, count in counts.items() if count > 1)
    return members


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


# No key takes a number, and Python refuses to read one of more than 4,300 digits as an int.
_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_int=float, parse_constant=_refuse_constant)


def _read_object(line: bytes) -> _Members:
    if not line.strip():
        raise LineError("line", "is blank")
    try:
        value = _DECODER.decode(line.decode("utf-8"))
    except UnicodeDecodeError:
        raise LineError("line", "is not UTF-8") from None
    except RecursionError:
        raise LineError("line", "is nested too deeply") from None
    except ValueError:
        raise LineError("line", "is not JSON") from None
    if not isinstance(value, _Members):
        raise LineError("line", "is not a JSON object")
    return value


def _read_member(members: _Members, key: str, read: Callable[[Any, _Members], Any]) -> Any:
    if key not in members:
        raise LineError(key, "is missing")
    if key in members.repeated:
        raise LineError(key, "is given more than once")
    try:
        return read(members[key], members)
    except (_Wrong, AmountError) as error:
        raise LineError(key, str(error)) from None


# --- The values --------------------------------------------------------------------------------


def _read_moment(value: Any, _members: _Members) -> datetime:
    match = _TIME.fullmatch(_text(value))
    if match is None:
        raise _Wrong("is not a time as RFC 3339 writes it")
    *parts, fraction, offset = match.groups()
    if offset is None:
        raise _Wrong("has no offset")
    year, month, day, hour, minute, second = map(int, parts)
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise _Wrong(f"is not in the years {FIRST_YEAR} to {LAST_YEAR}")
    # Finer than a microsecond is cut off.
    microsecond = int(fraction[:6].ljust(6, "0")) if fraction else 0
    try:
        moment = datetime(year, month, day, hour, minute, min(second, 59), microsecond, _zone(offset)).astimezone(UTC)
    except ValueError:
        raise _Wrong("is not a time of the calendar and the clock") from None
    return moment if second < 60 else _after_leap_second(moment, second)


def _after_leap_second(moment: datetime, second: int) -> datetime:
    """A leap second, 23:59:60 UTC at the end of a month, counts as the second after it: a computer's clock has none."""
    following = moment + timedelta(seconds=1)
    is_month_end = (following.day, following.hour, following.minute, following.second) == (1, 0, 0, 0)
    if second > 60 or not is_month_end:
        raise _Wrong("is not a time of the calendar and the clock")
    return following


@lru_cache(maxsize=4096)
def _zone(offset: str) -> timezone:
    if offset in "Zz":
        return UTC
    shift = timedelta(hours=int(offset[1:3]), minutes=int(offset[4:6]))
    return timezone(-shift if offset[0] == "-" else shift)


def _read_event(value: Any, members: _Members) -> datetime | None:
    return None if value is None else _read_moment(value, members)


def _read_source(value: Any, _members: _Members) -> str:
    if value not in SOURCES:
        raise _Wrong('is not "purchased" or "uploaded"')
    return value


def _read_flag(value: Any, _members: _Members) -> bool:
    if not isinstance(value, bool):
        raise _Wrong("is not true or false")
    return value


def _read_amount(value: Any, members: _Members) -> int:
    """The currency stands behind the amounts: where it is wrong itself, only their writing is looked at."""
    text, currency = _text(value), members.get("currency")
    try:
        return parse_amount(text, currency if _is_currency(currency) else None)
    except AmountError:
        if _is_negative(text):  # an impossible fact, told after everything else
            return -1
        raise


def _is_negative(text: str) -> bool:
    try:
        return text.startswith("-") and parse_amount(text[1:], None) > 0
    except AmountError:
        return False


def _read_currency(value: Any, _members: _Members) -> str:
    if not _is_currency(_text(value)):
        raise _Wrong("is not three capital letters")
    return value


def _is_currency(value: Any) -> bool:
    return isinstance(value, str) and _CURRENCY.fullmatch(value) is not None


def _read_policy(members: _Members) -> str:
    if "policy" not in members:
        return DEFAULT_POLICY
    return _read_member(members, "policy", _read_known_policy)


def _read_known_policy(value: Any, _members: _Members) -> str:
    if _text(value) not in POLICIES:
        raise _Wrong("is not a known policy")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Wrong("is not a string")
    return value


# The required keys in the promise's order, each with what reads its value.
READERS: Mapping[str, Callable[[Any, _Members], Any]] = MappingProxyType(
    {
        "at": _read_moment,
        "source": _read_source,
        "free": _read_flag,
        "paid": _read_amount,
        "voucher": _read_amount,
        "currency": _read_currency,
        "purchased_at": _read_moment,
        "expires_at": _read_moment,
        **dict.fromkeys(EVENTS, _read_event),
    }
)


# --- Impossible facts --------------------------------------------------------------------------


def _require_possible(facts: Facts, at: datetime) -> None:
    """Raise LineError for facts that cannot be, whatever `at`; of two fields at odds the later event is named."""
    if at < facts.purchased_at:
        raise LineError("at", "is before purchased_at")
    if facts.expires_at <= facts.purchased_at:
        raise LineError("expires_at", "is not after purchased_at")
    for name in EVENTS:
        _require_not_before(facts, name, "purchased_at")
    for name in ("revocation_requested_at", "revoked_at"):
        if getattr(facts, name) is not None and facts.issued_at is None:
            raise LineError(name, "is given without issued_at")
        _require_not_before(facts, name, "issued_at")
    _require_not_before(facts, "revoked_at", "revocation_requested_at")
    for name in ("paid", "voucher"):
        if getattr(facts, name) < 0:
            raise LineError(name, "is below 0")


def _require_not_before(facts: Facts, name: str, earlier_name: str) -> None:
    moment, earlier = getattr(facts, name), getattr(facts, earlier_name)
    if moment is not None and earlier is not None and moment < earlier:
        raise LineError(name, f"is before {earlier_name}")
