"""The base of every model that moves by transitions."""

from typing import Any

from django.db import models
from django.db.models import CheckConstraint, Q
from django_fsm import ConcurrentTransitionMixin, FSMField, FSMFieldDescriptor

from core.guards import StateEdges


class StateDescriptor(FSMFieldDescriptor):
    """Lets `refresh_from_db` write the state of its own instance.

    django-fsm lifts the protection of the whole class meanwhile: with threads, one refresh would
    break another, and an exception would leave it lifted.
    """

    def __set__(self, instance: Any, value: Any) -> None:
        if instance.__dict__.get("is_refreshing"):
            self.field.set_state(instance, value)
        else:
            super().__set__(instance, value)


class StateField(FSMField):
    """A protected state: only transitions write it."""

    descriptor_class = StateDescriptor

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"protected": True, "max_length": 30, **kwargs})


class StatefulModel(ConcurrentTransitionMixin, models.Model):
    """A model with one `state`, whose known edges the database holds too. Names EDGES and INITIAL."""

    database_guards = (StateEdges(),)
    EDGES: dict[str, set[str]]
    INITIAL: set[str]

    class Meta:
        abstract = True

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        self.__dict__["is_refreshing"] = True
        try:
            models.Model.refresh_from_db(self, *args, **kwargs)
        finally:
            del self.__dict__["is_refreshing"]
        self._update_initial_state()


def known_states(choices: type[models.TextChoices], name: str) -> CheckConstraint:
    """The constraint that a table's `state` is one of these."""
    return CheckConstraint(condition=Q(state__in=choices.values), name=name)


def arrows(edges: dict[str, set[str]], target: str) -> list[str]:
    """The states from which `target` may be reached, for a transition's `source`."""
    return [source for source, targets in edges.items() if target in targets]
