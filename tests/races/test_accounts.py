"""Staff and an account's owner write to the account at the same moment: neither undoes what the other did."""

from types import ModuleType
from typing import Any

import pytest
from allauth.account import adapter
from django.contrib.auth import password_validation
from django.forms import models
from django.test import Client
from django.urls import reverse

from console.adapters import AccountAdapter
from core import email_changes
from core.email_links import EmailLink, LinkKind
from core.models import User
from tests.conftest import signed_in
from tests.factories import NOON, UserFactory
from tests.races.running import TOO_LONG, Act, Overtaking, overtake, overtake_unguarded

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("frozen")]

PASSWORD = "refund-demo"
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
    link = EmailLink(email_changes.request_change(owner, "new@example.com", at=NOON).pk, LinkKind.CONFIRM)
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


# --- Somebody at an open session, while the owner restores the address ---------------------------


@pytest.fixture
def intruder(owner: User) -> Client:
    """At an open session, with the password, and with the address already changed."""
    client = signed_in(owner)
    link = EmailLink(email_changes.request_change(owner, "intruder@example.com", at=NOON).pk, LinkKind.CONFIRM)
    email_changes.confirm_change(link, at=NOON)
    return client


def restore(owner: User) -> Act:
    link = EmailLink(owner.email_changes.get().pk, LinkKind.RESTORE_AFTER_CHANGE)
    return lambda: email_changes.restore_email(link, at=NOON).email


def overtaken_by_restoring(owner: User, act: Act, *, at: tuple[ModuleType | type, str]) -> list[Any]:
    """The outcomes of an act at the intruder's session and of the owner's link, which goes through in between."""
    return Overtaking(act, restore(owner), at=at, patience=TOO_LONG).outcomes


def is_restored(owner: User) -> bool:
    owner.refresh_from_db()
    return owner.email == "old@example.com" and not owner.has_usable_password()


def test_settings_saved_meanwhile_bring_back_neither_password_nor_address(intruder: Client, owner: User) -> None:
    page, typed = reverse("settings"), {"language": "en", "time_zone": "Europe/Berlin"}
    assert overtaken_by_restoring(
        owner, lambda: intruder.post(page, typed).status_code, at=(models, "construct_instance")
    ) == [302, "old@example.com"]
    assert is_restored(owner)
    assert owner.time_zone == "Europe/Berlin"


def test_password_changed_meanwhile_is_refused(intruder: Client, owner: User) -> None:
    page = reverse("account_change_password")
    typed = {"oldpassword": PASSWORD, "password1": "the-intruders-own-1", "password2": "the-intruders-own-1"}
    assert overtaken_by_restoring(
        owner, lambda: intruder.post(page, typed).status_code, at=(adapter, "validate_password")
    ) == [403, "old@example.com"]
    assert is_restored(owner)


def test_address_change_asked_for_meanwhile_is_refused(intruder: Client, owner: User) -> None:
    typed = {"new_email": "again@example.com", "password": PASSWORD}
    assert overtaken_by_restoring(
        owner, lambda: intruder.post(reverse("change_email"), typed).status_code, at=(AccountAdapter, "reauthenticate")
    ) == [422, "old@example.com"]
    assert is_restored(owner)
    assert not owner.email_changes.filter(new_email="again@example.com").exists()
