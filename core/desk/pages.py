"""A row's page on the desk: read-only, with what may be done to the row as buttons that lead to pages of their own."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, cast

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone

from core import audit
from core.desk.acts import Act
from core.desk.lists import NoChange
from core.models import User

SAFE = {"GET", "HEAD"}


def staff_of(request: HttpRequest) -> User:
    """Who is signed in: Django's admin lets nobody in who is no member of staff."""
    return cast(User, request.user)


class Desk(NoChange):
    """The admin of a model whose rows services alone write: a list, a page a row, and the acts on a row."""

    page_template = "admin/desk/page.html"
    acts: tuple[type[Act], ...] = ()
    # What happened to a row, in words, by the act in the audit trail.
    act_words: Mapping[str, Any] = MappingProxyType({})
    # Relations that a page reads along; a list names its own in `list_read_along`.
    page_select_related: tuple[str, ...] = ()

    @property
    def is_audited(self) -> bool:
        """Whether staff act on these rows, so that the audit trail speaks of them."""
        return bool(self.acts or self.actions)

    def page(self, thing: Any, *, by: User, at: datetime) -> dict[str, Any]:
        """What a row's page shows: `facts` and `sections` for the common template, more for one of its own."""
        return {}

    def pages(self) -> QuerySet[Any]:
        return self.model._default_manager.select_related(*self.page_select_related)

    # --- A row's page ------------------------------------------------------------------------------

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Unknown rows are 404, as everywhere in the console; a POST has nothing to do here."""
        thing = self._find(unquote(object_id))
        by, at = staff_of(request), timezone.now()
        if not self.has_view_permission(request, thing) or request.method not in SAFE:
            raise PermissionDenied
        context = {
            "title": str(thing),
            "thing": thing,
            "acts": self._offered(thing, by=by, at=at),
            "history": [(self.act_words.get(entry.act, entry.act), entry) for entry in audit.history(thing)],
            **self.page(thing, by=by, at=at),
        }
        return self.answer(request, self.page_template, context)

    def _offered(self, thing: Any, *, by: User, at: datetime) -> list[dict[str, Any]]:
        """The acts that this person may do to this row now, as buttons."""
        acts = [kind(thing, by=by, at=at) for kind in self.acts]
        return [
            {"label": act.button, "is_danger": act.is_danger, "address": self._address(thing, act.slug)}
            for act in acts
            if act.may() and act.is_possible()
        ]

    # --- An act on a row ---------------------------------------------------------------------------

    def get_urls(self) -> list[Any]:
        return [*map(self._act_url, self.acts), *super().get_urls()]

    def _act_url(self, act: type[Act]) -> Any:
        name = f"{self.opts.app_label}_{self.opts.model_name}_{act.slug}"
        return path(f"<int:pk>/{act.slug}/", self.admin_site.admin_view(self._act_view), {"kind": act}, name=name)

    def _act_view(self, request: HttpRequest, pk: int, kind: type[Act]) -> HttpResponse:
        """GET asks, POST does it. 404 without the row, 403 without the right, whatever the method."""
        thing = self._find(pk)
        act = kind(thing, by=staff_of(request), at=timezone.now())
        if not self.has_view_permission(request, thing) or not act.may():
            raise PermissionDenied
        if request.method == "POST":
            return self._do(request, act)
        if request.method not in SAFE:
            return HttpResponseNotAllowed([*sorted(SAFE), "POST"])
        if not act.is_possible():
            messages.warning(request, act.why_not())
            return HttpResponseRedirect(self._address(thing, "change"))
        return self._ask(request, act, act.form_class(initial={"seen": act.seen()}))

    def _do(self, request: HttpRequest, act: Act) -> HttpResponse:
        form = act.form_class(request.POST)
        outcome = act.attempt(form) if form.is_valid() else None
        if outcome is None:
            return self._ask(request, act, form)
        messages.add_message(request, outcome.level, outcome.sentence)
        return HttpResponseRedirect(self._address(act.thing, "change"))

    def _ask(self, request: HttpRequest, act: Act, form: Any) -> HttpResponse:
        context = {
            "title": act.title,
            "thing": act.thing,
            "act": act,
            "form": form,
            "page_address": self._address(act.thing, "change"),
            **act.page(),
        }
        return self.answer(request, act.template, context, status=422 if form.errors else 200)

    # --- Shared ------------------------------------------------------------------------------------

    def _find(self, pk: Any) -> Any:
        """A row for a page, with what the page reads along. Raises Http404, for ids that are no ids too."""
        try:
            return get_object_or_404(self.pages(), pk=self.opts.pk.to_python(pk))
        except ValidationError as error:
            raise Http404 from error

    def _address(self, thing: Model, name: str) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_{name}", args=[thing.pk])

    def answer(self, request: HttpRequest, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
        """A page in Django's frame."""
        frame = {**self.admin_site.each_context(request), "opts": self.opts, "has_view_permission": True}
        request.current_app = self.admin_site.name
        return TemplateResponse(request, template, {**frame, **context}, status=status)
