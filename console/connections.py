"""Leaving the database before a process is forked."""

from django.db import connections


def close_connections() -> None:
    """Close every connection and pool of this process, so that it can be forked: neither outlives that."""
    for connection in connections.all(initialized_only=True):
        connection.close()
        if hasattr(connection, "close_pool"):
            connection.close_pool()
