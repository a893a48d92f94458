"""Refuses acts sent from a stale page: what the page showed is compared under the lock."""


class StalePage(Exception):
    """The page that was acted on showed something else than what is stored now. Nothing was done."""


def require_current(seen: str | None, token: str) -> None:
    """Compare what a page showed with what is stored now, both as tokens. Raises StalePage.

    Call it under the lock that everybody takes who changes what the token stands for: compared before it, a change that
    is committed while we wait for the lock would be overwritten. `seen` is None where no page was shown.
    """
    if seen is not None and seen != token:
        raise StalePage
