"""What Alipay's answers about refunds mean. Everything here raises Unanswered where an answer is not understood."""

import re
from typing import Any

from django.utils.translation import gettext as _

from core.money import parse_amount
from payments.channels.alipay_gateway import read_time
from payments.channels.base import ChannelRefund, Outcome, Unanswered
from payments.models import Payout

# An answer, of which amounts and numbers are texts.
Raw = dict[str, Any]

DONE, FAILED = "10000", "40004"
UNKNOWN_TRADE = "ACQ.TRADE_NOT_EXIST"

# Business errors after which, by the documentation of alipay.trade.refund, nothing was refunded, and why lies in this
# refund. Every other is no certain answer: ACQ.SYSTEM_ERROR may have refunded, ACQ.DISCORDANT_REPEAT_REQUEST has
# (another amount), and what is missing in the settings or at Alipay's service is put right by waiting.
REFUSALS = frozenset(
    {
        UNKNOWN_TRADE,
        "ACQ.BUYER_ENABLE_STATUS_FORBID",
        "ACQ.BUYER_ERROR",
        "ACQ.BUYER_NOT_EXIST",
        "ACQ.CURRENCY_NOT_SUPPORT",
        "ACQ.CUSTOMER_VALIDATE_ERROR",
        "ACQ.INVALID_PARAMETER",
        "ACQ.NOT_ALLOW_PARTIAL_REFUND",
        "ACQ.ONLINE_TRADE_VOUCHER_NOT_ALLOW_REFUND",
        "ACQ.REASON_TRADE_BEEN_FREEZEN",
        "ACQ.REASON_TRADE_REFUND_FEE_ERR",
        "ACQ.REASON_TRADE_STATUS_INVALID",
        "ACQ.REFUND_ACCOUNT_NOT_EXIST",
        "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL",
        "ACQ.REFUND_FEE_ERROR",
        "ACQ.SELLER_BALANCE_NOT_ENOUGH",
        "ACQ.TRADE_HAS_CLOSE",
        "ACQ.TRADE_HAS_FINISHED",
        "ACQ.TRADE_NOT_ALLOW_REFUND",
        "ACQ.TRADE_STATUS_ERROR",
        "ACQ.USER_NOT_MATCH_ERR",
    }
)
# Those among them that a trade answers of which money has gone back already: the refund would go beyond what was paid,
# or the trade was closed by a refund of all of it.
ALREADY_REFUNDED = frozenset(
    {
        "ACQ.REASON_TRADE_REFUND_FEE_ERR",
        "ACQ.REASON_TRADE_STATUS_INVALID",
        "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL",
        "ACQ.REFUND_FEE_ERROR",
        "ACQ.TRADE_HAS_CLOSE",
        "ACQ.TRADE_STATUS_ERROR",
    }
)
# As documented, and as it is said.
NO_BILL = frozenset({"BILL_NOT_EXIST", "isp.bill_not_exist"})

# Money that the customer's bank would not take (`dback_status` F) goes to the customer's Alipay balance instead, and is
# paid. Only the status of the refund itself says that nothing of it is with the customer.
_OUTCOMES = {
    "REFUND_SUCCESS": Outcome.PAID,
    "REFUND_PROCESSING": Outcome.PENDING,
    "REFUND_FAIL": Outcome.FAILED,
}

# The merchant's own numbers may be anything of 64 characters; what cannot be written plainly is none.
NUMBER = re.compile(r"[!-~]{1,64}")


def business_error(answer: Raw) -> str:
    """The code of a business error; empty where the answer is none."""
    return str(answer.get("sub_code", "")) if answer.get("code") == FAILED else ""


def read_made(answer: Raw, payout: Payout) -> ChannelRefund:
    """What a request to refund has done. Its `refund_fee` is the sum of all refunds of the trade; it says no time."""
    return ChannelRefund(
        reference=reference_of(_trade_of(answer, payout.payment.reference), str(payout.key)),
        outcome=Outcome.PAID,
        amount=payout.amount,
        currency=payout.currency,
        key=str(payout.key),
        payment_reference=payout.payment.reference,
    )


def read_found(answer: Raw, reference: str, number: str, *, currency: str, is_ours: bool) -> ChannelRefund:
    """The refund that was looked up by its number under a payment's reference."""
    try:
        if answer["out_request_no"] != number:
            raise ValueError("the answer is about another refund")
        outcome = _OUTCOMES[answer["refund_status"]]
        amount = parse_amount(answer["refund_amount"], currency)
        at = read_time(answer["gmt_refund_pay"]) if answer.get("gmt_refund_pay") else None
    except (KeyError, ValueError, TypeError):
        raise Unanswered(_("Alipay's answer about the refund is not understood.")) from None
    return ChannelRefund(
        reference=reference_of(_trade_of(answer, reference), number),
        outcome=outcome,
        amount=amount,
        currency=currency,
        at=at,
        key=number if is_ours else "",
        payment_reference=reference,
        reason=answer["refund_status"] if outcome == Outcome.FAILED else "",
    )


def reference_of(trade: str, number: str) -> str:
    """What names one refund in Alipay's books: numbers of requests are unique only within a trade."""
    return f"{trade}/{number}"


def words_of(answer: Raw) -> str:
    """What went wrong, for staff: on one line, in characters that can be stored and shown."""
    code, words = answer.get("sub_code") or answer.get("code"), answer.get("sub_msg") or answer.get("msg")
    said = f"{words or ''} ({code or ''})"
    return " ".join("".join(letter if letter.isprintable() else " " for letter in said).split())[:400]


def _trade_of(answer: Raw, reference: str) -> str:
    """Alipay's number of the trade, which must be the one that the payment's reference names."""
    trade = answer.get("trade_no")
    if not isinstance(trade, str) or not NUMBER.fullmatch(trade):
        raise Unanswered(_("Alipay's answer names no trade."))
    if reference not in {trade, answer.get("out_trade_no")}:
        raise Unanswered(_("Alipay's answer is about another trade."))
    return trade
