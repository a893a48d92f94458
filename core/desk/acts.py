"""An act of staff: a page that asks, a form with what it needs, one call of a service, a sentence about it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.forms import PanelForm
from core.models import User
from core.stale import StalePage


class ActForm(PanelForm):
    """What an act is told. `seen` says which state of things the page showed."""

    seen = forms.CharField(widget=forms.HiddenInput, required=False, max_length=200)


def long_text(label: Any, *, limit: int, help_text: Any = "", required: bool = True, missing: Any = None) -> Any:
    """A field for a text of at most `limit` characters; `missing` is the sentence for an empty one."""
    return forms.CharField(
        label=label,
        help_text=help_text,
        required=required,
        max_length=limit,
        widget=forms.Textarea(attrs={"rows": 5}),
        error_messages={"required": missing or _("Write something here.")},
    )


@dataclass(frozen=True)
class Outcome:
    """What came of an act, and whether it is good news."""

    sentence: str
    level: int = messages.SUCCESS


class Act:
    """One thing that staff may do to one row: who (`by`), when (`at`). `slug` is the end of its address.

    `button` leads to its page, `submit` does it there.
    """

    slug: ClassVar[str]
    title: ClassVar[Any]
    button: ClassVar[Any]
    submit: ClassVar[Any]
    is_danger: ClassVar[bool] = False
    template: ClassVar[str] = "admin/desk/act.html"
    form_class: ClassVar[type[ActForm]] = ActForm
    # What the service may raise: that the person may not, and that the row is not in a state for it.
    forbidden: ClassVar[tuple[type[Exception], ...]] = ()
    refusals: ClassVar[tuple[type[Exception], ...]] = ()

    def __init__(self, thing: Any, *, by: User, at: datetime) -> None:
        self.thing, self.by, self.at = thing, by, at

    def may(self) -> bool:
        """Whether this person may do it, whatever state the row is in. The service asks again."""
        raise NotImplementedError

    def is_possible(self) -> bool:
        """Whether the row is in a state for it."""
        raise NotImplementedError

    def why_not(self) -> str:
        """A sentence about what happened to a row that is not, or no longer, in a state for it."""
        raise NotImplementedError

    def seen(self) -> str:
        """What the page shows, as a token that the form carries. `do` hands it to the service, which compares it.

        Only the service can: another act may be committed until it has its lock.
        """
        return ""

    def overtaken(self) -> str:
        """The sentence for a page that shows what is no longer so."""
        if not self.is_possible():
            return self.why_not()
        return gettext("Nothing was done: this has changed since the page was opened. Look again.")

    def page(self) -> dict[str, Any]:
        """What the page shows beside the form."""
        return {}

    def do(self, form: ActForm) -> Outcome:
        """Call the service, with the form's `seen`. Raises StalePage, and what `forbidden` and `refusals` name."""
        raise NotImplementedError

    def read_again(self) -> None:
        """Bring `thing` to what is stored now, after the service has refused."""
        self.thing = type(self.thing)._default_manager.get(pk=self.thing.pk)

    def explain(self, error: Exception, form: ActForm) -> Outcome | None:
        """The sentence for a refusal; None where it stands beside a field of the form."""
        return Outcome(self.why_not(), messages.WARNING)

    def attempt(self, form: ActForm) -> Outcome | None:
        """Do it, or say what stood in the way; None leaves the page open with an error beside a field."""
        try:
            return self.do(form)
        except StalePage:
            self.read_again()
            return Outcome(self.overtaken(), messages.WARNING)
        except self.forbidden as error:
            raise PermissionDenied from error
        except self.refusals as error:
            return self.explain(error, form)
