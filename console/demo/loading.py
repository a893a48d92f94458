"""Loads the demo into an empty database and takes it away again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection, transaction

from certificates.models import Certificate
from certificates.services.uploading import store_upload
from certificates.storing import store_orders
from console.demo.authority import DemoAuthority
from console.demo.catalogue import give_means, offer_products
from console.demo.days import Days
from console.demo.enrolling import Enroller, ask_contacts, hand_in
from console.demo.making import Maker, Purchase
from console.demo.orders import customers_orders, neighbours_orders
from console.demo.people import make_accounts
from console.demo.stories import Stage, play
from core.guards import guards_lifted
from core.models import User
from payments.channels import disconnected
from refunds.models import RefundRequest

# Bought elsewhere: names, when uploaded and issued, how long valid (days ago and days).
UPLOADS = (
    (("www.example.net", "example.net"), 90, 95, 365),
    (("files.example.com",), 30, 70, 90),
    (("archive.example.org", "*.archive.example.org"), 200, 210, 90),
)


class NotOurs(Exception):
    """The database holds accounts that the demo did not make. The message names some of them."""


@dataclass(frozen=True)
class Loaded:
    accounts: int
    certificates: int
    requests: int


@transaction.atomic
def load_demo(*, at: datetime, reset: bool = False) -> Loaded | None:
    """Load the demo as of `at`, all or nothing; return None where it is loaded already and `reset` is not asked for.

    Its payments are made up, so no channel is asked about them, whatever is configured.
    Raises NotOurs, and StoryWentWrong; then nothing has changed.
    """
    _lock_accounts()
    _require_only_ours()
    if User.objects.exists():
        if not reset:
            return None
        _empty()
    with disconnected():
        _fill(at)
    return Loaded(User.objects.count(), Certificate.objects.count(), RefundRequest.objects.count())


def _lock_accounts() -> None:
    """Nobody may come in between the look and the deed. On SQLite the transaction itself is that lock."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {User._meta.db_table} IN SHARE ROW EXCLUSIVE MODE")


def _require_only_ours() -> None:
    others = list(User.objects.filter(is_demo=False).order_by("pk").values_list("username", flat=True)[:4])
    if others:
        raise NotOurs(", ".join(others[:3]) + (", …" if len(others) > 3 else ""))


def _empty() -> None:
    with guards_lifted():
        call_command("flush", interactive=False, verbosity=0)
    # Their keys have been given anew.
    ContentType.objects.clear_cache()


def _fill(at: datetime) -> None:
    days, authority, enroller = Days(at), DemoAuthority(), Enroller()
    people, make = make_accounts(), Maker(days, enroller)
    certificates, running = _store([*customers_orders(make), *neighbours_orders(make)])
    enroller.write_down()
    # First, since it decides which authority they come from.
    offer_products()
    hand_in(running, at=at)
    ask_contacts(at=at)
    give_means(people, at=days.ago(20, 11))
    _upload(people["customer"], days, authority)
    play(Stage(people, certificates, authority), days.ago)


def _store(purchases: Sequence[Purchase]) -> tuple[dict[str, int], list[int]]:
    """Store the orders, oldest first; return the labelled certificates' keys, and those whose applications run here."""
    oldest_first = sorted(purchases, key=lambda purchase: purchase.order.paid_at)
    keys = store_orders([purchase.order for purchase in oldest_first])
    stored = list(zip((item for purchase in oldest_first for item in purchase.items), keys, strict=True))
    return {item.label: key for item, key in stored if item.label}, [key for item, key in stored if item.runs]


def _upload(account: User, days: Days, authority: DemoAuthority) -> None:
    for names, uploaded, issued, valid in UPLOADS:
        issued_at = days.ago(issued, 15)
        handover = authority.issue(names, issued_at, until=issued_at + timedelta(days=valid))
        store_upload(account, handover, name=names[0], at=days.ago(uploaded, 10))
