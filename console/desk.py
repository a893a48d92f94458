"""The staff desk: Django's admin site, as this console asks for it. Named by `DeskConfig` in the settings."""

from django.contrib.admin import AdminSite
from django.contrib.admin.apps import AdminConfig
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest


class DeskConfig(AdminConfig):
    default_site = "console.desk.DeskSite"


class DeskSite(AdminSite):
    def has_permission(self, request: HttpRequest) -> bool:
        """Staff may come in. Who is signed in and is not staff is refused, and not asked to sign in once more."""
        if request.user.is_authenticated and not super().has_permission(request):
            raise PermissionDenied
        return super().has_permission(request)
