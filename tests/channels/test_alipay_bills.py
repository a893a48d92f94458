"""The daily bill of Alipay, which is its own list of refunds."""

import io
import zipfile
from datetime import UTC, date, datetime, timedelta

import pytest

from payments.channels import Outcome, Unanswered, alipay, alipay_bills, alipay_gateway
from payments.channels.alipay_signing import Keys
from payments.models import Payout
from tests.channels.conftest import alipay_payout, work
from tests.channels.fake_alipay import APP_ID, key_pairs, table, zipped
from tests.channels.server import Fault
from tests.factories import NOON

pytestmark = pytest.mark.usefixtures("alipay_channel", "frozen")

DAY = date(2026, 11, 23)


@pytest.fixture
def paid(customer, alipay_fake) -> Payout:
    payout = alipay_payout(customer, alipay_fake)
    work(NOON)
    return Payout.objects.get(pk=payout.pk)


def on(channel, day: date = DAY) -> list:
    return list(channel.refunds_on(day))


def test_bill_has_our_refunds_and_those_made_by_hand(paid, alipay_fake, alipay_channel, frozen):
    by_order = alipay_fake.sell(9_000, by_order=True)
    theirs = alipay_fake.refund(by_order, 4_001, "by-hand")
    alipay_fake.now = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
    alipay_fake.refund(by_order, 1_000, "next-day")
    _next_day(alipay_fake, frozen)
    ours, hand = on(alipay_channel)
    assert (ours.reference, ours.key) == (paid.external_reference, str(paid.key))
    assert (ours.amount, ours.currency, ours.outcome, ours.at) == (120_000, "CNY", Outcome.PAID, NOON)
    assert ours.payment_reference == paid.payment.reference
    assert (hand.reference, hand.key, hand.amount) == (theirs, "", 4_001)
    assert hand.payment_reference == alipay_fake.trades[1].number
    _next_day(alipay_fake, frozen, 48)
    assert [refund.amount for refund in on(alipay_channel, date(2026, 11, 24))] == [1_000]


def _next_day(fake, frozen, hours: int = 24) -> None:
    fake.now = NOON + timedelta(hours=hours)
    frozen.move_to(fake.now)


def test_bill_names_the_payment_as_we_store_it(customer, alipay_fake, alipay_channel, frozen):
    payout = alipay_payout(customer, alipay_fake, by_order=True)
    work(NOON)
    _next_day(alipay_fake, frozen)
    [refund] = on(alipay_channel)
    assert (refund.payment_reference, refund.key) == (payout.payment.reference, str(payout.key))


def test_bill_says_the_same_as_the_look_up(paid, alipay_fake, alipay_channel, frozen):
    _next_day(alipay_fake, frozen)
    assert on(alipay_channel) == [alipay_channel.look_up(paid)]


def test_day_without_a_bill_has_no_refunds_once_bills_are_out(alipay_fake, alipay_channel, frozen):
    for hours, is_out in [(0, False), (23, False), (24, True)]:
        _next_day(alipay_fake, frozen, hours)
        if is_out:
            assert on(alipay_channel) == []
        else:
            with pytest.raises(Unanswered, match=r"账单不存在 \(isp.bill_not_exist\)"):
                on(alipay_channel)


@pytest.mark.django_db
def test_bill_in_pages_is_read_whole(alipay_fake, alipay_channel, frozen, monkeypatch):
    monkeypatch.setattr(alipay, "PAGE", 2)
    reference = alipay_fake.sell(9_000)
    for number in range(5):
        alipay_fake.refund(reference, 100 + number, f"number-{number}")
    _next_day(alipay_fake, frozen)
    assert [refund.amount for refund in on(alipay_channel)] == [100, 101, 102, 103, 104]


ROW = {
    "支付宝交易号": "2026112022001400000000000001\t",
    "商户订单号": "ORDER-1\t",
    "业务类型": "退款",
    "商品名称": "证书, 一年",
    "完成时间": "2026-11-23 12:00:00",
    "订单金额（元）": "-1.00",
    "退款批次号/请求号": "n1\t",
}


def rows(*rows_: dict[str, str]) -> bytes:
    return zipped({"details.csv": table(list(rows_))})


@pytest.mark.django_db
def test_bill_is_read_however_it_is_written(alipay_fake, alipay_channel, frozen):
    _next_day(alipay_fake, frozen)
    for bill in [
        rows(ROW),
        rows({**ROW, "订单金额（元）": "1.00"}),
        zipped({"a.csv": table([]), "b.csv": table([ROW])}),
        zipped({"a.csv": table([ROW]).replace("（元）".encode("gbk"), b"(\xd4\xaa)")}),
    ]:
        alipay_fake.bill = bill
        assert [(refund.amount, refund.reference) for refund in on(alipay_channel)] == [
            (100, "2026112022001400000000000001/n1")
        ]
    alipay_fake.bill = rows({**ROW, "退款批次号/请求号": ""})
    assert on(alipay_channel)[0].reference == "2026112022001400000000000001/ORDER-1"
    alipay_fake.bill = rows()
    assert on(alipay_channel) == []


BROKEN = [
    b"",
    b"<html>",
    rows(ROW)[:-40],
    rows(ROW).replace(b"PK\x03\x04", b"PK\x03\x05"),
    zipped({}),
    zipped({"a.csv": b""}),
    zipped({"a.csv": b"\xff\xff"}),
    zipped({"a.csv": table([ROW])[:-200].replace("退款".encode("gbk"), b"x")}),
    rows({**ROW, "订单金额（元）": ""}),
    rows({**ROW, "订单金额（元）": "1e2"}),
    rows({**ROW, "完成时间": ""}),
    zipped({"a.csv": table([ROW]).replace(b'"', b"")}),
    zipped({"a.csv": table([ROW]).replace(b"n1\t,,,", b"n1\t")}),
    zipped({"a.csv": table([{k: v for k, v in ROW.items() if k != "业务类型"}], [k for k in ROW if k != "业务类型"])}),
]


@pytest.mark.parametrize("bill", BROKEN)
def test_bill_that_is_broken_is_no_answer(alipay_fake, alipay_channel, frozen, bill):
    _next_day(alipay_fake, frozen)
    alipay_fake.bill = bill or b" "
    with pytest.raises(Unanswered, match="Alipay's bill of 2026-11-23 cannot be read"):
        on(alipay_channel)


def test_bill_that_grows_when_it_is_unpacked_is_no_answer(alipay_fake, alipay_channel, frozen, monkeypatch):
    _next_day(alipay_fake, frozen)
    alipay_fake.bill = rows(ROW)
    monkeypatch.setattr(alipay_bills, "LARGEST_UNPACKED", 100)
    with pytest.raises(Unanswered, match="cannot be read"):
        on(alipay_channel)
    monkeypatch.setattr(alipay_gateway, "LARGEST_BILL", 100)
    with pytest.raises(Unanswered, match="too large"):
        on(alipay_channel)


@pytest.mark.parametrize("fault", [Fault.ERROR_BEFORE, Fault.DROPPED_AFTER])
def test_bill_that_cannot_be_fetched_is_no_answer(paid, alipay_fake, alipay_channel, frozen, fault):
    _next_day(alipay_fake, frozen)
    alipay_fake.faults.extend([None, fault])
    with pytest.raises(Unanswered):
        on(alipay_channel)


def test_address_of_a_bill_is_not_repeated(paid, alipay_fake, alipay_channel, frozen):
    """Whoever has it, has the bill. It is asked for by https here, which the fake does not speak."""
    _next_day(alipay_fake, frozen)
    alipay_fake.bill_address = alipay_fake.url.replace("http:", "https:") + "/bill/secret-words"
    with pytest.raises(Unanswered) as raised:
        on(alipay_channel)
    assert "secret-words" not in str(raised.value)


@pytest.mark.parametrize(
    ("told", "asked"),
    [
        ("https://example.com/bill?a=1", "https://example.com/bill?a=1"),
        ("https://example.com:8443/bill", "https://example.com:8443/bill"),
        ("http://dwbillcenter.alipay.com/f?a=1", "https://dwbillcenter.alipay.com/f?a=1"),
        ("http://gateway.test:8080/bill", "http://gateway.test:8080/bill"),
        ("http://gateway.test:8081/bill", ""),
        ("http://example.com:80/bill", ""),
        ("http://user@example.com/bill", ""),
        ("ftp://example.com/bill", ""),
        ("file:///etc/passwd", ""),
        ("//example.com/bill", ""),
        ("None", ""),
        ("", ""),
    ],
)
def test_bill_is_fetched_from_safe_addresses_only(told, asked):
    ours, theirs = key_pairs()
    url = "http://gateway.test:8080/gateway.do"
    gateway = alipay_gateway.Gateway(url, app_id=APP_ID, keys=Keys(ours.private, theirs.public), timeout=1)
    if asked:
        assert gateway._safe(told) == asked
    else:
        with pytest.raises(Unanswered):
            gateway._safe(told)


def test_bill_at_an_unsafe_address_is_not_asked_for(paid, alipay_fake, alipay_channel, frozen):
    _next_day(alipay_fake, frozen)
    for address in ["http://localhost:1/bill", "http://[", "https://[::1"]:
        alipay_fake.bill_address = address
        with pytest.raises(Unanswered):
            on(alipay_channel)


def test_bill_files_are_what_the_fake_makes_of_them(paid, alipay_fake):
    """The tests above would be nothing worth with another encoding."""
    with zipfile.ZipFile(io.BytesIO(alipay_fake.bill_of(DAY))) as archive:
        assert "支付宝交易号".encode("gbk") in archive.read(archive.namelist()[0])
