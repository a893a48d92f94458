"""What `manage.py` says where a command meets a database that was not brought to this version's tables."""

from contextlib import suppress

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

RUN_MIGRATE = "The database lacks tables or columns that this command needs. Run `manage.py migrate` first."


def why_it_failed(command: str) -> str:
    """The sentence for a command that ended in a database error; empty where migrations aren't the cause.

    `migrate` has causes of its own, and a database that doesn't answer says so best.
    """
    if command == "migrate":
        return ""
    with suppress(DatabaseError):
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return RUN_MIGRATE
    return ""
