"""Stripe as a refund meets it: charges, refunds, idempotency keys, lists, signed events. Written from its public docs.

Answers are not signed, so `Fault.WRONG_SIGNATURE` is none here; events are, and can be signed wrongly or long ago.
"""

import hashlib
import hmac
import json
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.channels.server import Answer, FakeChannel, Fault, Request
from tests.factories import NOON

API_KEY = "sk_test_51NothingThatOpensAnything"
WEBHOOK_SECRET = "whsec_nothingThatSignsAnything"
KEYS_KEPT = timedelta(hours=24)
KNOWN = {"charge", "payment_intent", "amount", "reason", "metadata[payout]", "metadata[attempt]"}
# https://docs.stripe.com/currencies#three-decimal
THREE_DECIMALS = {"bhd", "jod", "kwd", "omr", "tnd"}


@dataclass(frozen=True)
class Sale:
    """Money that came in. `amount` in the units of Stripe's API."""

    intent: str | None
    charge: str
    amount: int
    currency: str

    @property
    def names(self) -> set[str]:
        return {name for name in (self.intent, self.charge) if name}


@dataclass(frozen=True)
class KeptAnswer:
    params: dict[str, str]
    answer: Answer
    at: datetime


class StripeError(Exception):
    """What the API answers instead of doing it."""

    def __init__(self, status: int, kind: str, message: str, code: str | None = None) -> None:
        super().__init__(message)
        said = {"type": kind, "message": message, **({"code": code} if code else {})}
        self.answer = Answer(json.dumps({"error": said}).encode(), status=status)


class FakeStripe(FakeChannel):
    def __init__(self) -> None:
        super().__init__()
        # Its own clock; tests set it.
        self.now: datetime = NOON
        self.refunds: dict[str, dict[str, Any]] = {}
        self.sales: list[Sale] = []
        self.keys: dict[str, KeptAnswer] = {}
        # What the next requests for a refund are answered with instead: (what, whether it is kept under the key).
        self.said_next: deque[tuple[StripeError | Answer, bool]] = deque()
        # Refunds that neither lists nor look-ups show yet.
        self.hidden: set[str] = set()
        self._numbers = count(1)

    # --- What tests do with it -----------------------------------------------------------------

    def sell(self, amount: int, currency: str = "CNY", kind: str = "pi") -> str:
        """Take money in and return the reference of the intent (`pi`) or the charge (`ch`, `py`)."""
        number = next(self._numbers)
        intent = f"pi_{number:06d}" if kind == "pi" else None
        charge = f"{'ch' if kind == 'pi' else kind}_{number:06d}"
        self.sales.append(Sale(intent, charge, amount, currency.lower()))
        return intent or charge

    def charge_of(self, reference: str) -> str:
        return self._sale(reference).charge

    def refund(self, reference: str, amount: int, **metadata: str) -> str:
        """Give money back as a person does in Stripe's own dashboard; return the refund's number."""
        return self._make(self._sale(reference), amount, metadata, "succeeded")["id"]

    def finish_late(self, status: str = "succeeded") -> None:
        for refund in self.refunds.values():
            if refund["status"] == "pending":
                self._end(refund, status)

    def return_refund(self, number: str, reason: str = "lost_or_stolen_card") -> None:
        """The customer's bank has sent the money back, days later."""
        self._end(self.refunds[number], "failed", reason)

    def forget_keys(self) -> None:
        self.keys.clear()

    def books(self, reference: str = "") -> list[tuple[int, str]]:
        """Amount and status of every refund, or of those of one payment, the oldest first."""
        names = self._sale(reference).names if reference else set()
        refunds = [each for each in self.refunds.values() if not names or each["charge"] in names]
        return [(each["amount"], each["status"]) for each in refunds]

    def event(self, number: str, kind: str = "refund.updated") -> bytes:
        """The body of an event about a refund."""
        refund = self.refunds[number]
        sale = self._sale(refund["charge"])
        charge = {"id": sale.charge, "object": "charge", "payment_intent": sale.intent, "refunded": True}
        return self.event_of(charge if kind == "charge.refunded" else refund, kind)

    def event_of(self, thing: Any, kind: str) -> bytes:
        event = {
            "id": f"evt_{next(self._numbers):06d}",
            "object": "event",
            "created": int(self.now.timestamp()),
            "type": kind,
            "data": {"object": thing},
        }
        return json.dumps(event).encode()

    def sign(self, body: bytes, *secrets: str, at: datetime | None = None) -> dict[str, str]:
        """The headers of an event, signed now and with the one secret unless said otherwise."""
        moment = int((at or self.now).timestamp())
        signatures = [
            hmac.new(secret.encode(), b"%d.%s" % (moment, body), hashlib.sha256).hexdigest()
            for secret in secrets or (WEBHOOK_SECRET,)
        ]
        return {"Stripe-Signature": ",".join([f"t={moment}", *[f"v1={each}" for each in signatures], "v0=0"])}

    # --- The API -------------------------------------------------------------------------------

    def answer(self, request: Request, fault: Fault | None) -> Answer:
        try:
            return self._answer(request, fault)
        except StripeError as error:
            return error.answer

    def _answer(self, request: Request, fault: Fault | None) -> Answer:
        if (sent := request.headers.get("Authorization")) != f"Bearer {API_KEY}":
            raise StripeError(401, "invalid_request_error", f"Invalid API Key provided: {sent}")
        address = urlsplit(request.path)
        if request.method == "POST" and address.path == "/v1/refunds":
            params = dict(parse_qsl(request.body.decode(), strict_parsing=True))
            return self._create(params, request.headers["Idempotency-Key"], fault)
        if request.method == "GET" and address.path == "/v1/refunds":
            return _json(self._listed(dict(parse_qsl(address.query, strict_parsing=True))))
        if request.method == "GET" and address.path.startswith("/v1/refunds/"):
            return _json(self._shown(address.path.removeprefix("/v1/refunds/")))
        raise StripeError(404, "invalid_request_error", f"Unrecognized request URL: {address.path}")

    def _create(self, params: dict[str, str], key: str, fault: Fault | None) -> Answer:
        self._forget_old_keys()
        if kept := self.keys.get(key):
            if kept.params != params:
                raise StripeError(400, "idempotency_error", "Keys can only be used with the same parameters.")
            return Answer(kept.answer.body, kept.answer.status, {"Idempotent-Replayed": "true"})
        if self.said_next:
            said, is_kept = self.said_next.popleft()
            answer = said.answer if isinstance(said, StripeError) else said
            return self._keep(key, params, answer) if is_kept else answer
        # What fails here is not kept: nothing of it was begun.
        sale, amount = self._validated(params)
        try:
            metadata = {name[9:-1]: value for name, value in params.items() if name.startswith("metadata[")}
            made = self._make(sale, amount, metadata, "pending" if fault == Fault.LATE else "succeeded")
        except StripeError as error:
            return self._keep(key, params, error.answer)
        return self._keep(key, params, _json(made))

    def _keep(self, key: str, params: dict[str, str], answer: Answer) -> Answer:
        self.keys[key] = KeptAnswer(params, answer, self.now)
        return answer

    def _forget_old_keys(self) -> None:
        self.keys = {key: kept for key, kept in self.keys.items() if self.now - kept.at < KEYS_KEPT}

    def _validated(self, params: dict[str, str]) -> tuple[Sale, int]:
        if unknown := set(params) - KNOWN:
            raise StripeError(400, "invalid_request_error", f"Unknown parameters: {unknown}", "parameter_unknown")
        sale = self._sale(params.get("payment_intent") or params.get("charge") or "")
        if not params.get("amount", "").isdecimal() or int(params["amount"]) < 1:
            raise StripeError(400, "invalid_request_error", "Invalid positive integer", "parameter_invalid_integer")
        if sale.currency in THREE_DECIMALS and int(params["amount"]) % 10:
            message = f"Invalid amount: the least significant digit must be 0 in {sale.currency}"
            raise StripeError(400, "invalid_request_error", message, "parameter_invalid_integer")
        return sale, int(params["amount"])

    def _make(self, sale: Sale, amount: int, metadata: dict[str, str], status: str) -> dict[str, Any]:
        gone = sum(each for each, state in self.books(sale.charge) if state != "failed")
        if gone == sale.amount:
            message = f"Charge {sale.charge} has already been refunded."
            raise StripeError(400, "invalid_request_error", message, "charge_already_refunded")
        if gone + amount > sale.amount:
            message = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({sale.amount - gone})"
            raise StripeError(400, "invalid_request_error", message)
        number = f"re_{next(self._numbers):06d}"
        self.refunds[number] = {
            "id": number,
            "object": "refund",
            "amount": amount,
            "charge": sale.charge,
            "created": int(self.now.timestamp()),
            "currency": sale.currency,
            "metadata": dict(metadata),
            "payment_intent": sale.intent,
            "reason": None,
            "status": status,
        }
        return self.refunds[number]

    def _end(self, refund: dict[str, Any], status: str, reason: str = "declined") -> None:
        refund["status"] = status
        if status == "failed":
            refund["failure_reason"] = reason

    def _sale(self, reference: str) -> Sale:
        for sale in self.sales:
            if reference in sale.names:
                return sale
        raise StripeError(404, "invalid_request_error", f"No such payment: '{reference}'", "resource_missing")

    def _shown(self, number: str) -> dict[str, Any]:
        if number not in self.refunds or number in self.hidden:
            raise StripeError(404, "invalid_request_error", f"No such refund: '{number}'", "resource_missing")
        return self.refunds[number]

    def _listed(self, query: dict[str, str]) -> dict[str, Any]:
        found = [each for each in reversed(self.refunds.values()) if each["id"] not in self.hidden]
        for name in ("payment_intent", "charge"):
            if name in query:
                self._sale(query[name])
                found = [each for each in found if each[name] == query[name]]
        found = [each for each in found if int(query.get("created[gte]", 0)) <= each["created"]]
        if "created[lt]" in query:
            found = [each for each in found if each["created"] < int(query["created[lt]"])]
        if "starting_after" in query:
            numbers = [each["id"] for each in found]
            found = found[numbers.index(query["starting_after"]) + 1 :]
        limit = int(query.get("limit", 10))
        assert 1 <= limit <= 100
        return {"object": "list", "url": "/v1/refunds", "has_more": len(found) > limit, "data": found[:limit]}


def _json(thing: dict[str, Any]) -> Answer:
    return Answer(json.dumps(thing).encode())
