"""What must hold of the settings before anything runs."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

from refunds.rules.policies import POLICIES


def check_refund_policy(**_: Any) -> list[CheckMessage]:
    if settings.REFUND_POLICY in POLICIES:
        return []
    known = ", ".join(POLICIES)
    return [Error(f"REFUND_POLICY is {settings.REFUND_POLICY!r}. Set it to one of: {known}.", id="refunds.E001")]
