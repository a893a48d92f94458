"""Pages of a list, newest row first, entered at a row: a page by its number reads all that lies before it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import Model, QuerySet

PAGE_SIZE = 20


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a list, and the addresses of what lies before and after them; None at the list's ends."""

    rows: list[Any]
    newer: str | None
    older: str | None


def page_of(rows: QuerySet[Any], query: Mapping[str, str], *, size: int = PAGE_SIZE) -> Page:
    """The page that an address asks for: `after` or `before` a row's number. Anything else falls back to the newest."""
    after, before = _number(query.get("after", "")), _number(query.get("before", ""))
    page = None
    if after is not None:
        found = list(rows.filter(pk__lt=after).order_by("-pk")[: size + 1])
        page = _page(found[:size], has_newer=True, has_older=len(found) > size)
    elif before is not None:
        found = list(rows.filter(pk__gt=before).order_by("pk")[: size + 1])
        page = _page(found[:size][::-1], has_newer=len(found) > size, has_older=True)
    if page and page.rows:
        return page
    found = list(rows.order_by("-pk")[: size + 1])
    return _page(found[:size], has_newer=False, has_older=len(found) > size)


def _page(rows: list[Model], *, has_newer: bool, has_older: bool) -> Page:
    if not rows:
        return Page([], None, None)
    newer = f"?{urlencode({'before': rows[0].pk})}" if has_newer else None
    return Page(rows, newer, f"?{urlencode({'after': rows[-1].pk})}" if has_older else None)


def _number(text: str) -> int | None:
    """A row's number as an address carries it; one that a database can hold has at most 18 digits for certain."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None
