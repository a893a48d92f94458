"""What is taken for an answer of Alipay's, and for its signature: two implementations of RSA2 meet."""

import re
import time
from urllib.parse import parse_qs

import hypothesis
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import strategies as st

from payments.channels import Outcome, Unanswered, alipay, alipay_gateway
from payments.channels.alipay import AlipayChannel
from payments.channels.alipay_signing import Keys
from payments.models import Payout
from tests.channels.conftest import alipay_payout, work
from tests.channels.fake_alipay import APP_ID, BusinessError, KeyPair, key_pairs, sdk_of_alipay, sdk_of_application
from tests.channels.server import Answer
from tests.factories import NOON

pytestmark = pytest.mark.usefixtures("alipay_channel", "frozen")


@pytest.fixture
def paid(customer, alipay_fake) -> Payout:
    payout = alipay_payout(customer, alipay_fake)
    work(NOON)
    return Payout.objects.get(pk=payout.pk)


# --- Answers -----------------------------------------------------------------------------------

GOOD = [
    lambda node, text, sign: f'{{"{node}":{text},"sign":"{sign}"}}',
    lambda node, text, sign: f'{{"sign":"{sign}","{node}":{text}}}',
    lambda node, text, sign: f' {{\n "{node}" : {text} ,\t"alipay_cert_sn":"1{{}}","sign" : "{sign}"\r\n}}\n',
    lambda node, text, sign: f'{{"x":{{"{node}":{{"code":"1"}}}},"{node}":{text},"sign":"{sign}"}}',
]
BAD = [
    lambda node, text, sign: f'{{"{node}":{text}}}',
    lambda node, text, sign: f'{{"{node}":{text},"sign":""}}',
    lambda node, text, sign: f'{{"{node}":{text},"sign":null}}',
    lambda node, text, sign: f'{{"{node}":{text},"sign":["{sign}"]}}',
    lambda node, text, sign: f'{{"{node}":{text},"sign":"{sign[:-4]}"}}',
    lambda node, text, sign: f'{{"{node}":{text},"sign":"{sign}é"}}',
    lambda node, text, sign: f'{{"{node}":{text.replace("Y", "N")},"sign":"{sign}"}}',
    lambda node, text, sign: f'{{"{node}":{text.replace("1200.00", "1200.0")},"sign":"{sign}"}}',
    lambda node, text, sign: f'{{"{node}": {{ {text[1:]},"sign":"{sign}"}}',
    lambda node, text, sign: f'{{"error_response":{text},"sign":"{sign}"}}',
    lambda node, text, sign: f'{{"{node}":{text},"{node}":{{"code":"10000","fund_change":"Y"}},"sign":"{sign}"}}',
    lambda node, text, sign: f'{{"{node}":{{"code":"10000","fund_change":"Y"}},"{node}":{text},"sign":"{sign}"}}',
    lambda node, text, sign: f'{{"{node}":{text},"sign":"{sign}"}}{{}}',
    lambda node, text, sign: f'{{"{node}":{text},"sign":"{sign}"',
    lambda node, text, sign: f'[{{"{node}":{text},"sign":"{sign}"}}]',
    lambda node, text, sign: f'{{"{node}":{text},1:2,"sign":"{sign}"}}',
    lambda *_: "",
    lambda *_: "{}",
    lambda *_: "null",
    lambda *_: "[" * 100_000,
    lambda *_: '{"a":' * 100_000,
]


@pytest.mark.parametrize("writes", GOOD)
@pytest.mark.parametrize("escapes", [False, True])
def test_answer_is_understood_however_it_is_written(customer, alipay_fake, alipay_channel, writes, escapes):
    payout = alipay_payout(customer, alipay_fake)
    alipay_fake.writes, alipay_fake.escapes = writes, escapes
    said = 'a "quoted" } { \\ / brace, "sign":"x"'
    alipay_fake.said_next.append(BusinessError("ACQ.SYSTEM_ERROR", said))
    with pytest.raises(Unanswered, match=re.escape(f"{said} (ACQ.SYSTEM_ERROR)")):
        alipay_channel.pay_back(payout)
    assert alipay_channel.pay_back(payout).outcome == Outcome.PAID


@pytest.mark.parametrize("writes", BAD)
def test_answer_that_is_not_signed_as_it_stands_is_none(customer, alipay_fake, alipay_channel, writes):
    payout = alipay_payout(customer, alipay_fake)
    plain, alipay_fake.writes = alipay_fake.writes, writes
    with pytest.raises(Unanswered, match=r"^Alipay's answer is not signed by Alipay, or makes no sense\.$"):
        alipay_channel.pay_back(payout)
    alipay_fake.writes = plain
    assert alipay_channel.look_up(payout).outcome == Outcome.PAID


@pytest.mark.parametrize("writes", BAD[:3])
def test_refusal_that_is_not_signed_is_none(customer, alipay_fake, writes):
    payout = alipay_payout(customer, alipay_fake)
    alipay_fake.said_next.append(BusinessError("ACQ.TRADE_NOT_EXIST"))
    alipay_fake.writes = writes
    work(NOON)
    payout.refresh_from_db()
    assert payout.state == "unknown"
    assert payout.trouble == "Alipay's answer is not signed by Alipay. It says: ACQ.TRADE_NOT_EXIST"


@pytest.mark.parametrize("method", ["pay_back", "look_up"])
@pytest.mark.parametrize(
    "change",
    [
        {"trade_no": ""},
        {"trade_no": None},
        {"trade_no": "2026112022001400000000009999", "out_trade_no": "ORDER-9"},
        {"trade_no": "x\n"},
    ],
)
def test_answer_about_another_trade_is_none(customer, alipay_fake, alipay_channel, monkeypatch, method, change):
    payout = alipay_payout(customer, alipay_fake, by_order=True)
    ask = getattr(alipay_channel, method)
    alipay_fake.refund(payout.payment.reference, payout.amount, str(payout.key))
    answer = {
        "fund_change": "Y",
        **alipay_fake._found({"out_trade_no": payout.payment.reference, "out_request_no": str(payout.key)}),
    }
    monkeypatch.setattr(alipay_fake, "_done", lambda *_: {**answer, **change})
    with pytest.raises(Unanswered):
        ask(payout)
    monkeypatch.setattr(alipay_fake, "_done", lambda *_: answer)
    assert ask(payout).outcome == Outcome.PAID


@pytest.mark.parametrize(
    "change",
    [
        {"out_request_no": "another"},
        {"out_request_no": None},
        {"refund_status": "REFUND_SOMETHING"},
        {"refund_amount": ""},
        {"refund_amount": None},
        {"refund_amount": "1e3"},
        {"refund_amount": "-1.00"},
        {"refund_amount": "1.001"},
        {"gmt_refund_pay": "yesterday"},
    ],
)
def test_refund_that_is_not_understood_is_no_answer(paid, alipay_fake, alipay_channel, monkeypatch, change):
    found = alipay_fake._found({"trade_no": paid.payment.reference, "out_request_no": str(paid.key)})
    monkeypatch.setattr(alipay_fake, "_found", lambda _: {**found, **change})
    with pytest.raises(Unanswered, match="not understood"):
        alipay_channel.look_up(paid)


def test_amount_written_as_a_number_is_read_to_the_cent(paid, alipay_fake, alipay_channel, monkeypatch):
    found = alipay_fake._found({"trade_no": paid.payment.reference, "out_request_no": str(paid.key)})
    monkeypatch.setattr(alipay_fake, "_found", lambda _: {**found, "refund_amount": 0.29})
    assert alipay_channel.look_up(paid).amount == 29


@pytest.mark.parametrize("status", [201, 302, 404, 503])
def test_answer_with_another_status_is_none(paid, alipay_fake, alipay_channel, monkeypatch, status):
    answer = alipay_fake.answer

    def other(request, fault):
        return Answer(answer(request, fault).body, status, {"Location": f"{alipay_fake.url}/elsewhere"})

    monkeypatch.setattr(alipay_fake, "answer", other)
    alipay_fake.requests.clear()
    with pytest.raises(Unanswered, match=f"HTTP status {status}"):
        alipay_channel.look_up(paid)
    assert len(alipay_fake.requests) == 1


def test_answer_that_is_too_large_is_none(paid, alipay_fake, alipay_channel, monkeypatch):
    monkeypatch.setattr(alipay_gateway, "LARGEST_ANSWER", 100)
    with pytest.raises(Unanswered, match="too large"):
        alipay_channel.look_up(paid)


def test_answer_that_drips_is_none():
    """It is never silent, and yet must end in time."""

    class Dripping:
        raw = property(lambda self: self)

        def read1(self, size: int, *, decode_content: bool) -> bytes:
            return b"x"

    with pytest.raises(Unanswered, match="too long"):
        alipay_gateway._read(Dripping(), 100, time.monotonic())


# --- Signatures and keys -----------------------------------------------------------------------

TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from(" +=&%/\\\"'\n号"), max_size=40)
NAMES = st.text("abcdefgh_+&=%19A号", min_size=1, max_size=12).filter(lambda name: name not in {"sign", "sign_type"})
PARAMS = st.dictionaries(NAMES, TEXTS, max_size=8)


@hypothesis.settings(max_examples=50)
@given(PARAMS)
def test_what_we_sign_is_what_the_sdk_signs_and_takes(params):
    ours, theirs = key_pairs()
    signature = Keys(ours.private, theirs.public).sign(params)
    # The SDK signs the same text the same way: RSA2 has no chance in it.
    signed = sdk_of_application().sign_data(dict(params))
    assert parse_qs("sign=" + signed.rpartition("sign=")[2])["sign"] == [signature]
    assert sdk_of_alipay().verify(dict(params), signature)
    assert not sdk_of_alipay().verify({**params, "x9": "1"}, signature)


@hypothesis.settings(max_examples=50)
@given(PARAMS)
def test_what_the_sdk_signs_is_what_we_take(params):
    ours, theirs = key_pairs()
    keys = Keys(ours.private, theirs.public)
    signature = sdk_of_alipay()._sign("&".join(f"{name}={value}" for name, value in sorted(params.items())))
    assert keys.has_signed(alipay.signed_content(params), signature)
    assert not keys.has_signed(alipay.signed_content(params) + b"&", signature)


def _der(pem: str) -> str:
    return "".join(line for line in pem.splitlines() if "-----" not in line)


def _private_forms() -> list[str]:
    pem = key_pairs()[0].private
    key = load_pem_private_key(pem.encode(), None)
    pkcs1 = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    return [
        pem,
        _der(pem),
        pkcs1,
        _der(pkcs1),
        "\n".join(re.findall(".{1,64}", _der(pkcs1))),
        pem.replace("\n", "\r\n"),
    ]


def _public_forms() -> list[str]:
    pem = key_pairs()[1].public
    pkcs1 = load_pem_public_key(pem.encode()).public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode()
    return [pem, _der(pem), pkcs1, _der(pkcs1)]


@pytest.mark.parametrize("number", range(6))
def test_private_key_may_be_written_in_each_way(number):
    _, theirs = key_pairs()
    signature = Keys(_private_forms()[number], theirs.public).sign({"a": "1"})
    assert sdk_of_alipay().verify({"a": "1"}, signature)


@pytest.mark.parametrize("number", range(4))
def test_public_key_may_be_written_in_each_way(number):
    keys = Keys(key_pairs()[0].private, _public_forms()[number])
    assert keys.has_signed(b"a=1", sdk_of_alipay()._sign("a=1"))


def _wrong_private() -> list[str]:
    ours, _ = key_pairs()
    key = load_pem_private_key(ours.private.encode(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode()
    curve = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return [
        "secret-words",
        "号",
        ours.public,
        _der(ours.public),
        _der(ours.private)[:-8],
        locked,
        curve.decode(),
        KeyPair.new(1024).private,
    ]


@pytest.mark.parametrize("number", range(8))
def test_private_key_that_cannot_be_read_is_said_and_not_repeated(number):
    wrong = _wrong_private()[number]
    with pytest.raises(ImproperlyConfigured) as raised:
        Keys(wrong, key_pairs()[1].public)
    assert str(raised.value).startswith("ALIPAY_PRIVATE_KEY is no private RSA key")
    assert not _is_repeated(wrong, raised.value)


def test_public_key_that_cannot_be_read_is_said_and_not_repeated():
    ours, theirs = key_pairs()
    for wrong in [
        "secret-words",
        theirs.private,
        _der(theirs.private),
        _der(theirs.public)[:-8],
        KeyPair.new(1024).public,
    ]:
        with pytest.raises(ImproperlyConfigured) as raised:
            Keys(ours.private, wrong)
        assert str(raised.value).startswith("ALIPAY_PUBLIC_KEY is no public RSA key")
        assert not _is_repeated(wrong, raised.value)


def test_own_public_key_is_not_taken_for_alipays():
    ours, _ = key_pairs()
    with pytest.raises(ImproperlyConfigured, match="the application's own"):
        Keys(ours.private, ours.public)


def _is_repeated(secret: str, error: BaseException | None) -> bool:
    """Whether an error or what it came from tells any of it."""
    told = ""
    while error is not None:
        told += f"{error!r} {error.__cause__!r}"
        error = error.__context__ if not error.__suppress_context__ else None
    return any(part in told for part in re.findall(r".{12}", _der(secret)))


def test_channel_is_connected_by_its_three_settings_and_no_fewer(settings):
    ours, theirs = key_pairs()
    given_ = {"ALIPAY_APP_ID": APP_ID, "ALIPAY_PRIVATE_KEY": ours.private, "ALIPAY_PUBLIC_KEY": theirs.public}
    assert set(given_) == set(alipay.SETTINGS)
    settings.ALIPAY_URL = "https://openapi-sandbox.dl.alipaydev.com/gateway.do"
    for name in given_:
        for other, value in given_.items():
            setattr(settings, other, "" if other == name else value)
        assert alipay.from_settings() is None
    for name, value in given_.items():
        setattr(settings, name, value)
    assert isinstance(alipay.from_settings(), AlipayChannel)
    settings.ALIPAY_PRIVATE_KEY = "not-a-key-at-all"
    with pytest.raises(ImproperlyConfigured) as raised:
        alipay.from_settings()
    assert "not-a-key" not in str(raised.value)
