"""The tests' settings for worker processes that die, or lack something, as `tests.faults.points` reads it."""

import os

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS, VAR_DIR

INSTALLED_APPS = [*INSTALLED_APPS, "tests.faults.apps.FaultsConfig"]
MAILS = os.environ.get("MAILS", str(VAR_DIR / "mails"))
EMAIL_BACKEND = "tests.faults.outside.Mailbox"
