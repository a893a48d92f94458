"""Addresses stored before they had one form are brought into it, and no account is lost."""

import io
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import Client
from django.urls import reverse

from core import audit
from core.guards import missing_guards
from core.models import User
from tests.conftest import signed_in
from tests.factories import NOON, UserFactory
from tests.staff.pages import address, list_of

ALLAUTH = ("account", "0009_emailaddress_unique_primary_email")
BEFORE = [("core", "0003_unsettled_email"), ALLAUTH]
AFTER = [("core", "0005_email_form_held"), ALLAUTH]


def migrate(target: list[tuple[str, str]]) -> Any:
    executor = MigrationExecutor(connection)
    executor.migrate(target)
    return executor.loader.project_state(target).apps


@pytest.fixture
def before(transactional_db: None) -> Iterator[Any]:
    """The models as they were; afterwards the database is as it should be."""
    newest = [node for node in MigrationExecutor(connection).loader.graph.leaf_nodes() if node[0] == "core"]
    try:
        yield migrate(BEFORE)
    finally:
        migrate(newest)
        call_command("migrate", "core", verbosity=0)


def test_stored_addresses_get_the_one_form_and_the_older_account_keeps_a_shared_one(before: Any) -> None:
    people, rows = before.get_model("core", "User"), before.get_model("account", "EmailAddress")

    def account(name: str, email: str, age: int) -> Any:
        joined = NOON - timedelta(days=age)
        return people.objects.create(username=name, email=email, date_joined=joined, password=f"hash of {name}")

    account("plain", "plain@example.com", 9)
    capital = account("capital", "Reset8@Example.org", 8)
    # The younger account was stored first and has the address in its new form already.
    account("younger", "su@xn--bcher-kva.example", 1)
    older = account("older", "Su@bücher.example", 7)
    account("quoted", '"su tan"@example.com', 6)
    account("none", "", 5)
    account("nobody", "", 4)
    for owner, email, verified in [
        (capital, "Reset8@Example.org", True),
        (capital, "reset8@example.org", False),
        (older, "su@bücher.example", True),
        (older, "former@example.com", True),
    ]:
        rows.objects.create(user=owner, email=email, verified=verified)

    after = migrate(AFTER)

    people, rows = after.get_model("core", "User"), after.get_model("account", "EmailAddress")
    stored = people.objects.order_by("username").values_list("username", "email", "unsettled_email", "password")
    assert list(stored) == [
        ("capital", "reset8@example.org", "", "hash of capital"),
        ("nobody", "", "", "hash of nobody"),
        ("none", "", "", "hash of none"),
        ("older", "su@xn--bcher-kva.example", "", "hash of older"),
        ("plain", "plain@example.com", "", "hash of plain"),
        ("quoted", "", '"su tan"@example.com', "hash of quoted"),
        ("younger", "", "su@xn--bcher-kva.example", "hash of younger"),
    ]
    assert sorted(rows.objects.values_list("user__username", "email", "verified")) == [
        ("capital", "reset8@example.org", True),
        ("older", "su@xn--bcher-kva.example", True),
    ]


def test_the_migration_leaves_every_guard_in_place(before: Any) -> None:
    migrate(AFTER)
    call_command("migrate", "core", verbosity=0)
    assert missing_guards() == []


# --- What staff do about the rest --------------------------------------------------------------


@pytest.fixture
def unsettled(db: None) -> User:
    UserFactory(username="older", email="su@example.com")
    UserFactory(username="quoted", email="", unsettled_email='"su tan"@example.com')
    return UserFactory(username="younger", email="", unsettled_email="Su@example.com")


def listed() -> list[str]:
    out = io.StringIO()
    call_command("unsettled_emails", stdout=out)
    return out.getvalue().splitlines()


def test_a_command_lists_the_accounts_to_settle_and_why(unsettled: User) -> None:
    assert listed() == [
        'quoted: "su tan"@example.com: not a valid address',
        "younger: Su@example.com: used by account older",
    ]


def test_a_command_says_that_there_is_nothing_to_settle(db: None) -> None:
    assert listed() == ["OK: every account may use the address it has."]


def test_an_unsettled_address_does_not_sign_in_and_the_user_name_does(unsettled: User) -> None:
    client = Client()
    for login, is_in in (("su@example.com", "older"), ("Su@example.com", "older"), ("younger", "younger")):
        client.logout()
        client.post("/accounts/login/", {"login": login, "password": "refund-demo"})
        assert User.objects.get(pk=client.session["_auth_user_id"]).username == is_in


def test_the_first_page_leads_staff_to_the_accounts_to_settle(unsettled: User) -> None:
    boss = signed_in(UserFactory(username="boss", is_staff=True, is_superuser=True))
    [card] = [card for card in boss.get(reverse("admin:index")).context["cards"] if "kind=unsettled" in card.address]
    assert card.number == "2"
    found = boss.get(card.address).context["cl"].result_list
    assert {user.username for user in found} == {"quoted", "younger"}


def test_staff_settle_an_account_by_giving_it_another_address(unsettled: User) -> None:
    boss = UserFactory(username="boss", is_staff=True, is_superuser=True)
    client = signed_in(boss)
    page = client.get(address(unsettled)).content.decode()
    assert "Su@example.com: used by account older" in page
    form = {"username": "younger", "name": "", "language": "en", "time_zone": "Asia/Shanghai", "is_active": "on"}
    assert client.post(address(unsettled), {**form, "email": "Su2@example.com"}).status_code == 302
    unsettled.refresh_from_db()
    assert (unsettled.email, unsettled.unsettled_email) == ("su2@example.com", "")
    assert audit.history(unsettled).get().by == boss
    assert len(listed()) == 1
    assert "kind=unsettled" in client.get(list_of(User)).content.decode()
