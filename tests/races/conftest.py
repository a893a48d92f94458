from collections.abc import Iterator

import pytest

from tests.races.running import database_unguarded


@pytest.fixture
def without_database_guards(transactional_db: None) -> Iterator[None]:
    """For a control: what would happen if the database held nothing by itself. Empties the database after it."""
    with database_unguarded():
        yield
