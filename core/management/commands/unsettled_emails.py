"""`manage.py unsettled_emails`: the accounts whose email address staff must settle."""

from typing import Any

from django.core.management.base import BaseCommand

from core.accounts import why_unsettled
from core.models import User


class Command(BaseCommand):
    help = (
        "List the accounts that can't use their email address, one per line: another account has it, or it isn't "
        "valid. Give each another address on its page of the staff desk."
    )

    def handle(self, **_: Any) -> None:
        unsettled = User.objects.exclude(unsettled_email="").order_by("pk")
        for account in unsettled.iterator(chunk_size=500):
            self.stdout.write(f"{account.username}: {why_unsettled(account)}")
        if not unsettled.exists():
            self.stdout.write("OK: every account may use the address it has.")
