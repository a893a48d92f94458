"""The settings page: what a person may change about their own account."""

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.test import Client

from core.models import User


def test_a_customer_may_change_email_language_and_zone(as_customer: Client, customer: User) -> None:
    typed = {"email": "new@example.com", "language": "en", "time_zone": "Europe/Berlin"}
    response = as_customer.post("/settings/", typed, follow=True)
    assert "Your settings are saved." in response.content.decode()
    customer.refresh_from_db()
    assert (customer.email, customer.language, customer.time_zone) == ("new@example.com", "en", "Europe/Berlin")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "not an address"),
        ("email", "NEIGHBOUR@example.com"),
        ("time_zone", "Mars/Olympus"),
        ("time_zone", ""),
        ("language", "xx"),
        ("language", ""),
    ],
)
def test_a_customer_may_not_store_nonsense(
    as_customer: Client, customer: User, neighbour: User, field: str, value: str
) -> None:
    typed = {"email": "new@example.com", "language": "en", "time_zone": "Europe/Berlin", field: value}
    response = as_customer.post("/settings/", typed)
    assert response.status_code == 422
    assert f'id="id_{field}_error"' in response.content.decode()
    if value:
        assert response.context["form"][field].value() == value
    customer.refresh_from_db()
    assert (customer.email, customer.time_zone) == ("customer@example.com", "Asia/Shanghai")


def test_a_stranger_may_not_open_settings(db: None) -> None:
    assert Client().get("/settings/").status_code == 302


def test_an_address_that_was_given_up_opens_the_account_no_more(as_customer: Client, customer: User) -> None:
    EmailAddress.objects.create(user=customer, email=customer.email, verified=True, primary=True)
    as_customer.post("/settings/", {"email": "new@example.com", "language": "en", "time_zone": "Europe/Berlin"})
    Client().post("/accounts/password/reset/", {"email": "customer@example.com"})
    assert [each.to for each in mail.outbox if "/accounts/password/reset/key/" in each.body] == []
    Client().post("/accounts/password/reset/", {"email": "new@example.com"})
    assert [each.to for each in mail.outbox if "/accounts/password/reset/key/" in each.body] == [["new@example.com"]]


def test_only_the_pages_that_have_a_use_are_there(as_customer: Client) -> None:
    for page in ("email/", "confirm-email/", "password/set/"):
        assert as_customer.get(f"/accounts/{page}").status_code == 404
