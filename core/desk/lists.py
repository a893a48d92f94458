"""Lists of the desk: no crafted address fails, no count grows with the table, nothing is added, changed or deleted."""

import json
from collections.abc import Iterable, Iterator
from functools import cached_property
from hashlib import sha256
from typing import Any, NamedTuple, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import PAGE_VAR, SEARCH_VAR, ChangeList
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.forms import TidyForm
from core.models import User
from core.text import read_search

# Rows that are counted beyond those before the page; people read "999+".
COUNT_LIMIT = 1000
LAST_PAGE = 10_000
LONGEST_SEARCH = 253


class CappedPaginator(Paginator):
    """Counts to a limit behind the page that is read: counting everything takes time that grows with the table."""

    def __init__(self, *args: Any, limit: int = COUNT_LIMIT, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.limit = limit

    @cached_property
    def count(self) -> int:
        rows = cast("QuerySet[Any]", self.object_list)
        return rows.order_by().values("pk")[: self.limit].count()


def count_shown(rows: QuerySet[Any]) -> str:
    """How many rows there are, as people read it: "999+" beyond that."""
    number = rows.order_by().values("pk")[:COUNT_LIMIT].count()
    return f"{COUNT_LIMIT - 1}+" if number >= COUNT_LIMIT else str(number)


class ListFilter(admin.SimpleListFilter):
    """A filter over known values only; anything else in the address means the default, which is shown as chosen.

    A search looks everywhere, unless a value was chosen for it too.
    """

    default: str | None = None
    everything = "all"

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        super().__init__(request, *args)
        self.fallback = None if request.GET.get(SEARCH_VAR) else self.default

    def known(self) -> list[tuple[str, Any]]:
        """The values and their words."""
        raise NotImplementedError

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return self.known()

    @property
    def chosen(self) -> str | None:
        value = self.value()
        if value == self.everything:
            return None
        return value if value in dict(self.lookup_choices) else self.fallback

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset if self.chosen is None else self.narrow(queryset, self.chosen)

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        everything = (None, _("All"))
        for value, word in [*self.lookup_choices, everything] if self.default else [everything, *self.lookup_choices]:
            query: dict[str, Any] = {str(self.parameter_name): value or (self.everything if self.default else None)}
            yield {
                "selected": self.chosen == value,
                "query_string": changelist.get_query_string(query),
                "display": word,
            }


def accounts_named(needle: str) -> list[int]:
    """The ids of the accounts with this user name or email address, for an index to serve what is asked of them."""
    named = Q(username=needle) | Q(email=needle)
    return list(User.objects.filter(named).values_list("pk", flat=True)[:50])


def ids_in(texts: Iterable[str], key: Any) -> list[Any]:
    """The ids in `texts`, each once, as the column `key` stores them. Raises ValidationError for anything else.

    A database asked for what doesn't fit into its column fails instead of finding nothing.
    """
    return list(dict.fromkeys(_id_in(text, key) for text in texts))


def _id_in(text: str, key: Any) -> Any:
    if "\0" in text:
        raise ValidationError("an id holds no NUL")
    found = key.to_python(text)
    key.run_validators(found)
    return found


class RowForm(TidyForm, forms.ModelForm):
    """The form of a row that staff write themselves: a page that shows other values than are stored changes nothing."""

    @property
    def seen(self) -> str:
        """What the page shows, as a token that it sends back."""
        return self.data.get("seen", self._token)

    @property
    def _token(self) -> str:
        # Without what nobody can write, and what sends its own value back to be compared where it's read.
        fields = {name: each for name, each in self.fields.items() if not (each.disabled or each.show_hidden_initial)}
        shown = {name: each.prepare_value(self.get_initial_for_field(each, name)) for name, each in fields.items()}
        shown = {name: sorted(value) if isinstance(value, list) else value for name, value in shown.items()}
        return sha256(json.dumps(shown, default=str).encode()).hexdigest()

    def clean(self) -> dict[str, Any]:
        if self.seen != self._token:
            words = gettext("This was changed while you were on this page. Open the page again and repeat your change.")
            self.add_error(None, words)
        return super().clean()  # type: ignore[return-value]


class Waiting(NamedTuple):
    """Rows that wait for staff: what they are called, and the query of the list that shows them."""

    label: Any
    rows: QuerySet[Any]
    query: str = ""


class SafeLists(admin.ModelAdmin):
    """Stock lists answer 500 to a crafted look-up and count every row."""

    form: type[forms.ModelForm] = RowForm
    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    # Columns whose order an index serves; a list of 200,000 rows is not sorted for a click.
    sortable_by = ()

    # What each row's columns read of other tables: a query each, since joins lead planners to sort the whole table.
    list_read_along: tuple[Any, ...] = ()

    def waiting(self) -> list[Waiting]:
        """What of this list waits for staff."""
        return []

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related(*self.list_read_along)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Only the parameters of this list's own filters: stock lists take any look-up, `state__regex=(` too."""
        return any(lookup == getattr(each, "parameter_name", None) for each in self.get_list_filter(request))

    def get_paginator(
        self,
        request: HttpRequest,
        queryset: QuerySet[Any],
        per_page: int,
        orphans: int = 0,
        allow_empty_first_page: bool = True,
    ) -> Paginator:
        page = request.GET.get(PAGE_VAR, "1")
        number = int(page) if page.isascii() and page.isdecimal() and len(page) < 6 else 1
        limit = min(number, LAST_PAGE) * per_page + COUNT_LIMIT
        return CappedPaginator(queryset, per_page, orphans, allow_empty_first_page, limit=limit)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Whole keys and beginnings, which indexes serve; the stock search looks inside every text of the table."""
        needle = read_search(search_term, limit=LONGEST_SEARCH)
        return (self.search(queryset, needle) if needle else queryset), False

    def search(self, queryset: QuerySet[Any], needle: str) -> QuerySet[Any]:
        return queryset

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """Django shows the search box where this is not empty; what is searched, `search` says."""
        return ("pk",) if type(self).search is not SafeLists.search else ()

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *args: Any) -> HttpResponse | None:
        """An action on the rows that were ticked, unless what was sent holds something other than their ids."""
        try:
            ids_in(request.POST.getlist(ACTION_CHECKBOX_NAME), self.opts.pk)
        except ValidationError:
            words = gettext("Nothing was done: the selection can't be read. Select the rows in the list again.")
            self.message_user(request, words, messages.WARNING)
            return None
        return super().response_action(request, queryset, *args)

    def _get_obj_does_not_exist_redirect(self, request: HttpRequest, opts: Any, object_id: str) -> HttpResponse:
        """Unknown rows are 404, as everywhere in the console."""
        raise Http404


class NoChange(SafeLists):
    """Rows that services alone write: whoever may see them may look, nobody may add, change or delete them here."""

    actions: Any = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """A list takes a POST only for its actions, which are offered to whoever may do them."""
        if request.method == "POST" and not self.get_actions(request):
            raise PermissionDenied
        title = capfirst(str(self.opts.verbose_name_plural))
        return super().changelist_view(request, {"title": title, **(extra_context or {})})
