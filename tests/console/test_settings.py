"""The settings page: what a person may change about their own account."""

import pytest
from django.test import Client

from core.models import User


def test_a_customer_may_change_language_and_zone(as_customer: Client, customer: User) -> None:
    typed = {"language": "en", "time_zone": "Europe/Berlin"}
    response = as_customer.post("/settings/", typed, follow=True)
    assert "Your settings are saved." in response.content.decode()
    customer.refresh_from_db()
    assert (customer.language, customer.time_zone) == ("en", "Europe/Berlin")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("time_zone", "Mars/Olympus"),
        ("time_zone", ""),
        ("language", "xx"),
        ("language", ""),
    ],
)
def test_a_customer_may_not_store_nonsense(as_customer: Client, customer: User, field: str, value: str) -> None:
    typed = {"language": "en", "time_zone": "Europe/Berlin", field: value}
    response = as_customer.post("/settings/", typed)
    assert response.status_code == 422
    assert f'id="id_{field}_error"' in response.content.decode()
    if value:
        assert response.context["form"][field].value() == value
    customer.refresh_from_db()
    assert customer.time_zone == "Asia/Shanghai"


def test_a_stranger_may_not_open_settings(db: None) -> None:
    assert Client().get("/settings/").status_code == 302


def test_only_the_pages_that_have_a_use_are_there(as_customer: Client) -> None:
    for page in ("email/", "confirm-email/", "password/set/"):
        assert as_customer.get(f"/accounts/{page}").status_code == 404
