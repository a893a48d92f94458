"""How gunicorn serves the console: `gunicorn --config python:console.gunicorn console.wsgi`."""

import os
from pathlib import Path

from django.conf import settings
from gunicorn.util import parse_address

from console import env

# Read here too, so that a bad setting is one sentence and not the traceback of an application that can't be loaded.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")


def _bind() -> str:
    value = env.text("BIND", f"127.0.0.1:{settings.PORT}")
    try:
        place = parse_address(value)
    except RuntimeError:
        place = ("", 0)
    if isinstance(place, tuple) and not 0 < place[1] <= 65_535:
        raise env.bad("BIND", value, "must be address:port or unix:path")
    return value


bind = _bind()
worker_class = "gthread"
workers = settings.WEB_WORKERS
threads = 4
# Loaded once and shared; also, a process replaced while the database is away must not need it to start.
preload_app = True
graceful_timeout = 10
# The default stands in the home folder, where two servers share one without a word.
control_socket_disable = True
# The heartbeat file must not stand on a slow disk.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - mkstemp within
