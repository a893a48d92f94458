"""Start the console on this machine: prepare, then server and worker until Ctrl-C or TERM. See `make run`.

python -m console.start                serve
python -m console.start demo-reset     rebuild the demo, and end
"""

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command

from console.connections import close_connections
from console.start.checks import check_database, listen_on
from console.start.environment import NotReady, say
from console.start.prepare import demo_accounts, prepare
from console.start.secret_key import secret_key_in
from console.start.supervisor import Supervisor

# This machine asks itself: no proxy of the environment stands between.
DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def main(arguments: list[str]) -> int:
    try:
        _set_up()
        return _reset_demo() if arguments == ["demo-reset"] else _serve()
    except (NotReady, ImproperlyConfigured, CommandError) as reason:
        sys.stderr.write(f"{reason}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _set_up() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    django.setup()
    if settings.DEMO and not os.environ.get("SECRET_KEY"):
        # Set for the children too.
        os.environ["SECRET_KEY"] = settings.SECRET_KEY = secret_key_in(settings.VAR_DIR)


def _reset_demo() -> int:
    check_database()
    prepare()
    call_command("load_demo", reset=True)
    return 0


def _serve() -> int:
    listener = listen_on(settings.PORT)
    check_database()
    prepare()
    accounts = demo_accounts() if settings.DEMO else []
    close_connections()
    supervisor = Supervisor()
    try:
        supervisor.start("server", _server(listener.fileno()), descriptors=(listener.fileno(),))
        listener.close()
        supervisor.start("worker", [sys.executable, "manage.py", "worker"], is_restarted=True)
        return supervisor.watch(meanwhile=_greeting(accounts))
    finally:
        supervisor.stop()


def _server(descriptor: int) -> list[str]:
    gunicorn = [sys.executable, "-m", "gunicorn", "--config", "python:console.gunicorn", "--log-level", "warning"]
    return [*gunicorn, "--bind", f"fd://{descriptor}", "console.wsgi"]


def _greeting(accounts: list[str]) -> Callable[[], None]:
    """Says where the console is, once, as soon as it answers."""
    waiting = True

    def greet() -> None:
        nonlocal waiting
        if waiting and _answers():
            waiting = False
            say(f"The console runs at http://localhost:{settings.PORT} (Ctrl-C stops it).")
            if accounts:
                say(f"Accounts: {', '.join(accounts)}. The password of each: refund-demo")

    return greet


def _answers() -> bool:
    try:
        DIRECTLY.open(f"http://127.0.0.1:{settings.PORT}/healthz", timeout=1).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
