"""Units sold per product and day, and which events have been counted."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class ProductStat(models.Model):
    """What one product sold on one of the shop's days: completed orders of that day, less the cancelled ones."""

    product = models.ForeignKey(
        "products.Product", models.PROTECT, related_name="stats", verbose_name=_("product"), db_index=False
    )
    date = models.DateField(_("day"))
    quantity_sold = models.BigIntegerField(_("units sold"), default=0)

    class Meta:
        db_table = "product_stat"
        verbose_name = _("product statistic")
        verbose_name_plural = _("product statistics")
        ordering = ["-date", "product_id"]
        constraints = [models.UniqueConstraint(fields=["date", "product"], name="product_stat_one_per_day")]
        indexes = [models.Index(fields=["product", "-date"], name="product_stat_history")]

    def __str__(self) -> str:
        return f"{self.product_id} on {self.date}: {self.quantity_sold}"


class ProcessedEvent(models.Model):
    """An order event that has been counted. Written in the transaction that counts it, so a repeat changes nothing."""

    event_id = models.CharField(_("event"), max_length=80, primary_key=True)
    processed_at = models.DateTimeField(_("processed at"), db_default=Now(), db_index=True)

    class Meta:
        db_table = "processed_event"
        verbose_name = _("processed event")
        verbose_name_plural = _("processed events")

    def __str__(self) -> str:
        return self.event_id
