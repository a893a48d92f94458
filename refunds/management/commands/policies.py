"""`manage.py policies`: every refund policy as Markdown. docs/policies.md is its output."""

from typing import Any

from django.core.management.base import BaseCommand

from refunds.rules.policies import POLICIES
from refunds.rules.printed import markdown_of


class Command(BaseCommand):
    help = "Print every refund policy as a Markdown table. Needs no database."
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(markdown_of(POLICIES), ending="")
