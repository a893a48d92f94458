"""Looking a text up by how it begins, through an index on both databases."""

from typing import Any

from django.db.models import Lookup

LAST_CHARACTER = "\U0010ffff"


class BeginsWith(Lookup):
    """`text__begins_with="shop"`: case matters, wildcards have no meaning.

    PostgreSQL serves LIKE from an index with `varchar_pattern_ops`. SQLite's LIKE is case-blind and serves nothing,
    but its texts are ordered by their characters, so that a range does it.
    """

    lookup_name = "begins_with"

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        column, params = self.process_lhs(compiler, connection)
        escaped = self.rhs.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
        return f"{column} LIKE %s", [*params, escaped + "%"]

    def as_sqlite(self, compiler: Any, connection: Any) -> Any:
        column, params = self.process_lhs(compiler, connection)
        return f"({column} >= %s AND {column} < %s)", [*params, self.rhs, *params, self.rhs + LAST_CHARACTER]
