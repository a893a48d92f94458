"""News goes up through functions that the settings name: each must resolve before anything runs."""

import pytest
from django.conf import settings as project
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from core import hooks
from core.hooks import Hook
from core.models import User


@pytest.fixture
def only_hook(monkeypatch) -> Hook:
    """A hook of its own; the project's are left alone."""
    monkeypatch.setattr(Hook, "known", [])
    return Hook("NEWS")


def called(*args, **kwargs):
    return args, kwargs


def test_hooks_of_the_project_resolve():
    assert {"CERTIFICATE_CHANGED", "PAYOUT_SETTLED", "PAYOUT_SETTLING"} <= {hook.setting for hook in Hook.known}
    assert hooks.resolve_all() == []


def test_hook_calls_the_function_that_its_setting_names(only_hook, settings):
    settings.NEWS = "tests.core.test_hooks.called"
    assert only_hook("payout", at=1) == (("payout",), {"at": 1})


@pytest.mark.parametrize(
    "name", ["refunds.services.no_such_function", "refunds.no_such_module.function", "nonsense", ""]
)
def test_check_fails_for_a_hook_that_does_not_resolve(only_hook, settings, name):
    settings.NEWS = name
    [error] = [error for error in run_checks() if error.id == "core.E001"]
    assert "NEWS" in error.msg
    with pytest.raises(SystemCheckError, match="NEWS"):
        call_command("check")


def test_check_fails_for_a_hook_without_a_setting(only_hook):
    [error] = [error for error in run_checks() if error.id == "core.E001"]
    assert "NEWS" in error.msg


def test_check_fails_for_a_job_without_a_handler(settings):
    assert [error for error in run_checks() if error.id == "core.E002"] == []
    settings.JOB_HANDLERS = {**project.JOB_HANDLERS, "feed_cat": "core.cats.feed"}
    [error] = [error for error in run_checks() if error.id == "core.E002"]
    assert "feed_cat" in error.msg


def add_user_and_break() -> None:
    User.objects.create(username="half done")
    raise ZeroDivisionError


def test_error_of_a_hook_reaches_its_caller(only_hook, settings, db):
    settings.NEWS = "tests.core.test_hooks.add_user_and_break"
    with pytest.raises(ZeroDivisionError):
        only_hook()
    # Written in the caller's transaction: what becomes of it is the caller's to say.
    assert User.objects.filter(username="half done").exists()
