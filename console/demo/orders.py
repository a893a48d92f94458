"""What the two customers have bought. Numbers are days ago; a label leads to the refund that `stories` tells of it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from console.demo.making import (
    DV,
    DV_MULTI,
    DV_WILDCARD,
    EV,
    EV_MULTI,
    FREE_DV,
    OV,
    OV_MULTI,
    OV_WILDCARD,
    Item,
    Maker,
    Purchase,
)
from payments.states import Channel

ALIPAY, BANK, CARD = {Channel.ALIPAY: 1}, {Channel.BANK: 1}, {Channel.CARD: 1}
BALANCE_AND_BANK = {Channel.BALANCE: 1, Channel.BANK: 2}
IDN = "xn--bcher-kva.example.com"  # bücher


def customers_orders(make: Maker) -> Iterator[Purchase]:
    yield from _not_issued(make)
    yield from _issued(make)
    yield from _revoked(make)
    yield from _without_money(make)
    yield from _with_refunds(make)


def _not_issued(make: Maker) -> Iterator[Purchase]:
    yield make.order("customer", 0, Item(DV), by=ALIPAY, paid_at=make.days.now - timedelta(minutes=40))
    yield make.order("customer", 1, Item(DV, ["shop.example.com", "www.shop.example.com"]))
    yield make.order("customer", 3, Item(DV_WILDCARD, ["*.cdn.example.net"], submitted=2, runs=True), by=CARD)
    yield make.order("customer", 30, Item(OV), voucher=20_000)
    yield make.order(
        "customer",
        45,
        Item(
            EV,
            ["login.example.com"],
            failure="The registered telephone number of the organization does not answer. Give another one.",
        ),
        by=BANK,
    )
    names = [
        "example.net",
        "www.example.net",
        "api.example.net",
        "img.example.net",
        "m.example.net",
        "help.example.net",
    ]
    yield make.order("customer", 12, Item(DV_MULTI, names, submitted=2, runs=True), by=ALIPAY)
    yield make.order("customer", 7, Item(OV, ["portal.example.com"], submitted=2, runs=True))
    yield make.order("customer", 8, Item(OV, ["pay.example.com"], submitted=6, validated=1))
    # 17 days are left: never 15 business days, and still 15 calendar days.
    yield make.order("customer", 348, Item(DV, ["old-shop.example.com"]))
    yield make.order("customer", 355, Item(OV, ["never-built.example.org"]), by=CARD)
    yield make.order("customer", 380, Item(DV, ["forgotten.example.org"]))
    yield make.order("customer", 20, Item(replace(OV, price=32_900)), by=CARD, currency="USD")


def _issued(make: Maker) -> Iterator[Purchase]:
    yield make.order("customer", 4, Item(DV, ["blog.example.com"], submitted=3, validated=3, issued=3))
    yield make.order("customer", 14, Item(OV, ["crm.example.com"], submitted=13, validated=9, issued=8), by=BANK)
    # Two days are left for a revocation that may take five business days.
    yield make.order("customer", 30, Item(OV, ["intranet.example.com"], submitted=30, validated=27, issued=26))
    parts = ["eu", "us", "ap", "cn", "status", "docs"]
    yield make.order(
        "customer",
        66,
        Item(OV_WILDCARD, ["*.example.org", "example.org"], submitted=65, validated=61, issued=60),
        Item(
            OV_MULTI, ["example.com", *(f"{part}.example.com" for part in parts)], submitted=65, validated=62, issued=61
        ),
        Item(EV, ["www.example.com"], submitted=64, validated=59, issued=58),
        Item(DV, [IDN, f"www.{IDN}"], submitted=66, validated=66, issued=66),
        by={Channel.ALIPAY: 3, Channel.BALANCE: 1},
        voucher=100_000,
    )
    yield make.order(
        "customer",
        16,
        *(Item(DV, [f"{name}.apps.example.net"], submitted=15, validated=15, issued=15) for name in ("hr", "wiki")),
        *(Item(DV, [f"{name}.apps.example.net"]) for name in ("chat", "files", "build")),
        voucher=9_900,
    )
    yield make.order("customer", 130, Item(OV, ["mail.example.com"], submitted=129, validated=126, issued=125), by=CARD)
    languages = [f"{code}.news.example.org" for code in ("en", "de", "fr", "es", "pt", "ja", "zh")]
    yield make.order("customer", 210, Item(DV_MULTI, languages, submitted=209, validated=209, issued=209), by=ALIPAY)
    yield make.order(
        "customer",
        47,
        Item(replace(OV, price=32_900), ["us.shop.example.com"], submitted=46, validated=42, issued=40),
        by=CARD,
        currency="USD",
    )
    # About to expire, in three, fourteen and twenty-five days.
    yield make.order("customer", 362, Item(DV, ["promo.example.com"], submitted=362, validated=362, issued=362))
    yield make.order(
        "customer", 353, Item(DV_WILDCARD, ["*.dev.example.net"], submitted=352, validated=351, issued=351)
    )
    yield make.order("customer", 346, Item(OV, ["vpn.example.com"], submitted=345, validated=341, issued=340), by=BANK)
    yield make.order("customer", 400, Item(DV, ["spring-sale.example.com"], submitted=399, validated=399, issued=399))
    yield make.order(
        "customer", 500, Item(OV, ["legacy.example.org"], submitted=499, validated=496, issued=495), by=BANK
    )


def _revoked(make: Maker) -> Iterator[Purchase]:
    def bought(days: int, name: str, *, issued: int, requested: int, revoked: int | None = None) -> Purchase:
        item = Item(OV, [name], "", issued + 4, issued + 1, issued, requested, revoked)
        return make.order("customer", days, item)

    yield bought(16, "partner.example.com", issued=10, requested=2)
    yield bought(52, "reports.example.com", issued=45, requested=1)
    yield bought(27, "typo-shop.example.net", issued=20, requested=14, revoked=12)
    yield bought(82, "staging.example.net", issued=75, requested=55, revoked=52)
    yield bought(102, "old-partner.example.com", issued=95, requested=66, revoked=62)
    yield bought(428, "moved.example.org", issued=420, requested=412, revoked=410)


def _without_money(make: Maker) -> Iterator[Purchase]:
    yield make.order("customer", 6, Item(FREE_DV, ["test.example.net"]))
    yield make.order("customer", 33, Item(FREE_DV, ["demo.example.net"], submitted=33, validated=33, issued=33))
    yield make.order("customer", 390, Item(FREE_DV, ["trial.example.net"], submitted=389, validated=389, issued=389))
    yield make.order("customer", 25, Item(OV), voucher=OV.price)
    gift = Item(DV, ["gift.example.org"], submitted=69, validated=69, issued=69)
    yield make.order("customer", 70, gift, voucher=DV.price)


def _with_refunds(make: Maker) -> Iterator[Purchase]:
    def order(label: str, bought: int, item: Item, by: dict[Channel, int] | None = None, voucher: int = 0) -> Purchase:
        return make.order("customer", bought, replace(item, label=label), by=by, voucher=voucher)

    yield order("refunded at once", 9, Item(DV, ["mistake.example.com"]))
    yield order("refunded after closing", 40, Item(OV, ["kiosk.example.com"], submitted=37), voucher=8_000)
    yield order("refunded by alipay", 60, Item(DV_WILDCARD, ["*.lab.example.net"]), ALIPAY)
    yield order(
        "refunded by card",
        140,
        Item(OV, ["bid.example.org"], submitted=139, validated=136, issued=135, requested=125, revoked=121),
        CARD,
    )
    yield order("to be closed", 4, Item(OV, ["signup.example.com"], submitted=3), {Channel.BALANCE: 1, Channel.CARD: 1})
    yield order(
        "approved",
        36,
        Item(OV, ["vote.example.org"], submitted=35, validated=32, issued=31, requested=19, revoked=15),
        ALIPAY,
    )
    yield order("paying", 58, Item(EV_MULTI, ["bank.example.com", "www.bank.example.com"]), BALANCE_AND_BANK, 50_000)
    yield order("came back", 95, Item(OV, ["museum.example.org"]), BANK)
    yield order("nobody knows", 44, Item(DV_WILDCARD, ["*.tickets.example.net"]), CARD)
    yield order("payment failed", 75, Item(OV_WILDCARD, ["*.branch.example.com"]), BANK)
    yield order(
        "under review",
        32,
        Item(DV, ["play.example.net"], submitted=31, validated=31, issued=31, requested=21, revoked=21),
    )
    yield order("long under review", 120, Item(EV, ["sign.example.com"]), BALANCE_AND_BANK)
    yield order(
        "under review after a failure",
        50,
        Item(DV, ["geo.example.net"], failure="Ownership of geo.example.net was not proven within 7 days."),
        ALIPAY,
    )
    yield order("under review, refunded elsewhere", 34, Item(DV, ["radio.example.net"]), CARD)
    yield order("refunded elsewhere", 26, Item(OV, ["theatre.example.org"]), ALIPAY)
    yield order("to go by bank", 21, Item(OV, ["library.example.org"]), BANK)
    yield order("under review, to be closed", 42, Item(EV_MULTI, ["invest.example.com"], submitted=5), CARD)
    yield order(
        "rejected",
        90,
        Item(OV, ["fair.example.org"], submitted=89, validated=86, issued=85, requested=68, revoked=64),
        ALIPAY,
    )
    yield order("cancelled", 54, Item(DV_MULTI, ["forum.example.net", "www.forum.example.net"]))
    yield order("lapsed, issued", 101, Item(OV, ["ship.example.com"], submitted=96), BANK)
    yield order("lapsed, expired", 368, Item(OV, ["event.example.org"]), ALIPAY)
    yield order("failed", 105, Item(DV_WILDCARD, ["*.game.example.net"]), BANK)


def neighbours_orders(make: Maker) -> Iterator[Purchase]:
    yield make.order("neighbour", 2, Item(DV, ["garden.example.org"]), by=ALIPAY)
    yield make.order("neighbour", 11, Item(DV, ["bakery.example.org"], label="neighbour, refunded at once"))
    yield make.order("neighbour", 48, Item(OV, ["choir.example.org"], label="neighbour, under review"), by=CARD)
    tools = Item(DV, ["tools.example.org"], submitted=180, validated=180, issued=180)
    yield make.order("neighbour", 180, tools, Item(OV, ["rent.example.org"], submitted=179, validated=176, issued=175))
    yield make.order("neighbour", 410, Item(DV, ["fete.example.org"], submitted=410, validated=410, issued=410))
