"""Forms that carry what their reader was shown, signed, so that nobody submits what they haven't seen."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, ClassVar, Protocol, TypeVar
from uuid import UUID

from django.core import signing


class HandedOut(Protocol):
    """A frozen dataclass of what a form carries: whose it is, and the key that identifies one submission."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def account_id(self) -> int: ...

    @property
    def key(self) -> UUID: ...


Form = TypeVar("Form", bound=HandedOut)


def sign(form: HandedOut, *, salt: str) -> str:
    """The form as a text that nobody can alter."""
    return signing.dumps({**asdict(form), "key": form.key.hex}, salt=salt, compress=True)


def read(token: str, build: Callable[[dict[str, Any]], Form], *, salt: str, account_id: int) -> Form | None:
    """The form that was signed for this account, or None. `build` makes it of its fields, which come as JSON values."""
    try:
        data = signing.loads(token, salt=salt)
        form = build({**data, "key": UUID(data["key"])})
    except (signing.BadSignature, KeyError, TypeError, ValueError):
        return None
    return form if form.account_id == account_id else None
