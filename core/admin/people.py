"""Accounts and groups. Superusers alone change them: who may give permissions may give them to themselves."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import admin as auth
from django.contrib.auth.forms import AdminPasswordChangeForm, AdminUserCreationForm, UserChangeForm
from django.contrib.auth.models import Permission
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core import email_changes
from core.accounts import forget_former_addresses, why_unsettled
from core.desk.changes import AuditedChanges
from core.desk.fields import RowsField
from core.desk.lists import ListFilter, RowForm, Waiting
from core.desk.marks import EMPTY, time_mark
from core.email_addresses import shown_email
from core.forms import TidyForm
from core.models import User
from core.templatetags.console_format import chip


def useful_permissions() -> QuerySet[Permission]:
    """The permissions that the desk asks for: to look at its lists, and those that its models name for an act."""
    models = list(admin.site._registry)
    named = {codename for model in models for codename, _name in model._meta.permissions}
    views = {f"view_{model._meta.model_name}" for model in models}
    written = {"change_job", "add_product", "change_product", "add_voucher", "change_voucher"}
    known = Permission.objects.filter(codename__in=named | views | written)
    return known.filter(content_type__app_label__in={model._meta.app_label for model in models}).order_by(
        "content_type__app_label", "content_type__model", "-codename"
    )


class SuperusersChange(AuditedChanges):
    """Rows that superusers alone may add and change."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.is_active and request.user.is_superuser

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.is_active and request.user.is_superuser

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """As boxes to tick: Django's own pair of lists needs inline styles and names that screen readers drop."""
        kwargs.update(widget=forms.CheckboxSelectMultiple, form_class=RowsField)
        if db_field.related_model is Permission:
            kwargs["queryset"] = useful_permissions()
        return super().formfield_for_manytomany(db_field, request, **kwargs)


class AccountForm(RowForm):
    """What both forms of an account ask."""

    language = forms.ChoiceField(label=_("Language"), choices=settings.LANGUAGES)

    def clean_email(self) -> str:
        return User.objects.require_free_email(self.cleaned_data["email"], self.instance)


class NewAccountForm(AccountForm, AdminUserCreationForm):
    class Meta:
        model = User
        fields = ("username", "name", "email", "language", "time_zone")


class ChangeAccountForm(AccountForm, UserChangeForm):
    # Who fills it in; set for each request.
    by: User

    class Meta:
        model = User
        fields = "__all__"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What the page showed comes back beside what was typed: an address that was left alone isn't a change.
        if "email" in self.fields:  # not where the person may only look
            self.fields["email"].show_hidden_initial = True

    def clean_email(self) -> str:
        """Staff change their own address like everybody else: an open session alone must not be enough."""
        current = self.initial["email"]
        if "email" not in self.changed_data:
            return current
        email = super().clean_email()
        if self.instance == self.by and email != current:
            raise ValidationError(_("Change your own address in Settings, which requires your password."))
        if email != current and self._shown_email() != current:
            raise ValidationError(_("The account changed this address while you were on this page. Check it again."))
        return email

    def _shown_email(self) -> str:
        """The address that the page showed, in its stored form."""
        shown = self.data.get(self.add_initial_prefix("email"))
        return str(self.initial["email"] if shown is None else self.fields["email"].to_python(shown))


UNSETTLED = "unsettled"
UNSETTLED_ACCOUNTS = ~Q(unsettled_email="")


class ChangePasswordForm(TidyForm, AdminPasswordChangeForm):
    """An account's new password, set by staff."""


class KindFilter(ListFilter):
    title = _("kind")
    parameter_name = "kind"

    def known(self) -> list[tuple[str, Any]]:
        return [
            ("customers", _("Customers")),
            ("staff", _("Staff")),
            ("superusers", _("Superusers")),
            ("inactive", _("Inactive")),
            (UNSETTLED, _("Email address to settle")),
        ]

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        conditions = {
            "customers": Q(is_staff=False),
            "staff": Q(is_staff=True),
            "superusers": Q(is_superuser=True),
            "inactive": Q(is_active=False),
            UNSETTLED: UNSETTLED_ACCOUNTS,
        }
        return queryset.filter(conditions[value])


class UserAdmin(SuperusersChange, auth.UserAdmin):
    form = ChangeAccountForm
    add_form = NewAccountForm
    change_password_form = ChangePasswordForm
    list_display = ("username", "name", "address", "kind", "last_seen")
    list_filter = (KindFilter,)
    ordering = ("username",)
    search_fields = ()
    search_help_text = _("The beginning of a user name or name, or an email address.")
    filter_horizontal = ()
    readonly_fields = ("to_settle", "last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (_("Person"), {"fields": ("name", "email", "to_settle", "language", "time_zone")}),
        (_("Permissions"), {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        (_("Dates"), {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = (
        (None, {"fields": ("username", "usable_password", "password1", "password2")}),
        (_("Person"), {"fields": ("name", "email", "language", "time_zone")}),
    )

    def search(self, queryset: QuerySet[Any], needle: str) -> QuerySet[Any]:
        begins = Q(username__begins_with=needle) | Q(name__begins_with=needle)
        return queryset.filter(begins | Q(email=needle))

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if obj.email:
            obj.unsettled_email = ""
        super().save_model(request, obj, form, change)
        if change and obj.email != form.initial["email"]:
            forget_former_addresses(obj)
            email_changes.changed_by_staff(obj, form.initial["email"], at=timezone.now())

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> Any:
        """In a transaction, so that `get_object` locks the account whose whole row is saved."""
        with transaction.atomic():
            return super().user_change_password(request, id, form_url)

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:  # type: ignore[override]
        form: Any = super().get_form(request, obj, **kwargs)
        form.by = request.user
        return form

    def detail_of(self, obj: User) -> dict[str, Any]:
        return {
            "email": obj.email,
            "is_active": obj.is_active,
            "is_staff": obj.is_staff,
            "is_superuser": obj.is_superuser,
            "groups": sorted(obj.groups.values_list("name", flat=True)),
            "permissions": sorted(f"{each.content_type.app_label}.{each.codename}" for each in _permissions_of(obj)),
        }

    def waiting(self) -> list[Waiting]:
        """Accounts whose address staff must settle. Usually there are none, and then there is no card."""
        unsettled = User.objects.filter(UNSETTLED_ACCOUNTS)
        return [Waiting(_("Email addresses to settle"), unsettled, f"?kind={UNSETTLED}")] if unsettled.exists() else []

    @admin.display(description=_("email address"))
    def address(self, user: User) -> str:
        return shown_email(user.email) or EMPTY

    @admin.display(description=_("address to settle"))
    def to_settle(self, user: User) -> str:
        """Why the account can't use the address that it had."""
        return why_unsettled(user) or EMPTY

    @admin.display(description=_("kind"))
    def kind(self, user: User) -> Any:
        if not user.is_active:
            return chip(_("Inactive"), ("ended", "ban"))
        if user.is_superuser:
            return chip(_("Superuser"), ("near", "shield"))
        return chip(_("Staff"), ("busy", "briefcase-business")) if user.is_staff else EMPTY

    @admin.display(description=_("last sign-in"))
    def last_seen(self, user: User) -> Any:
        return time_mark(user.last_login)


def _permissions_of(user: User) -> QuerySet[Any]:
    return user.user_permissions.select_related("content_type")


class GroupAdmin(SuperusersChange, auth.GroupAdmin):  # type: ignore[misc]
    filter_horizontal = ()
    search_fields = ()
    list_filter = ()

    def search(self, queryset: QuerySet[Any], needle: str) -> QuerySet[Any]:
        return queryset.filter(name__begins_with=needle)

    def detail_of(self, obj: Any) -> dict[str, Any]:
        permissions = obj.permissions.select_related("content_type")
        return {"permissions": sorted(f"{each.content_type.app_label}.{each.codename}" for each in permissions)}
