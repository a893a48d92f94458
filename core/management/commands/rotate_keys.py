"""`manage.py rotate_keys`: encrypt every secret in the database with the newest key."""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.management import BaseCommand, CommandError
from django.db import transaction
from django.db.models import Model

from core.encryption import EncryptedField, WrongKey, is_under_newest, reencrypt

# Few enough to hold their locks for a moment only.
BATCH = 100


class Command(BaseCommand):
    help = (
        "Encrypt every stored secret anew with the newest of KEY_ENCRYPTION_KEYS, the first. Once it says that it "
        "encrypted 0 anew, the older ones can go."
    )

    def handle(self, **_: Any) -> None:
        changed, unreadable = 0, 0
        for model, field in encrypted_fields():
            for rotated, words in rotate(model, field):
                changed += rotated
                for each in words:
                    self.stderr.write(each)
                    unreadable += 1
        self.stdout.write(f"{changed} secrets encrypted anew with the newest key.")
        if unreadable:
            raise CommandError(
                f"{unreadable} could not be read with any of KEY_ENCRYPTION_KEYS and stay as they are: see above. Add "
                "the key they were encrypted with at the end of KEY_ENCRYPTION_KEYS and run this again."
            )


def encrypted_fields() -> Iterator[tuple[type[Model], EncryptedField]]:
    for model in apps.get_models():
        for field in model._meta.local_concrete_fields:
            if isinstance(field, EncryptedField):
                yield model, field


def rotate(model: type[Model], field: EncryptedField) -> Iterator[tuple[int, list[str]]]:
    """Batch by batch, each a transaction: how many secrets were changed, and which could not be read."""
    # Nothing stands for no secret.
    secrets = model._base_manager.filter(**{f"{field.name}__gt": ""}).order_by("pk")
    rest = secrets
    while True:
        with transaction.atomic():
            rows = list(rest.select_for_update().values_list("pk", field.name)[:BATCH])
            outcomes = [_rotate_row(model, field, pk, token) for pk, token in rows]
        if not rows:
            return
        unreadable = [
            f"Table {model._meta.db_table}, row {pk}, column {field.column}: none of the keys opens it."
            for (pk, _), outcome in zip(rows, outcomes, strict=True)
            if outcome is None
        ]
        yield sum(outcome or 0 for outcome in outcomes), unreadable
        rest = secrets.filter(pk__gt=rows[-1][0])


def _rotate_row(model: type[Model], field: EncryptedField, pk: Any, token: str) -> int | None:
    """How many secrets of a locked row were changed; None when it cannot be read."""
    if is_under_newest(token):
        return 0
    try:
        anew = reencrypt(token)
    except WrongKey:
        return None
    return model._base_manager.filter(pk=pk).update(**{field.name: anew})
