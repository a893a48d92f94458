"""Alipay as a refund meets it: trades, refunds, queries, daily bills, signed notifications. Written from public docs.

Requests are checked and answers are signed by python-alipay-sdk, so that two implementations meet.
"""

import csv
import io
import json
import zipfile
from collections import deque
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from alipay import AliPay
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from core.clock import SERVICE_ZONE
from core.money import plain_amount
from tests.channels.server import Answer, FakeChannel, Fault, Request
from tests.factories import NOON

APP_ID = "2021000000000001"
COMMON = {"app_id", "method", "format", "charset", "sign_type", "timestamp", "version", "biz_content", "sign"}
KNOWN = {
    "alipay.trade.refund": {
        "trade_no", "out_trade_no", "refund_amount", "refund_reason", "out_request_no", "refund_currency"
    },
    "alipay.trade.fastpay.refund.query": {"trade_no", "out_trade_no", "out_request_no", "query_options"},
    "alipay.trade.query": {"trade_no", "out_trade_no"},
    "alipay.data.dataservice.bill.downloadurl.query": {"bill_type", "bill_date"},
}  # fmt: skip
# The first line of a bill's details, as it is written there.
HEADER = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,商家实收（元）,"
    "支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,商家红包消费金额（元）,卡消费金额（元）,"
    "退款批次号/请求号,服务费（元）,分润（元）,备注"
)
COLUMNS = next(csv.reader([HEADER]))


@dataclass(frozen=True)
class KeyPair:
    """Both halves as PEM, private ones in PKCS #8."""

    private: str
    public: str

    @classmethod
    def new(cls, bits: int = 2048) -> "KeyPair":
        key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return cls(private.decode(), public.decode())


@cache
def key_pairs() -> tuple[KeyPair, KeyPair]:
    """The application's and Alipay's; made once, since they take their time."""
    return KeyPair.new(), KeyPair.new()


@cache
def sdk_of_application() -> AliPay:
    """The SDK with the application's keys, as a merchant has it."""
    ours, theirs = key_pairs()
    return AliPay(APP_ID, app_private_key_string=ours.private, alipay_public_key_string=theirs.public)


@cache
def sdk_of_alipay() -> AliPay:
    """The SDK with the keys the other way round: it checks what the application has signed, and signs for Alipay."""
    ours, theirs = key_pairs()
    return AliPay(APP_ID, app_private_key_string=theirs.private, alipay_public_key_string=ours.public)


@dataclass(frozen=True)
class Trade:
    """Money that came in; `amount` in minor units."""

    number: str
    order: str
    amount: int
    currency: str

    @property
    def names(self) -> dict[str, str]:
        return {"trade_no": self.number, "out_trade_no": self.order}


@dataclass
class Refund:
    trade: Trade
    number: str
    amount: int
    at: datetime
    status: str = "REFUND_SUCCESS"
    # What became of it at the customer's bank, where it went to one.
    dback: str = ""


class BusinessError(Exception):
    """What the gateway answers instead of doing it."""

    def __init__(self, sub_code: str, words: str = "", code: str = "40004") -> None:
        super().__init__(sub_code)
        self.answer = {"code": code, "msg": "Business Failed", "sub_code": sub_code, "sub_msg": words or sub_code}


class FakeAlipay(FakeChannel):
    def __init__(self) -> None:
        super().__init__()
        # Its own clock; tests set it.
        self.now: datetime = NOON
        self.trades: list[Trade] = []
        self.refunds: dict[tuple[str, str], Refund] = {}
        # What the next requests for a refund are answered with instead of being done.
        self.said_next: deque[BusinessError] = deque()
        # What is written of an answer: tests change what Alipay may.
        self.writes: Any = lambda node, text, sign: f'{{"{node}":{text},"sign":"{sign}"}}'
        self.escapes = False
        # What the bill has instead of what was refunded, and where it is said to be.
        self.bill: bytes | None = None
        self.bill_address = ""
        self.sdk = sdk_of_alipay()
        self._numbers = count(1)

    # --- What tests do with it -----------------------------------------------------------------

    def sell(self, amount: int, currency: str = "CNY", *, by_order: bool = False) -> str:
        """Take money in and return the reference: Alipay's number of the trade, or the merchant's `by_order`."""
        number = next(self._numbers)
        trade = Trade(f"2026112022001400{number:012d}", f"ORDER-{number}", amount, currency)
        self.trades.append(trade)
        return trade.order if by_order else trade.number

    def refund(self, reference: str, amount: int, number: str) -> str:
        """Give money back as a person does on Alipay's own pages; return what identifies it in Alipay's books."""
        trade = self._trade({"trade_no": reference}) or self._trade({"out_trade_no": reference})
        assert trade
        self._make(trade, number, amount)
        return f"{trade.number}/{number}"

    def finish_late(self, status: str = "REFUND_SUCCESS") -> None:
        for refund in self.refunds.values():
            if refund.status == "":
                refund.status, refund.at = status, self.now

    def return_refund(self, number: str) -> None:
        """Days later: the refund has failed after all, and the money is with the merchant again."""
        self._by_number(number).status = "REFUND_FAIL"

    def decline_at_bank(self, number: str) -> None:
        """Days later: the customer's bank has not taken the money; it is in the customer's Alipay balance instead."""
        self._by_number(number).dback = "F"

    def books(self, reference: str = "") -> list[tuple[int, str]]:
        """Amount and status of every refund, or of those of one payment, the oldest first."""
        shown = [each for each in self.refunds.values() if not reference or reference in each.trade.names.values()]
        return [(each.amount, each.status) for each in shown]

    def notification(self, number: str, **changes: str) -> bytes:
        """The body of a notification about a refund, rightly signed; what is changed before that is signed too."""
        refund = self._by_number(number)
        total = sum(each.amount for each in self.refunds.values() if each.trade == refund.trade)
        fields = {
            **refund.trade.names,
            "app_id": APP_ID,
            "auth_app_id": APP_ID,
            "charset": "utf-8",
            "version": "1.0",
            "notify_id": f"n{refund.number}".replace("-", ""),
            "notify_time": _written(self.now),
            "notify_type": "trade_status_sync",
            "out_biz_no": number,
            "refund_fee": plain_amount(total, refund.trade.currency),
            "gmt_refund": _written(refund.at),
            "subject": "证书 & more = 100 %",
            "trade_status": "TRADE_SUCCESS",
            **changes,
        }
        return self.signed_form({name: value for name, value in fields.items() if value})

    def signed_form(self, fields: dict[str, str], sign_type: str = "RSA2") -> bytes:
        return self.sdk.sign_data(dict(fields)).encode() + f"&sign_type={sign_type}".encode()

    # --- The server ----------------------------------------------------------------------------

    def answer(self, request: Request, fault: Fault | None) -> Answer:
        where = urlsplit(request.path)
        if request.method == "GET":
            # The bill as it is on the day that the address names.
            day = date.fromisoformat(where.path.removeprefix("/bill/"))
            return Answer(self.bill_of(day) if self.bill is None else self.bill)
        assert dict(parse_qsl(where.query)) == {"charset": "utf-8"}
        form = dict(parse_qsl(request.body.decode("ascii"), strict_parsing=True, encoding="utf-8", errors="strict"))
        try:
            said = {"code": "10000", "msg": "Success", **self._done(form, fault)}
        except BusinessError as error:
            said = error.answer
        return self._written(form.get("method", "error"), said, fault)

    def _done(self, form: dict[str, str], fault: Fault | None) -> dict[str, Any]:
        self._check(form)
        wanted = json.loads(form["biz_content"])
        assert set(wanted) <= KNOWN[form["method"]]
        if form["method"] == "alipay.trade.refund":
            return self._refunded(wanted, fault)
        if form["method"] == "alipay.trade.fastpay.refund.query":
            return self._found(wanted)
        if form["method"] == "alipay.trade.query":
            return self._traded(wanted)
        return self._billed(wanted)

    def _check(self, form: dict[str, str]) -> None:
        unsigned = {name: value for name, value in form.items() if name != "sign"}
        content = "&".join(f"{name}={value}" for name, value in self.sdk._ordered_data(unsigned))
        if not self.sdk._verify(content, form["sign"]):
            raise BusinessError("isv.invalid-signature", code="40002")
        if form["app_id"] != APP_ID:
            raise BusinessError("isv.invalid-app-id", code="40002")
        assert set(form) == COMMON
        assert (form["charset"], form["sign_type"], form["version"]) == ("utf-8", "RSA2", "1.0")
        datetime.strptime(form["timestamp"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=SERVICE_ZONE)

    def _written(self, method: str, said: dict[str, Any], fault: Fault | None) -> Answer:
        text = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
        sign = self.sdk._sign(text + " " if fault == Fault.WRONG_SIGNATURE else text)
        shown = text.replace("/", "\\/") if self.escapes else text
        node = method.replace(".", "_") + "_response"
        return Answer(self.writes(node, shown, sign).encode(), headers={"Content-Type": "text/html;charset=utf-8"})

    # --- Its books -----------------------------------------------------------------------------

    def _refunded(self, wanted: dict[str, str], fault: Fault | None) -> dict[str, Any]:
        if self.said_next:
            raise self.said_next.popleft()
        trade = self._trade(wanted)
        if trade is None:
            raise BusinessError("ACQ.TRADE_NOT_EXIST", "交易不存在")
        if wanted.get("refund_currency", "CNY") != trade.currency:
            raise BusinessError("ACQ.CURRENCY_NOT_SUPPORT", "退款币种不支持")
        amount, number = _minor(wanted["refund_amount"], trade.currency), wanted["out_request_no"]
        known = self.refunds.get((trade.number, number))
        if known and known.amount != amount:
            raise BusinessError("ACQ.DISCORDANT_REPEAT_REQUEST", "请求信息不一致")
        is_done_now = known is None or known.status == "REFUND_FAIL"
        if is_done_now:
            self._make(trade, number, amount, "" if fault == Fault.LATE else "REFUND_SUCCESS")
        if fault == Fault.LATE:
            raise BusinessError("ACQ.SYSTEM_ERROR", "系统错误")
        total = sum(each.amount for each in self._gone(trade) if each.status)
        return {
            **trade.names,
            "fund_change": "Y" if is_done_now else "N",
            "refund_fee": plain_amount(total, trade.currency),
        }

    def _make(self, trade: Trade, number: str, amount: int, status: str = "REFUND_SUCCESS") -> None:
        if sum(each.amount for each in self._gone(trade)) + amount > trade.amount:
            raise BusinessError("ACQ.REASON_TRADE_REFUND_FEE_ERR", "退款金额无效")
        self.refunds[trade.number, number] = Refund(trade, number, amount, self.now, status)

    def _found(self, wanted: dict[str, Any]) -> dict[str, Any]:
        trade = self._trade(wanted)
        if trade is None:
            raise BusinessError("ACQ.TRADE_NOT_EXIST", "交易不存在")
        refund = self.refunds.get((trade.number, wanted["out_request_no"]))
        if refund is None or refund.status == "":
            return {}
        found = {
            **trade.names,
            "out_request_no": refund.number,
            "total_amount": plain_amount(trade.amount, trade.currency),
            "refund_amount": plain_amount(refund.amount, trade.currency),
            "refund_status": refund.status,
        }
        if "gmt_refund_pay" in wanted.get("query_options", []):
            found["gmt_refund_pay"] = _written(refund.at)
        if refund.dback:
            found["deposit_back_info"] = {"has_deposit_back": "true", "dback_status": refund.dback}
        return found

    def _traded(self, wanted: dict[str, Any]) -> dict[str, Any]:
        trade = self._trade(wanted)
        if trade is None:
            raise BusinessError("ACQ.TRADE_NOT_EXIST", "交易不存在")
        return {**trade.names, "total_amount": plain_amount(trade.amount, trade.currency)}

    def _billed(self, wanted: dict[str, str]) -> dict[str, Any]:
        assert wanted["bill_type"] == "trade"
        day = date.fromisoformat(wanted["bill_date"])
        if self.now < _opening(day) + timedelta(days=1) or not (self._refunds_of(day) or self.bill):
            raise BusinessError("isp.bill_not_exist", "账单不存在")
        return {"bill_download_url": self.bill_address or f"{self.url}/bill/{day.isoformat()}"}

    def bill_of(self, day: date) -> bytes:
        """A zip of details and summary, both as CSV in GBK."""
        rows = [self._row(refund) for refund in self._refunds_of(day)]
        return zipped({"业务明细.csv": table([SALE, *rows]), "业务明细(汇总).csv": SUMMARY})

    def _row(self, refund: Refund) -> dict[str, str]:
        amount = "-" + plain_amount(refund.amount, refund.trade.currency)
        return {
            "支付宝交易号": f"{refund.trade.number}\t",
            "商户订单号": f"{refund.trade.order}\t",
            "业务类型": "退款",
            "完成时间": _written(refund.at),
            "订单金额（元）": amount,
            "商家实收（元）": amount,
            "退款批次号/请求号": f"{refund.number}\t",
        }

    def _refunds_of(self, day: date) -> list[Refund]:
        done = [each for each in self.refunds.values() if each.status == "REFUND_SUCCESS"]
        return [each for each in done if each.at.astimezone(SERVICE_ZONE).date() == day]

    def _gone(self, trade: Trade) -> list[Refund]:
        return [each for each in self.refunds.values() if each.trade == trade and each.status != "REFUND_FAIL"]

    def _trade(self, wanted: dict[str, str]) -> Trade | None:
        for trade in self.trades:
            if wanted.get("trade_no") == trade.number or wanted.get("out_trade_no") == trade.order:
                return trade
        return None

    def _by_number(self, number: str) -> Refund:
        [refund] = [each for each in self.refunds.values() if each.number == number]
        return refund


# --- Bills -------------------------------------------------------------------------------------

SALE = {"支付宝交易号": "2026112022001499999999999999\t", "业务类型": "交易", "订单金额（元）": "35.80"}
SUMMARY = "#支付宝业务汇总查询\r\n门店编号,门店名称,交易订单总笔数,退款订单总笔数\r\n合计,,1,1\r\n".encode("gbk")


def table(rows: list[dict[str, str]], columns: list[str] = COLUMNS) -> bytes:
    """The details of a bill, with its comment lines above and below."""
    out = io.StringIO()
    out.write("#支付宝业务明细查询\r\n#账号：[20880000000000000156]\r\n#------业务明细列表------\r\n")
    writer = csv.DictWriter(out, columns)
    writer.writeheader()
    writer.writerows(rows)
    out.write("#------业务明细列表结束------\r\n#交易合计：1笔\r\n#导出时间：[2026年11月24日 09:00:00]\r\n")
    return out.getvalue().encode("gbk")


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def _written(at: datetime) -> str:
    return at.astimezone(SERVICE_ZONE).strftime("%Y-%m-%d %H:%M:%S")


def _opening(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 9, tzinfo=SERVICE_ZONE)


def _minor(amount: str, currency: str) -> int:
    digits = len(plain_amount(0, currency).partition(".")[2])
    whole, _, fraction = amount.partition(".")
    assert len(fraction) == digits
    return int(whole + fraction)
