"""The staff desk: Django's admin site, as this console asks for it. Named by `DeskConfig` in the settings."""

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.apps import AdminConfig
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect


class DeskConfig(AdminConfig):
    default_site = "console.desk.DeskSite"


class DeskSite(AdminSite):
    def has_permission(self, request: HttpRequest) -> bool:
        """Staff may come in. Who is signed in and is not staff is refused, and not asked to sign in once more."""
        if request.user.is_authenticated and not super().has_permission(request):
            raise PermissionDenied
        return super().has_permission(request)

    def password_change(  # type: ignore[override]
        self, request: HttpRequest, extra_context: Any = None
    ) -> HttpResponse:
        """The console's own page: Django's takes any number of guesses at an open session's password."""
        return redirect("account_change_password")
