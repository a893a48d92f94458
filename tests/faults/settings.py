"""The tests' settings for worker processes that die, or see the outside, as FAULT and OUTSIDE say."""

import os

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS, VAR_DIR

INSTALLED_APPS = [*INSTALLED_APPS, "tests.faults.apps.FaultsConfig"]
OUTSIDE = os.environ.get("OUTSIDE", str(VAR_DIR / "outside"))
EMAIL_BACKEND = "tests.faults.outside.Mailbox"
