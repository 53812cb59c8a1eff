"""The stored responses by caller and key."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class IdempotencyKey(models.Model):
    """One answered request. Written in the transaction of its effect, so neither exists without the other."""

    caller_id = models.BigIntegerField(_("caller"))
    key = models.CharField(_("key"), max_length=255)
    fingerprint = models.BinaryField(_("fingerprint"), max_length=32)
    status = models.PositiveSmallIntegerField(_("status"))
    content_type = models.CharField(_("content type"), max_length=50)
    body = models.BinaryField(_("body"))
    language = models.CharField(_("language"), max_length=10, blank=True, default="", db_default="")
    created_at = models.DateTimeField(_("created at"), db_index=True)

    class Meta:
        db_table = "idempotency_key"
        verbose_name = _("idempotency key")
        verbose_name_plural = _("idempotency keys")
        constraints = [models.UniqueConstraint(fields=["caller_id", "key"], name="idempotency_key_one_per_caller")]

    def __str__(self) -> str:
        return f"{self.caller_id}/{self.key}"
