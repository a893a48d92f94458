"""The console's settings as the tests run them: in the demo's way, with quick passwords and nothing that needs collecting."""

import os

os.environ.update(DEMO="1", PLAIN_STATIC="1")

from console.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
