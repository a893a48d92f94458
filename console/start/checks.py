"""What must hold before anything is started; each failure is one sentence that names the remedy."""

import socket

import psycopg
from django.db import DatabaseError, connection

from console.start.environment import NotReady

SECONDS_TO_CONNECT = 5


def listen_on(port: int) -> socket.socket:
    """A listening socket on loopback, which the server inherits: the port is ours from the first moment on.

    Raises NotReady when it is not to be had.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        listener.close()
        raise NotReady(_port_refused(port, error)) from error
    return listener


def _port_refused(port: int, error: Exception) -> str:
    if isinstance(error, OverflowError):
        return f"There is no port {port}: choose one from 1024 to 65535, as in `make run PORT=8001`."
    if isinstance(error, PermissionError):
        return f"You may not use port {port}: choose one from 1024 on, as in `make run PORT=8001`."
    return f"Port {port} is busy: stop what listens there, or choose another, as in `make run PORT={port + 1}`."


def check_database() -> None:
    """Raise NotReady when the database of DATABASE_URL does not answer."""
    try:
        if connection.vendor == "postgresql":
            # Past the pool, which would try for long and log each try.
            parameters = connection.get_connection_params()
            parameters.pop("pool", None)
            psycopg.connect(**{**parameters, "connect_timeout": SECONDS_TO_CONNECT}).close()
        else:
            with connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM sqlite_master")
    except (DatabaseError, psycopg.Error) as error:
        # The first line says what; what follows are a library's guesses why.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise NotReady(
            f"The database {_place()} cannot be reached ({reason.rstrip('.')}): start it, or name another, as in "
            "`make run DATABASE_URL=postgres://user:password@host/name` or `DATABASE_URL=sqlite:///file`."
        ) from error


def _place() -> str:
    """Where the database is, without its password."""
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        return str(settings["NAME"])
    host = settings["HOST"] or settings["OPTIONS"].get("host", "")
    return f"{settings['NAME']} on {host}" + (f":{settings['PORT']}" if settings["PORT"] else "")
