"""Sign-in for customers and staff: one door, closed to newcomers, patient with people and not with machines."""

import pytest
from django.test import Client
from pytest_django import Settings

from core.models import User

pytestmark = pytest.mark.django_db
DOOR = "/accounts/login/"
PASSWORD = "refund-demo"


def sign_in(client: Client, login: str, password: str = PASSWORD, **query: str):
    return client.post(DOOR, {"login": login, "password": password}, query_params=query)


def test_a_stranger_is_led_to_the_door_and_on_to_where_they_wanted() -> None:
    answer = Client().get("/settings/")
    assert answer["Location"] == f"{DOOR}?next=/settings/"


@pytest.mark.parametrize("login", ["customer", "customer@example.com", "CUSTOMER@Example.com"])
def test_a_customer_signs_in_by_name_or_email(login: str, customer: User) -> None:
    client = Client()
    answer = sign_in(client, login, next="/settings/")
    assert (answer.status_code, answer["Location"]) == (302, "/settings/")
    assert client.session["_auth_user_id"] == str(customer.pk)


def test_a_customer_is_not_sent_to_another_site(customer: User) -> None:
    assert sign_in(Client(), "customer", next="https://elsewhere.example/")["Location"] == "/"


@pytest.mark.parametrize("login", ["customer", "nobody", "nobody@example.com"])
def test_a_wrong_password_and_an_unknown_name_hear_the_same(login: str, customer: User) -> None:
    answer = sign_in(Client(), login, "wrong")
    assert answer.status_code == 200
    assert "not correct" in answer.content.decode()
    assert "_auth_user_id" not in answer.client.session


def test_who_guesses_passwords_is_stopped_with_a_sentence_and_so_is_the_right_one(customer: User) -> None:
    client = Client()
    for _ in range(5):
        sign_in(client, "customer", "wrong")
    answer = sign_in(client, "customer")
    assert "Too many failed attempts" in answer.content.decode()
    assert "_auth_user_id" not in client.session


def test_who_guesses_one_name_does_not_shut_out_another(customer: User, neighbour: User) -> None:
    client = Client()
    for _ in range(6):
        sign_in(client, "customer", "wrong")
    assert sign_in(client, "neighbour").status_code == 302


def test_a_customer_who_left_is_not_let_in(customer: User) -> None:
    customer.is_active = False
    customer.save()
    client = Client()
    sign_in(client, "customer")
    assert "_auth_user_id" not in client.session


def test_nobody_signs_up() -> None:
    newcomer = {
        "username": "newcomer",
        "email": "new@example.com",
        "password1": "long-enough-9",
        "password2": "long-enough-9",
    }
    client = Client()
    assert "No sign-up here" in client.get("/accounts/signup/").content.decode()
    client.post("/accounts/signup/", newcomer)
    assert not User.objects.filter(username="newcomer").exists()


def test_staff_come_to_the_admin_through_the_same_door(reviewer: User) -> None:
    client = Client()
    led = client.get("/admin/", follow=True)
    assert led.request["PATH_INFO"] == DOOR
    sign_in(client, "reviewer", next="/admin/")
    assert client.get("/admin/").status_code == 200


def test_the_admin_takes_no_password_of_its_own(reviewer: User) -> None:
    client = Client()
    client.post("/admin/login/", {"username": "reviewer", "password": PASSWORD})
    assert "_auth_user_id" not in client.session


def test_a_customer_is_not_let_into_the_admin(as_customer: Client) -> None:
    assert as_customer.get("/admin/", follow=True).status_code == 403


def test_signing_out_takes_a_press_of_the_button(as_customer: Client) -> None:
    as_customer.get("/accounts/logout/")
    assert "_auth_user_id" in as_customer.session
    as_customer.post("/accounts/logout/")
    assert "_auth_user_id" not in as_customer.session


def test_behind_a_proxy_one_readers_wrong_passwords_shut_out_no_other(customer: User, settings: Settings) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    for n in range(130):
        client = Client(headers={"X-Forwarded-For": f"203.0.113.{n}"})
        client.post("/accounts/login/", {"login": f"nobody-{n}", "password": "wrong"})
    other = Client(headers={"X-Forwarded-For": "198.51.100.7"})
    assert other.post("/accounts/login/", {"login": customer.username, "password": "refund-demo"}).status_code == 302
