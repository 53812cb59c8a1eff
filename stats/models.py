"""Units sold per product and day, the counted events, and dead letters."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop


class ProductStat(models.Model):
    """Units of one product sold by the orders of one day, less cancelled and refunded units."""

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
        permissions = [
            ("export_productstat", gettext_noop("Can export statistics")),
            ("rebuild_productstat", gettext_noop("Can rebuild a day of the statistics")),
        ]

    def __str__(self) -> str:
        return f"{self.product_id} · {self.date}: {self.quantity_sold:,}"


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


class CountedUntil(models.Model):
    """Every event of a fact before `moment` has been counted; their rows in `processed_event` may be deleted.

    At most one row. `moment` only moves forward, after a check (`stats.services.forget_counted`).
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    moment = models.DateTimeField()

    class Meta:
        db_table = "counted_until"
        # Staff neither read nor write it, so it has no permissions.
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=Q(id=1), name="counted_until_is_one_row")]

    def __str__(self) -> str:
        return str(self.moment)


class FinalUntil(models.Model):
    """Statistics of days up to `day` are final: orders of these days may have been archived.

    At most one row, which only moves forward (`commerce.archive`).
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    day = models.DateField()
    moment = models.DateTimeField()
    """The time of the latest archived order."""

    class Meta:
        db_table = "final_until"
        # As with `counted_until`.
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=Q(id=1), name="final_until_is_one_row")]

    def __str__(self) -> str:
        return str(self.day)


class DeadLetter(models.Model):
    """A message from Kafka that could not be counted, unchanged. Written in the transaction that counts its batch.

    It waits for a successful replay (`replayed_at`) and is never deleted automatically.
    """

    topic = models.CharField(_("topic"), max_length=249)
    partition = models.PositiveIntegerField(_("partition"))
    offset = models.PositiveBigIntegerField(_("offset"))
    key = models.BinaryField(_("key"), null=True)
    payload = models.BinaryField(_("payload"))
    headers = models.JSONField(
        _("headers"), default=list, help_text=_("Name and value of each; a value that is no text is written in hex.")
    )
    reason = models.TextField(_("reason"), help_text=_("Why it could not be counted when it was last tried."))
    received_at = models.DateTimeField(_("received at"), db_default=Now())
    replayed_at = models.DateTimeField(_("replayed at"), null=True, blank=True)

    class Meta:
        db_table = "dead_letter"
        verbose_name = _("dead letter")
        verbose_name_plural = _("dead letters")
        ordering = ["-id"]
        constraints = [
            # Includes the payload's digest: a recreated topic starts at offset 0 again, with other messages at the same
            # positions.
            models.UniqueConstraint(
                F("topic"),
                F("partition"),
                F("offset"),
                models.Func(F("payload"), function="sha256"),
                name="dead_letter_stored_once",
            )
        ]
        indexes = [models.Index(fields=["id"], name="dead_letter_waiting", condition=Q(replayed_at__isnull=True))]
        permissions = [("replay_deadletter", gettext_noop("Can replay dead letters"))]

    def __str__(self) -> str:
        return self.position

    @property
    def position(self) -> str:
        """Its topic, partition and offset."""
        return f"{self.topic}[{self.partition}]@{self.offset}"
