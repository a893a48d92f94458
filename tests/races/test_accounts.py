"""Staff and an account's owner write to the account at the same moment: neither undoes what the other did."""

import pytest
from django.contrib.auth import password_validation
from django.urls import reverse

from core import email_changes
from core.email_links import EmailLink, LinkKind
from core.models import User
from tests.conftest import signed_in
from tests.factories import NOON, UserFactory
from tests.races.running import Act, overtake, overtake_unguarded

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("frozen")]

LOOK = (password_validation, "validate_password")


@pytest.fixture
def owner() -> User:
    return UserFactory(username="owner", email="old@example.com")


@pytest.fixture
def acts(owner: User) -> tuple[Act, Act]:
    """Staff set the account's password, and its owner presses the link sent to a new address."""
    staff = signed_in(UserFactory(username="root", is_staff=True, is_superuser=True))
    page = reverse("admin:auth_user_password_change", args=[owner.pk])
    typed = {"password1": "set-by-staff-1", "password2": "set-by-staff-1", "usable_password": "true"}
    link = EmailLink(email_changes.request_change(owner.pk, "new@example.com", at=NOON).pk, LinkKind.CONFIRM)
    return (
        lambda: staff.post(page, {**typed, "set-password": "1"}).status_code,
        lambda: email_changes.confirm_change(link, at=NOON).state,
    )


def test_password_set_by_staff_leaves_the_address_that_its_owner_confirms_meanwhile(
    acts: tuple[Act, Act], owner: User
) -> None:
    assert overtake(*acts, at=LOOK) == [302, "done"]
    owner.refresh_from_db()
    assert owner.email == "new@example.com"
    assert owner.check_password("set-by-staff-1")


def test_control_without_guards_the_confirmed_address_is_lost(acts: tuple[Act, Act], owner: User) -> None:
    assert overtake_unguarded(*acts, at=LOOK) == [302, "done"]
    owner.refresh_from_db()
    assert owner.email == "old@example.com"
