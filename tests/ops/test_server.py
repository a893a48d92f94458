"""The server starts only on a database that holds its guards."""

import importlib
import sys

import pytest
from django.db import connection


@pytest.mark.django_db
def test_the_server_refuses_a_database_whose_guards_were_dropped() -> None:
    table = " ON core_auditentry" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER guard_core_auditentry_update{table}")
    sys.modules.pop("console.wsgi", None)
    with pytest.raises(SystemExit, match=r"guard_core_auditentry_update.*manage.py migrate"):
        importlib.import_module("console.wsgi")
