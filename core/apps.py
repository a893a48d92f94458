from django.apps import AppConfig
from django.db.models import CharField
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _

from core.guards import restore_after_migrate
from core.search import BeginsWith


class CoreConfig(AppConfig):
    name = "core"
    verbose_name = _("People and records")

    def ready(self) -> None:
        CharField.register_lookup(BeginsWith)
        post_migrate.connect(restore_after_migrate, dispatch_uid="core.guards")
