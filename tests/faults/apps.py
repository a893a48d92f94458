from django.apps import AppConfig
from django.utils.module_loading import import_string


class FaultsConfig(AppConfig):
    name = "tests.faults"

    def ready(self) -> None:
        # Named rather than imported: what it needs are models.
        import_string("tests.faults.points.arm")()
