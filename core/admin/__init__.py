"""The staff desk of what every floor stands on: people, what was done, jobs, mails."""

# These two register models of their own; read first, so that it can be replaced or taken away below.
import allauth.account.admin  # noqa: F401
import django.contrib.auth.admin  # noqa: F401
from django.contrib import admin
from django.contrib.auth.models import Group
from django.utils.translation import gettext_lazy as _

from core.admin.people import GroupAdmin, UserAdmin
from core.admin.trail import AuditEntryAdmin
from core.admin.work import JobAdmin, NoticeAdmin
from core.models import AuditEntry, Job, Notice, User

admin.site.site_header = admin.site.site_title = _("Staff desk")
admin.site.index_title = _("What is kept here")
admin.site.empty_value_display = "–"

# Addresses are kept on the account; allauth's copies are its own business, and its lists take any look-up.
for model in [model for model in admin.site._registry if model._meta.app_label == "account"]:
    admin.site.unregister(model)
admin.site.unregister(Group)

admin.site.register(User, UserAdmin)
admin.site.register(Group, GroupAdmin)
admin.site.register(AuditEntry, AuditEntryAdmin)
admin.site.register(Job, JobAdmin)
admin.site.register(Notice, NoticeAdmin)
