from django.apps import AppConfig
from django.core.checks import register
from django.utils.translation import gettext_lazy as _

from refunds.checks import check_refund_policy


class RefundsConfig(AppConfig):
    name = "refunds"
    verbose_name = _("Refunds")

    def ready(self) -> None:
        register(check_refund_policy)
