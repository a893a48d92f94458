"""The settings page: what a person may change about their own account."""

import re
from typing import Any

import pytest
from django.test import Client

from core.models import User, zone_names


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


def test_settings_mark_the_zone_of_the_account_and_hold_every_zone_once(as_customer: Client, customer: User) -> None:
    customer.time_zone = "America/Los_Angeles"
    customer.save()
    page = as_customer.get("/settings/").content.decode()
    zones = re.findall(r"<option(?: selected)?>(\S+)\n", page)
    assert zones == [name for name, _label in zone_names()]
    assert re.findall(r"<option selected>(\S+)\n", page) == ["America/Los_Angeles"]


def test_a_zone_that_is_none_is_marked_wrong_and_no_other_is_chosen_instead(as_customer: Client) -> None:
    typed = {"email": "new@example.com", "language": "en", "time_zone": "Mars/Olympus"}
    page = as_customer.post("/settings/", typed).content.decode()
    [field] = re.findall(r"<select[^>]*time_zone[^>]*>\s*<option[^>]*>", page)
    assert 'aria-invalid="true"' in field
    assert field.endswith('<option value="" selected>')


def test_the_time_zones_are_not_rendered_one_by_one(as_customer: Client) -> None:
    page: Any = as_customer.get("/settings/")
    names = [template.name for template in page.templates]
    assert names.count("django/forms/widgets/select_option.html") < 10
    assert len(page.content) < 24_000


def test_a_stranger_may_not_open_settings(db: None) -> None:
    assert Client().get("/settings/").status_code == 302


def test_only_the_pages_that_have_a_use_are_there(as_customer: Client) -> None:
    for page in ("email/", "confirm-email/", "password/set/"):
        assert as_customer.get(f"/accounts/{page}").status_code == 404
