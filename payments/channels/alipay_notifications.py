"""Alipay's notifications, read field by field; `alipay` checks who signed them."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import parse_qsl

from payments.channels.alipay_answers import NUMBER
from payments.channels.alipay_gateway import read_time
from payments.channels.alipay_ours import our_references, stored_as
from payments.channels.base import Forged, Notification

# A notification is repeated until it is answered, for 24 hours and 22 minutes.
OLDEST_NOTIFICATION = timedelta(hours=25)
CLOCKS_DIFFER_BY = timedelta(minutes=10)
# Bytes.
LARGEST_NOTIFICATION = 64 * 1024
_EVENT = re.compile(r"[A-Za-z0-9_-]{1,100}")


def fields_of(body: bytes) -> dict[str, str]:
    """The fields of a form in UTF-8. Raises Forged for anything else, and for a field twice."""
    if len(body) > LARGEST_NOTIFICATION:
        raise Forged("the notification is too large")
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=200
        )
    except ValueError:
        raise Forged("the notification is no form in UTF-8") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Forged("the notification has a field twice")
    return fields


def check_age(written: str, at: datetime) -> None:
    """Raises Forged for a time from which no notification comes at `at`."""
    try:
        told = read_time(written)
    except ValueError:
        raise Forged("the notification says no time") from None
    if not -CLOCKS_DIFFER_BY <= at - told <= OLDEST_NOTIFICATION:
        raise Forged("the notification is of another time")


def notification_in(fields: Mapping[str, str]) -> Notification:
    """Raises Forged for numbers that Alipay does not have."""
    trade, order = fields.get("trade_no", ""), fields.get("out_trade_no", "")
    # A refund made without a number of its own goes by the merchant's number of the trade.
    number = fields.get("out_biz_no") or order
    event = fields.get("notify_id", "")
    named = [number, trade or order, order or trade]
    if not (_EVENT.fullmatch(event) and all(NUMBER.fullmatch(name) for name in named)):
        raise Forged("numbers are not Alipay's")
    return Notification(event, stored_as(trade, order, our_references([trade, order])), number)
