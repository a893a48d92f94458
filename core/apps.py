from django.apps import AppConfig
from django.db.models.signals import post_migrate

from core.guards import restore_after_migrate


class CoreConfig(AppConfig):
    name = "core"

    def ready(self) -> None:
        post_migrate.connect(restore_after_migrate, dispatch_uid="core.guards")
