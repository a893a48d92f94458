"""Keys at rest: what is encrypted, with which key, and how the keys are changed."""

import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from pytest_django import Settings

from certificates.models import AcmeAccount, Application, CaIssuer
from console.start.secret_key import encryption_keys_in
from core.encryption import WrongKey, check_keys, decrypt, encrypt, is_under_newest, new_key
from core.management.commands import rotate_keys
from tests import factories
from tests.factories import NOON
from tests.races.running import overtake

SECRET = b"-----BEGIN PRIVATE KEY-----"


def test_a_secret_comes_back_and_does_not_show(settings: Settings):
    token = encrypt(SECRET)
    assert decrypt(token) == SECRET
    assert SECRET.decode() not in token
    assert encrypt(SECRET) != token


def test_older_keys_still_open_and_unknown_ones_do_not(settings: Settings):
    token = encrypt(SECRET)
    settings.KEY_ENCRYPTION_KEYS = [new_key(), *settings.KEY_ENCRYPTION_KEYS]
    assert decrypt(token) == SECRET
    assert not is_under_newest(token)
    assert is_under_newest(encrypt(SECRET))
    settings.KEY_ENCRYPTION_KEYS = [new_key()]
    with pytest.raises(WrongKey, match="None of KEY_ENCRYPTION_KEYS opens it"):
        decrypt(token)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ([], "Set KEY_ENCRYPTION_KEYS to a key that `manage.py new_encryption_key` prints"),
        (["hush"], "must be 32 random bytes"),
        ([Fernet.generate_key().decode(), "hüsh"], "must be 32 random bytes"),
    ],
    ids=["none", "malformed", "malformed second"],
)
def test_without_usable_keys_the_check_says_what_to_do(settings: Settings, keys, words):
    settings.KEY_ENCRYPTION_KEYS = keys
    [error] = check_keys()
    assert error.id == "core.E003"
    assert words in error.msg
    assert "hush" not in error.msg
    with pytest.raises(ImproperlyConfigured, match=words[:20]):
        encrypt(SECRET)


def test_with_usable_keys_the_check_is_silent():
    assert check_keys() == []


def test_a_printed_key_can_be_set(settings: Settings):
    settings.KEY_ENCRYPTION_KEYS = []
    printed = StringIO()
    call_command("new_encryption_key", stdout=printed)
    settings.KEY_ENCRYPTION_KEYS = [printed.getvalue().strip()]
    assert decrypt(encrypt(SECRET)) == SECRET


# --- Changing keys -----------------------------------------------------------------------------


@pytest.fixture
def stored(customer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret of every kind, more of one than go into a batch, and an application without any."""
    monkeypatch.setattr(rotate_keys, "BATCH", 2)
    CaIssuer.objects.create(kind="root", pem="", key=encrypt(b"root"), created_at=NOON)
    CaIssuer.objects.create(kind="intermediate", pem="", key=encrypt(b"intermediate"), created_at=NOON)
    for number in range(5):
        AcmeAccount.objects.create(directory=f"https://acme{number}.example.com/", key=encrypt(b"acme %d" % number))
    Application.objects.create(certificate=factories.certificate(customer), key=encrypt(b"made here"))
    Application.objects.create(certificate=factories.certificate(customer))


def tokens() -> dict[tuple[str, Any], str]:
    fields = rotate_keys.encrypted_fields()
    return {
        (model._meta.db_table, pk): token
        for model, field in fields
        for pk, token in model._base_manager.values_list("pk", field.name)
        if token
    }


def rotate() -> str:
    said = StringIO()
    call_command("rotate_keys", stdout=said)
    return said.getvalue()


def test_rotating_puts_every_secret_under_the_newest_key(stored, settings: Settings):
    before = {place: decrypt(token) for place, token in tokens().items()}
    assert len(before) == 8
    settings.KEY_ENCRYPTION_KEYS = [new_key(), *settings.KEY_ENCRYPTION_KEYS]
    assert rotate() == "8 secrets encrypted anew with the newest key.\n"
    settings.KEY_ENCRYPTION_KEYS = settings.KEY_ENCRYPTION_KEYS[:1]
    assert {place: decrypt(token) for place, token in tokens().items()} == before


def test_rotating_twice_changes_nothing_more(stored, settings: Settings):
    settings.KEY_ENCRYPTION_KEYS = [new_key(), *settings.KEY_ENCRYPTION_KEYS]
    rotate()
    once = tokens()
    assert rotate() == "0 secrets encrypted anew with the newest key.\n"
    assert tokens() == once


def test_what_no_key_opens_is_named_and_left_and_the_others_go_on(stored, settings: Settings):
    lost = AcmeAccount.objects.order_by("pk")[1]
    old = settings.KEY_ENCRYPTION_KEYS
    settings.KEY_ENCRYPTION_KEYS = [new_key()]
    AcmeAccount.objects.filter(pk=lost.pk).update(key=encrypt(b"another's"))
    kept = AcmeAccount.objects.get(pk=lost.pk).key
    settings.KEY_ENCRYPTION_KEYS = [new_key(), *old]
    said, complained = StringIO(), StringIO()
    with pytest.raises(CommandError, match="1 could not be read") as refusal:
        call_command("rotate_keys", stdout=said, stderr=complained)
    assert refusal.value.returncode == 1
    place = f"Table certificates_acmeaccount, row {lost.pk}, column key"
    assert complained.getvalue() == f"{place}: none of the keys opens it.\n"
    assert said.getvalue().startswith("7 secrets")
    assert [token for token in tokens().values() if not is_under_newest(token)] == [kept]


def test_a_secret_stored_while_keys_are_changed_is_not_lost(transactional_db, settings: Settings):
    account = AcmeAccount.objects.create(directory="https://acme.example.com/", key=encrypt(b"old"))
    settings.KEY_ENCRYPTION_KEYS = [new_key(), *settings.KEY_ENCRYPTION_KEYS]
    overtake(
        rotate,
        lambda: AcmeAccount.objects.filter(pk=account.pk).update(key=encrypt(b"new")),
        at=(rotate_keys, "is_under_newest"),
    )
    account.refresh_from_db()
    assert decrypt(account.key) == b"new"


# --- The demo's own ----------------------------------------------------------------------------


def test_the_demos_key_is_made_once_for_its_owner_alone(tmp_path: Path):
    keys = encryption_keys_in(tmp_path)
    assert encryption_keys_in(tmp_path) == keys
    assert (tmp_path / "encryption_keys").stat().st_mode & 0o777 == 0o600
    [key] = keys
    assert Fernet(key)


def test_the_demos_keys_can_be_changed_by_a_line_above(tmp_path: Path):
    [old] = encryption_keys_in(tmp_path)
    (tmp_path / "encryption_keys").write_text(f"{new_key()}\n{old}\n")
    assert encryption_keys_in(tmp_path)[1] == old


def keys_of_a_process(**environment: str) -> str:
    """What KEY_ENCRYPTION_KEYS a process of its own sees with this environment and no other."""
    code = "from console import settings; print(settings.KEY_ENCRYPTION_KEYS)"
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout


def test_every_process_of_the_demo_finds_the_same_key(tmp_path: Path):
    demo = {"DEMO": "1", "VAR_DIR": str(tmp_path)}
    first = keys_of_a_process(**demo)
    assert first.strip() == str(encryption_keys_in(tmp_path))
    assert keys_of_a_process(**demo) == first
    own = [new_key(), new_key()]
    assert keys_of_a_process(**demo, KEY_ENCRYPTION_KEYS=", ".join(own)).strip() == str(own)


def test_outside_the_demo_no_key_is_made(tmp_path: Path):
    production = {
        "SECRET_KEY": "long",
        "ALLOWED_HOSTS": "console.example.com",
        "DEFAULT_FROM_EMAIL": "console@example.com",
        "VAR_DIR": str(tmp_path),
    }
    assert keys_of_a_process(**production).strip() == "[]"
    assert list(tmp_path.iterdir()) == []
