"""Guessing a password: how many tries there are, who may still try, and what is said to those who may not."""

import html
import re
from datetime import timedelta
from http.cookies import Morsel

import pytest
import time_machine
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core.signing import TimestampSigner
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from console.settings import CACHES
from core.models import User
from tests.conftest import signed_in
from tests.factories import UserFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("frozen")]
DOOR = "/accounts/login/"
PASSWORD = "refund-demo"
NEW_PASSWORD = "another-long-one-7"
WRONG = "wrong"
DEVICE = "known_device"
REFUSED = "Too many failed attempts. Try again in {}, or reset your password."
OWNERS_HOME, ELSEWHERE = "192.0.2.1", "203.0.113.7"


def tried(client: Client, login: str, password: str = WRONG, address: str = ELSEWHERE, **extra: str) -> str:
    """What the sign-in page answers: its error, or nothing for someone who is in."""
    answer = client.post(DOOR, {"login": login, "password": password}, REMOTE_ADDR=address, **extra)
    if answer.status_code == 302:
        return ""
    words = re.search(r'class="error-summary" role="alert">(.*?)</p>', answer.content.decode())
    assert words, answer.content.decode()
    return html.unescape(words[1])


def is_let_in(client: Client, login: str = "customer", password: str = PASSWORD, address: str = ELSEWHERE) -> bool:
    return tried(client, login, password, address) == ""


def known_device(user: User, password: str = PASSWORD) -> Client:
    """A browser in which this account has signed in before, and signed out."""
    client = Client()
    assert is_let_in(client, user.username, password, OWNERS_HOME)
    client.post("/accounts/logout/")
    return client


def guessed(login: str = "customer", times: int = 5) -> None:
    """A stranger's wrong passwords, each from another address and browser."""
    for number in range(times):
        assert "not correct" in tried(Client(), login, address=f"198.51.100.{number}")


def device_cookie(client: Client) -> Morsel[str]:
    return client.cookies[DEVICE]


# --- How many tries ----------------------------------------------------------------------------


def test_a_guesser_gets_no_more_tries_by_naming_another_host(customer: User) -> None:
    client = Client()
    for port in range(8001, 8006):
        assert "not correct" in tried(client, "customer", HTTP_HOST=f"localhost:{port}")
    assert tried(client, "customer", HTTP_HOST="127.0.0.1:9000") == REFUSED.format("5 minutes")
    assert tried(client, "customer", PASSWORD, HTTP_HOST="localhost:8009") == REFUSED.format("5 minutes")


def test_a_guesser_gets_no_more_tries_from_other_addresses(customer: User) -> None:
    guessed()
    assert tried(Client(), "customer", PASSWORD, "2001:db8::1") == REFUSED.format("5 minutes")


def test_a_guesser_gets_no_more_tries_by_the_accounts_other_names(customer: User) -> None:
    for login in ("customer", "CUSTOMER", "customer@example.com", "Customer@Example.com ", "\u202dcustomer"):
        assert "not correct" in tried(Client(), login)
    assert not is_let_in(Client(), "customer")
    assert not is_let_in(Client(), "customer@example.com")


def test_a_guesser_is_told_when_to_try_again_and_may_then(customer: User, frozen: time_machine.Traveller) -> None:
    guessed(times=4)
    frozen.shift(timedelta(minutes=3))
    guessed(times=1)
    assert tried(Client(), "customer", PASSWORD) == REFUSED.format("2 minutes")
    frozen.shift(timedelta(minutes=1, seconds=1))
    assert tried(Client(), "customer", PASSWORD) == REFUSED.format("1 minute")
    frozen.shift(timedelta(minutes=1))
    assert is_let_in(Client())


def test_a_refused_try_does_not_lengthen_the_wait(customer: User, frozen: time_machine.Traveller) -> None:
    guessed()
    frozen.shift(timedelta(minutes=4))
    assert not is_let_in(Client())
    frozen.shift(timedelta(minutes=1, seconds=1))
    assert is_let_in(Client())


def test_signing_in_neither_counts_nor_forgives_what_failed_before(customer: User) -> None:
    guessed(times=4)
    for _ in range(3):
        assert is_let_in(Client())
    guessed(times=1)
    assert not is_let_in(Client())


def test_who_guesses_one_account_does_not_shut_out_another(customer: User, neighbour: User) -> None:
    guessed()
    assert is_let_in(Client(), "neighbour")


@pytest.mark.parametrize("login", ["nobody", "nobody@example.com", "x" * 150])
def test_an_unknown_name_is_refused_in_the_same_words(login: str, customer: User) -> None:
    for _ in range(5):
        assert "not correct" in tried(Client(), login)
    assert tried(Client(), f" {login.upper()}\u200b") == REFUSED.format("5 minutes")


def test_a_name_longer_than_any_is_told_so(customer: User) -> None:
    answer = Client().post(DOOR, {"login": "x" * 5000, "password": WRONG})
    assert "This is too long." in answer.content.decode()


def test_a_network_that_guesses_at_many_accounts_is_refused_and_a_known_device_in_it_is_not(customer: User) -> None:
    owner = known_device(customer)
    for number in range(100):
        assert "not correct" in tried(Client(), f"nobody-{number}", address=f"2001:db8:0:7::{number:x}")
    assert tried(Client(), "nobody", address="2001:db8:0:7:ffff::1") == REFUSED.format("1 minute")
    assert "not correct" in tried(Client(), "nobody", address="2001:db8:0:8::1")
    assert is_let_in(owner, address="2001:db8:0:7::1")


def test_networks_of_ipv4_are_told_apart_when_written_as_ipv6(customer: User) -> None:
    for number in range(100):
        tried(Client(), f"nobody-{number}", address="::ffff:203.0.113.1")
    assert tried(Client(), "nobody", address="203.0.113.1") == REFUSED.format("1 minute")
    assert is_let_in(Client(), address="::ffff:203.0.113.2")


def test_a_refused_network_uses_up_no_tries_of_an_account(customer: User) -> None:
    for number in range(100):
        tried(Client(), f"nobody-{number}")
    for _ in range(5):
        assert tried(Client(), "customer") == REFUSED.format("1 minute")
    assert is_let_in(Client(), address=OWNERS_HOME)


def test_counters_are_kept_when_many_names_are_tried() -> None:
    assert CACHES["default"]["OPTIONS"]["MAX_ENTRIES"] >= 100_000


# --- What an answer gives away -----------------------------------------------------------------


def test_every_name_costs_the_same_work(customer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an account or without, with a password or without: one query and one look at a password."""
    User.objects.create_user("imported")
    hashed: list[str] = []
    encode = MD5PasswordHasher.encode

    def counted(hasher: MD5PasswordHasher, password: str, salt: str) -> str:
        hashed.append(password)
        return encode(hasher, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", counted)
    logins = ["customer", "customer@example.com", "imported", "nobody", "nobody@example.com"]
    queries = [queries_of(login) for login in logins]
    assert queries == [queries[0]] * len(logins)
    assert sum('FROM "core_user"' in query for query in queries[0]) == 1
    assert len(hashed) == len(logins)


def queries_of(login: str) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        tried(Client(), login)
    return [re.sub(r"'[^']*'|\d+", "?", query["sql"]) for query in queries]


# --- Known devices -----------------------------------------------------------------------------


def test_an_owner_is_not_locked_out_by_a_stranger(customer: User) -> None:
    owner = known_device(customer)
    guessed()
    assert not is_let_in(Client(), address=OWNERS_HOME)
    assert is_let_in(owner, address=OWNERS_HOME)
    # Even behind the stranger's own address.
    assert is_let_in(owner, "customer@example.com", address="198.51.100.0")


def test_a_known_device_has_five_tries_of_its_own(customer: User) -> None:
    first, second = known_device(customer), known_device(customer)
    guessed()
    for _ in range(5):
        assert "not correct" in tried(first, "customer")
    assert tried(first, "customer", PASSWORD) == REFUSED.format("5 minutes")
    assert is_let_in(second)


def test_a_known_devices_failures_count_among_all(customer: User) -> None:
    owner = known_device(customer)
    for _ in range(5):
        tried(owner, "customer")
    assert not is_let_in(Client())


def test_signing_in_again_gives_a_device_no_new_tries(customer: User) -> None:
    owner = known_device(customer)
    for _ in range(4):
        tried(owner, "customer")
    assert is_let_in(owner)
    owner.post("/accounts/logout/")
    tried(owner, "customer")
    assert not is_let_in(owner)


def test_a_devices_cookie_is_kept_from_scripts_and_other_sites(customer: User, settings: Settings) -> None:
    cookie = device_cookie(known_device(customer))
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["secure"]) == (True, "Lax", "/", "")
    assert cookie["max-age"] == 90 * 24 * 3600
    settings.SESSION_COOKIE_SECURE = True
    assert device_cookie(known_device(customer))["secure"] is True


def test_a_device_is_known_for_90_days_after_its_last_sign_in(customer: User, frozen: time_machine.Traveller) -> None:
    owner, other = known_device(customer), known_device(customer)
    frozen.shift(timedelta(days=89))
    assert is_let_in(owner)
    owner.post("/accounts/logout/")
    frozen.shift(timedelta(days=2))
    other.cookies[DEVICE]["max-age"] = ""  # a browser that keeps what it should have dropped
    guessed()
    assert is_let_in(owner)
    assert not is_let_in(other)


@pytest.mark.parametrize("forgery", ["", "|||", "x" * 4000, "|".join(["a:b:c"] * 500), "é:1:2"])
def test_a_forged_cookie_opens_nothing(forgery: str, customer: User) -> None:
    stranger = Client()
    stranger.cookies[DEVICE] = forgery
    guessed()
    assert not is_let_in(stranger)


def test_a_cookie_signed_for_something_else_opens_nothing(customer: User) -> None:
    stranger = Client()
    stranger.cookies[DEVICE] = TimestampSigner().sign("device")
    guessed()
    assert not is_let_in(stranger)


def test_the_cookie_of_another_account_opens_nothing(customer: User, neighbour: User) -> None:
    stranger = known_device(neighbour)
    guessed()
    assert not is_let_in(stranger)
    assert is_let_in(stranger, "neighbour")


def test_a_device_knows_the_five_accounts_that_signed_in_last(customer: User) -> None:
    client = known_device(customer)
    others = [UserFactory(username=f"colleague-{number}") for number in range(5)]
    for other in others[:4]:
        assert is_let_in(client, other.username)
        client.post("/accounts/logout/")
    guessed()
    assert is_let_in(client)
    client.post("/accounts/logout/")
    for other in others:
        assert is_let_in(client, other.username)
        client.post("/accounts/logout/")
    assert not is_let_in(client)


def test_a_new_password_makes_every_other_device_unknown(customer: User) -> None:
    here, elsewhere = known_device(customer), known_device(customer)
    assert is_let_in(here)
    typed = {"oldpassword": PASSWORD, "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    assert here.post("/accounts/password/change/", typed).status_code == 302
    here.post("/accounts/logout/")
    guessed()
    assert not is_let_in(elsewhere, password=NEW_PASSWORD)
    assert is_let_in(here, password=NEW_PASSWORD)


# --- Other places that ask for a password ------------------------------------------------------


def changed_password(client: Client, old: str) -> str:
    typed = {"oldpassword": old, "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    answer = client.post("/accounts/password/change/", typed)
    return "" if answer.status_code == 302 else answer.context["form"].errors["oldpassword"][0]


def test_who_finds_an_open_session_cannot_guess_its_password(customer: User, as_customer: Client) -> None:
    for _ in range(5):
        assert "current password" in changed_password(as_customer, "wrong")
    assert changed_password(as_customer, PASSWORD) == REFUSED.format("5 minutes")
    assert customer.check_password(PASSWORD)


def test_a_stranger_does_not_keep_an_owner_from_changing_the_password(customer: User) -> None:
    owner = known_device(customer)
    assert is_let_in(owner)
    guessed()
    assert changed_password(owner, PASSWORD) == ""


def test_guesses_at_sign_in_and_at_an_open_session_count_together(customer: User, as_customer: Client) -> None:
    guessed(times=3)
    for _ in range(2):
        changed_password(as_customer, "wrong")
    assert not is_let_in(Client())


def test_reauthentication_counts_too(customer: User, as_customer: Client) -> None:
    for _ in range(5):
        as_customer.post("/accounts/reauthenticate/", {"password": "wrong"})
    answer = as_customer.post("/accounts/reauthenticate/", {"password": PASSWORD})
    assert answer.context["form"].errors["password"] == [REFUSED.format("5 minutes")]


def test_the_admin_has_no_password_page_of_its_own(reviewer: User) -> None:
    staff = signed_in(reviewer)
    for answer in (staff.get("/admin/password_change/"), staff.post("/admin/password_change/", {})):
        assert (answer.status_code, answer["Location"]) == (302, "/accounts/password/change/")
    led = Client().post("/admin/login/", {"username": "reviewer", "password": PASSWORD})
    assert led.status_code == 302


def test_requests_without_end_are_answered_with_when_to_come_back(db: None) -> None:
    client = Client()
    answers = [client.post("/accounts/password/reset/", {"email": f"{n}@example.com"}) for n in range(21)]
    assert [answer.status_code for answer in answers] == [302] * 20 + [429]
    assert "Wait a minute, then try again." in answers[-1].content.decode()
    assert answers[-1]["Retry-After"] == "60"
