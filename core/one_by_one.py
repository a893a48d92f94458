"""Many rows, each in a transaction of its own: one that fails keeps no other from its turn."""

import logging
from collections.abc import Callable, Iterable

from django.db import InterfaceError, OperationalError


def one_by_one(act: Callable[[int], bool], ids: Iterable[int], *, logger: logging.Logger, failed: str) -> int:
    """Do `act` for each id and return for how many it said yes; a failure is logged as `failed`, which holds the id.

    Raises what the database raises when it is away: then no other row can be changed either.
    """
    return sum(_try(act, row_id, logger, failed) for row_id in ids)


def _try(act: Callable[[int], bool], row_id: int, logger: logging.Logger, failed: str) -> bool:
    try:
        return act(row_id)
    except (InterfaceError, OperationalError):
        raise
    except Exception:
        logger.exception(failed, row_id)
        return False
