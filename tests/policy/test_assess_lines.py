"""What a line of `assess_refunds` may hold, and what is said of one that may not. docs/assess.md is the promise."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.money import plain_amount
from refunds.rules.assess import EVENTS, Facts, assess
from refunds.rules.assess_lines import READERS, LineError, answers, read_line
from tests.policy.strategies import questions, repeatable

ISSUED = {
    "at": "2026-09-28T12:00:00Z",
    "source": "purchased",
    "free": False,
    "paid": "1200.00",
    "voucher": "50.00",
    "currency": "CNY",
    "purchased_at": "2026-08-26T10:00:00+08:00",
    "expires_at": "2027-09-07T09:30:00+08:00",
    "submitted_at": "2026-08-27T09:00:00+08:00",
    "validated_at": "2026-09-07T09:00:00+08:00",
    "issued_at": "2026-09-07T09:30:00+08:00",
    "revocation_requested_at": None,
    "revoked_at": None,
}
BEFORE_PURCHASE = "2026-08-26T09:59:59.999999+08:00"
BEFORE_ISSUE = "2026-09-07T09:29:59+08:00"


def line(**fields: Any) -> bytes:
    """The line of an issued certificate, with other values; `...` leaves a key out."""
    values = {key: value for key, value in {**ISSUED, **fields}.items() if value is not ...}
    return json.dumps(values).encode()


def told(text: bytes) -> dict[str, Any]:
    [answer] = answers([text])
    return answer


def error_of(text: bytes) -> str:
    return told(text)["error"]


def field_at_fault(text: bytes) -> str:
    return error_of(text).partition(": ")[0]


# --- What is read ------------------------------------------------------------------------------


def as_line(facts: Facts, at: datetime) -> bytes:
    moments = {name: getattr(facts, name) for name in ("purchased_at", "expires_at", *EVENTS)}
    return json.dumps(
        {
            "at": at.isoformat(),
            "source": facts.source,
            "free": facts.free,
            "paid": plain_amount(facts.paid, facts.currency),
            "voucher": plain_amount(facts.voucher, facts.currency),
            "currency": facts.currency,
            **{name: moment and moment.isoformat() for name, moment in moments.items()},
        }
    ).encode()


@repeatable
@given(questions())
def test_a_line_asks_the_policy_about_the_facts_it_gives(question: tuple[Facts, datetime]):
    facts, at = question
    assert read_line(as_line(facts, at)) == (facts, at)
    answer, assessment = told(as_line(facts, at)), assess(facts, at)
    assert answer["rule"] == assessment.rule
    assert answer["amount"] == (plain_amount(facts.paid, facts.currency) if assessment.supported else None)
    assert answer["changes_at"] == (assessment.changes_at and assessment.changes_at.isoformat())


def test_the_answer_has_the_promised_keys_in_their_order():
    assert list(told(line())) == [
        "supported", "rule", "review", "amount", "currency", "button", "warnings", "request_by", "revoke_by",
        "safe_revoke_by", "review_due", "calendar", "changes_at",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-09-28T12:00:00Z", datetime(2026, 9, 28, 12, tzinfo=UTC)),
        ("2026-09-28t12:00:00z", datetime(2026, 9, 28, 12, tzinfo=UTC)),
        ("2026-09-28T20:00:00+08:00", datetime(2026, 9, 28, 12, tzinfo=UTC)),
        ("2026-09-28T12:00:00-00:00", datetime(2026, 9, 28, 12, tzinfo=UTC)),
        ("2026-09-29T11:59:00+23:59", datetime(2026, 9, 28, 12, tzinfo=UTC)),
        ("2026-09-28T12:00:00.5Z", datetime(2026, 9, 28, 12, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-09-28T12:00:00.123456789Z", datetime(2026, 9, 28, 12, 0, 0, 123_456, tzinfo=UTC)),
        ("2200-12-31T23:59:59Z", datetime(2200, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("2200-12-31T23:59:59-05:00", datetime(2201, 1, 1, 4, 59, 59, tzinfo=UTC)),
        ("2028-02-29T00:00:00Z", datetime(2028, 2, 29, tzinfo=UTC)),
        # A leap second, in two offsets.
        ("2026-12-31T23:59:60Z", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2027-01-01T07:59:60+08:00", datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_as_rfc_3339_writes_it(text: str, moment: datetime):
    assert read_line(line(at=text))[1] == moment


def test_the_first_year_is_read():
    facts, at = read_line(
        line(at="1970-01-01T00:00:00+08:00", purchased_at="1970-01-01T00:00:00+08:00", **dict.fromkeys(EVENTS))
    )
    assert facts.purchased_at == at == datetime(1969, 12, 31, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    ("paid", "currency", "amount"),
    [
        ("1200", "CNY", "1200.00"),
        ("1200.5", "CNY", "1200.50"),
        ("1200", "JPY", "1200"),
        ("1.5", "KWD", "1.500"),
        ("07.10", "XYZ", "7.10"),
    ],
)
def test_the_amount_comes_back_with_the_currencys_digits(paid: str, currency: str, amount: str):
    answer = told(
        line(paid=paid, voucher="0", currency=currency, revocation_requested_at=ISSUED["at"], revoked_at=ISSUED["at"])
    )
    assert (answer["rule"], answer["amount"], answer["currency"]) == ("issued-revoked", amount, currency)


def test_keys_that_are_not_known_are_ignored_whatever_they_hold():
    extra = b'"note": {"a": [1, {"a": 1, "a": 2}], "huge": ' + b"9" * 5000 + b', "e": 1e999, "\\ud800": "\\udfff"}, '
    assert told(line().replace(b'{"at"', b"{" + extra + b'"at"')) == told(line())


def test_a_known_policy_may_be_named():
    assert told(line(policy="intl-2021")) == told(line())


def test_an_uploaded_certificate_is_answered():
    answer = told(line(source="uploaded", paid="0.00", voucher="0.00"))
    assert (answer["rule"], answer["supported"], answer["button"]) == ("uploaded", False, False)


# --- Lines ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        b"", b"\n", b"  \t\r\n", b"null", b"[]", b"1", b'"{}"', b"[{}]", b"{", b"{}{}", b"{} x", b"\xff",
        b'{"at": "\xff"}', b'{"at": NaN}', b'{"other": Infinity}', b'{"other": -Infinity}', b"{'at': 1}",
        b'{"at": 1,}', b'{"at": "a\tb"}', b"\x00", b'{"other": "\xed\xa0\x80"}', b"[" * 200_000,
        b'{"other": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", b'{"other": 01}',
    ],
    ids=lambda text: repr(text[:20]),
)  # fmt: skip
def test_what_is_no_json_object_is_an_error_of_the_line(text: bytes):
    assert field_at_fault(text) == "line"


def test_an_error_stays_with_its_line():
    lines = [line(), b"\xff\xfe\n", b"\n", line(at="x") + b"\r\n", line() + b"\r\n", b"[]\n", line()]
    found = list(answers(lines))
    assert [answer.get("line") for answer in found] == [None, 2, 3, 4, None, 6, None]
    assert found[0] == found[4] == found[6] == told(line())


def test_a_byte_order_mark_opens_the_file_only():
    marked = b"\xef\xbb\xbf" + line()
    first, second = answers([marked, marked])
    assert first == told(line())
    assert second["error"].startswith("line: ")


# --- Keys, in their order ------------------------------------------------------------------------


@pytest.mark.parametrize("key", READERS)
def test_a_missing_key_is_named(key: str):
    assert error_of(line(**{key: ...})) == f"{key}: is missing"


@pytest.mark.parametrize("key", READERS)
def test_a_key_given_twice_is_named(key: str):
    twice = line().replace(b'{"at"', b"{" + json.dumps({key: ISSUED[key]}).encode()[1:-1] + b', "at"')
    assert field_at_fault(twice) == key


@pytest.mark.parametrize("value", [7, 1.5, True, [], {}, "", "later", "\ud800", "1200,00"])
@pytest.mark.parametrize("key", [key for key in READERS if key != "free"])
def test_a_value_of_the_wrong_kind_is_an_error_of_its_key(key: str, value: Any):
    assert field_at_fault(line(**{key: value})) == key


@pytest.mark.parametrize("value", [0, 1, "true", "false", None, [], {}])
def test_free_is_true_or_false(value: Any):
    assert field_at_fault(line(free=value)) == "free"


@pytest.mark.parametrize("key", [key for key in READERS if key not in EVENTS])
def test_only_events_may_be_null(key: str):
    assert field_at_fault(line(**{key: None})) == key


def test_the_first_key_in_the_tables_order_is_named():
    """Each key in turn is the first wrong one, with everything after it wrong too, and impossible facts besides."""
    keys = [*READERS, "policy"]
    for position, key in enumerate(keys):
        wrong = dict.fromkeys(keys[position:], 7)
        assert field_at_fault(line(**{"purchased_at": "2030-01-01T00:00:00Z", **wrong})) == key


@pytest.mark.parametrize("value", ["cn-2021", "", "INTL-2021", None, 7, [], {}])
def test_an_unknown_policy_is_an_error(value: Any):
    assert field_at_fault(line(policy=value)) == "policy"


@pytest.mark.parametrize("value", ["bought", "Purchased", "purchased ", ""])
def test_a_source_is_purchased_or_uploaded(value: str):
    assert field_at_fault(line(source=value)) == "source"


@pytest.mark.parametrize("value", ["cny", "CN", "CNYY", "C1Y", "ＣＮＹ", "CNY\n", "ÄÖÜ"])
def test_a_currency_is_three_capital_letters(value: str):
    assert field_at_fault(line(currency=value)) == "currency"


@pytest.mark.parametrize("key", ["paid", "voucher"])
@pytest.mark.parametrize(
    "value", ["1.234", "1200.000", "-1.00", "-0", "+1", "1.", ".5", "1e2", " 1", "１", "1\n", 1200, 12.5, None]
)
def test_an_amount_is_digits_and_at_most_the_currencys_minor_digits(key: str, value: Any):
    assert field_at_fault(line(**{key: value})) == key


def test_an_amount_below_nothing_says_so():
    assert error_of(line(paid="-1.00")) == "paid: is below 0"
    # Told last: the shape of every key, and all other impossible facts, come first.
    assert error_of(line(paid="-1.00", currency="yuan")).startswith("currency: ")
    assert error_of(line(voucher="-1", at="2020-01-01T00:00:00Z")) == "at: is before purchased_at"
    assert error_of(line(paid="-0")).startswith("paid: is not an amount")


def test_minor_digits_are_the_currencys():
    assert field_at_fault(line(currency="JPY")) == "paid"
    assert field_at_fault(line(currency="JPY", paid="1200")) == "voucher"
    assert "error" not in told(line(currency="KWD", paid="1.234", voucher="0.001"))


def test_without_a_currency_only_the_writing_of_amounts_is_judged():
    assert field_at_fault(line(currency="cny", paid="1.23456")) == "currency"
    assert field_at_fault(line(currency=..., paid="1.")) == "paid"


def test_a_time_without_an_offset_says_so():
    assert told(b'{"at": "2026-09-28T12:00:00"}') == {"error": "at: has no offset", "line": 1}


@pytest.mark.parametrize("key", ["at", "purchased_at", "expires_at", *EVENTS])
@pytest.mark.parametrize(
    "text",
    [
        "2026-09-28", "2026-09-28 12:00:00Z", "20260928T120000Z", "2026-09-28T12:00Z", "2026-09-28T12:00:00+0800",
        "2026-09-28T12:00:00+08", "2026-09-28T12:00:00+24:00", "2026-09-28T12:00:00+08:60", "2026-09-28T24:00:00Z",
        "2026-09-28T12:60:00Z", "2026-02-30T12:00:00Z", "2026-13-01T12:00:00Z", "2026-00-01T12:00:00Z",
        "2026-09-28T12:00:00.Z", "2026-09-28T12:00:00,5Z", "2026-9-28T12:00:00Z", "1969-12-31T23:59:59Z",
        "2201-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "+2026-09-28T12:00:00Z", "2026-09-28T12:00:00Z\n",
        " 2026-09-28T12:00:00Z", "２０２６-09-28T12:00:00Z", "2026-09-28T12:00:60Z", "2026-09-28T23:59:60Z",
        "2026-12-31T23:59:60+08:00", "2026-12-31T23:59:61Z", "2026-W40-1T12:00:00Z", "2026-09-28T12:00:00UTC",
        "2026-09-28T12:00:00+08:00:00", "2026-09-28T12:00:00−08:00",
    ],
)  # fmt: skip
def test_what_is_no_time_is_an_error_of_its_key(key: str, text: str):
    assert field_at_fault(line(**{key: text})) == key


# --- Impossible facts ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"at": BEFORE_PURCHASE}, "at: is before purchased_at"),
        ({"expires_at": BEFORE_PURCHASE}, "expires_at: is not after purchased_at"),
        ({"expires_at": ISSUED["purchased_at"]}, "expires_at: is not after purchased_at"),
        ({"expires_at": "2026-08-26T02:00:00Z"}, "expires_at: is not after purchased_at"),
        *[({name: BEFORE_PURCHASE}, f"{name}: is before purchased_at") for name in EVENTS],
        (
            {"issued_at": None, "revocation_requested_at": ISSUED["at"]},
            "revocation_requested_at: is given without issued_at",
        ),
        ({"issued_at": None, "revoked_at": ISSUED["at"]}, "revoked_at: is given without issued_at"),
        ({"revocation_requested_at": BEFORE_ISSUE}, "revocation_requested_at: is before issued_at"),
        ({"revoked_at": BEFORE_ISSUE}, "revoked_at: is before issued_at"),
        (
            {"revocation_requested_at": "2026-09-09T00:00:00Z", "revoked_at": "2026-09-08T23:59:59Z"},
            "revoked_at: is before revocation_requested_at",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("at", [None, "2026-08-26T10:00:00+08:00", "2200-01-01T00:00:00Z"])
def test_impossible_facts_name_the_later_event_whatever_the_moment(fields: dict[str, Any], error: str, at: str | None):
    moment = {"at": at} if at and "at" not in fields else {}
    assert error_of(line(**fields, **moment)) == error


def test_impossible_facts_are_told_in_their_order():
    """Each is the first when those before it are put right."""
    wrong = {
        "at": BEFORE_PURCHASE,
        "expires_at": BEFORE_PURCHASE,
        **dict.fromkeys(EVENTS, BEFORE_PURCHASE),
    }
    steps = [
        ({}, "at"),
        ({"at": ISSUED["at"]}, "expires_at"),
        ({"expires_at": ISSUED["expires_at"]}, "submitted_at"),
        ({"submitted_at": None}, "validated_at"),
        ({"validated_at": None}, "issued_at"),
        ({"issued_at": ISSUED["issued_at"]}, "revocation_requested_at"),
        ({"revocation_requested_at": BEFORE_ISSUE}, "revoked_at"),
        ({"revoked_at": BEFORE_ISSUE}, "revocation_requested_at"),
        ({"revocation_requested_at": ISSUED["at"]}, "revoked_at"),
        ({"revoked_at": ISSUED["issued_at"]}, "revoked_at"),
    ]
    for mended, field in steps:
        wrong.update(mended)
        assert field_at_fault(line(**wrong)) == field
    assert "error" not in told(line(**{**wrong, "revoked_at": ISSUED["at"]}))


@pytest.mark.parametrize(
    "fields",
    [
        {"at": ISSUED["purchased_at"]},
        {"expires_at": "2026-08-26T10:00:00.000001+08:00"},
        dict.fromkeys(EVENTS, ISSUED["purchased_at"]),
        {"submitted_at": "2026-09-20T00:00:00Z", "validated_at": "2026-09-01T00:00:00Z"},
        {"validated_at": None},
        {"issued_at": "2030-01-01T00:00:00Z"},
        {"revocation_requested_at": None, "revoked_at": "2026-09-10T00:00:00Z"},
        {"paid": "0", "voucher": "0"},
        {"source": "uploaded"},
        {"free": True},
    ],
)
def test_everything_else_is_possible(fields: dict[str, Any]):
    assert "error" not in told(line(**fields))


# --- Whatever comes ------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@repeatable
@given(st.binary() | st.dictionaries(st.sampled_from([*READERS, "policy"]), json_values).map(lambda v: line(**v)))
def test_any_line_gets_one_answer_that_is_a_line(text: bytes):
    [answer] = answers([text])
    assert "\n" not in json.dumps(answer)
    assert ("error" in answer) != ("rule" in answer)


@repeatable
@given(st.text(alphabet="0123456789-+:.TZtz ", max_size=30))
def test_any_text_is_a_time_or_an_error(text: str):
    try:
        facts, at = read_line(line(at=text))
    except LineError as error:
        assert str(error).startswith("at: ")
    else:
        assert at >= facts.purchased_at
