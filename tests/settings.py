"""The console's settings as the tests run them: as in the demo, with quick passwords and plain static files."""

import base64
import os

# Processes that a test starts inherit them, and so read the secrets that it stored.
os.environ.update(
    DEMO="1",
    PLAIN_STATIC="1",
    KEY_ENCRYPTION_KEYS=base64.urlsafe_b64encode(b"known to all; used by tests only").decode(),
)

from console.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
# Static files are looked up when asked for; else every client's first request reads all of them.
WHITENOISE_AUTOREFRESH = True
STATIC_ROOT.mkdir(exist_ok=True)  # noqa: F405 - else whitenoise warns at every client
