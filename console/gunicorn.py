"""How gunicorn serves the console: `gunicorn --config python:console.gunicorn console.wsgi`."""

import os
from pathlib import Path

bind = os.environ.get("BIND") or f"127.0.0.1:{os.environ.get('PORT') or 8000}"
worker_class = "gthread"
workers = int(os.environ.get("WEB_WORKERS") or 2)
threads = 4
# Loaded once and shared; also, a process replaced while the database is away must not need it to start.
preload_app = True
graceful_timeout = 10
# The default stands in the home folder, where two servers share one without a word.
control_socket_disable = True
# The heartbeat file must not stand on a slow disk.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - mkstemp within
