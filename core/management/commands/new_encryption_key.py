from typing import Any

from django.core.management import BaseCommand

from core.encryption import new_key


class Command(BaseCommand):
    help = "Print a new key for KEY_ENCRYPTION_KEYS; it is stored nowhere."
    # They ask for the very key that this makes.
    requires_system_checks = []

    def handle(self, **_: Any) -> None:
        self.stdout.write(new_key())
