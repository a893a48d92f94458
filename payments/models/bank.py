"""Files for the bank: numbered, each payout in one of them for ever, the same bytes at every download."""

from django.conf import settings
from django.db import models
from django.db.models import UniqueConstraint
from django.utils.translation import gettext_lazy as _

from core.encryption import EncryptedField
from core.models import AppendOnlyModel
from payments.models.payouts import Payout


class BankBatch(models.Model):
    """One file of payouts for the bank. `day` is a day of the bank's books, `content` the file, encrypted."""

    number = models.PositiveIntegerField(_("number"), unique=True)
    day = models.DateField(_("day"))
    made_at = models.DateTimeField(_("made"))
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("made by"))
    content = EncryptedField(_("file"))
    digest = models.CharField(_("SHA-256 of the file"), max_length=64)

    class Meta:
        verbose_name = _("bank batch")
        verbose_name_plural = _("bank batches")

    def __str__(self) -> str:
        return f"BATCH-{self.number:06d}"


class BatchLine(AppendOnlyModel):
    """A payout's place in its batch: never changed, never taken out, so that nothing is handed to the bank twice."""

    batch = models.ForeignKey(BankBatch, models.PROTECT, related_name="lines", verbose_name=_("batch"))
    position = models.PositiveIntegerField(_("line"))
    payout = models.OneToOneField(Payout, models.PROTECT, related_name="batch_line", verbose_name=_("payout"))

    class Meta:
        verbose_name = _("line of a bank batch")
        verbose_name_plural = _("lines of bank batches")
        constraints = [UniqueConstraint(fields=["batch", "position"], name="one_line_per_position")]

    def __str__(self) -> str:
        return f"{self.batch}/{self.position}"
