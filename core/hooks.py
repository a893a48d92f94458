"""News that goes up: a lower floor calls a function that the settings name, so it need not know who listens."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import import_string


class Hook:
    """A function named by a setting; called like a function, in the caller's transaction, its errors propagate."""

    known: ClassVar[list["Hook"]] = []

    def __init__(self, setting: str) -> None:
        self.setting = setting
        Hook.known.append(self)

    @cached_property
    def function(self) -> Callable[..., Any]:
        return import_string(getattr(settings, self.setting))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


def resolve_all() -> list[str]:
    """Resolve every hook; return a sentence for each that does not resolve."""
    problems = []
    for hook in Hook.known:
        try:
            hook.function  # noqa: B018 - resolving is the point
        except (AttributeError, ImportError) as error:
            problems.append(f"{hook.setting}: {error}")
    return problems


@register()
def check_hooks(**_: Any) -> list[CheckMessage]:
    return [Error(f"The hook does not resolve. {problem}", id="core.E001") for problem in resolve_all()]
