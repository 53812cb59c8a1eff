"""Reservations: stock held for a customer's cart for some minutes."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from reservations import rules

ONE_LIVE_PER_USER = "reservation_one_live_per_user"


class ReservationStatus(models.TextChoices):
    """HELD: its stock is held. It can be paid until `expires_at`; the stock is released when the reservation ends."""

    HELD = rules.HELD, _("Held")
    PAID = rules.PAID, _("Paid")
    RELEASED = rules.RELEASED, _("Released")
    REPLACED = rules.REPLACED, _("Replaced")
    EXPIRED = rules.EXPIRED, _("Expired")


class Reservation(models.Model):
    """Stock held for one customer. Its items never change; it ends once."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="reservations",
        verbose_name=_("user"),
        db_index=False,
    )
    status = models.CharField(_("status"), max_length=8, choices=ReservationStatus.choices)
    created_at = models.DateTimeField(_("created at"))
    expires_at = models.DateTimeField(_("expires at"))
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    # Orders stand above reservations, so this is the order's number, not a foreign key.
    order_id = models.BigIntegerField(_("order"), null=True, blank=True)

    class Meta:
        db_table = "reservation"
        verbose_name = _("reservation")
        verbose_name_plural = _("reservations")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["user"], condition=Q(status="HELD"), name=ONE_LIVE_PER_USER),
            models.UniqueConstraint(
                fields=["order_id"], condition=Q(order_id__isnull=False), name="reservation_one_per_order"
            ),
            models.CheckConstraint(
                condition=Q(status="HELD", ended_at__isnull=True, order_id__isnull=True)
                | Q(status="PAID", ended_at__isnull=False, order_id__isnull=False)
                | Q(status__in=["RELEASED", "REPLACED", "EXPIRED"], ended_at__isnull=False, order_id__isnull=True),
                name="reservation_end_fits_status",
            ),
            models.CheckConstraint(
                condition=Q(expires_at__gt=models.F("created_at")), name="reservation_times_in_order"
            ),
        ]
        indexes = [
            models.Index(fields=["user", "-id"], name="reservation_history"),
            # Partial: only reservations that hold stock, which are few.
            models.Index(fields=["expires_at"], name="reservation_live_expiry", condition=Q(status="HELD")),
            # For the purge.
            models.Index(fields=["ended_at"], name="reservation_ended", condition=Q(ended_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"

    @cached_property
    def quantities(self) -> dict[int, int]:
        """The units of each product, by product id, in the order of the request."""
        return {item.product_id: item.quantity for item in self.items.all()}


class ReservationItem(models.Model):
    """The quantity of one product. Written once, with its reservation."""

    reservation = models.ForeignKey(
        Reservation, models.CASCADE, related_name="items", verbose_name=_("reservation"), db_index=False
    )
    product = models.ForeignKey(
        "products.Product", models.PROTECT, related_name="+", verbose_name=_("product"), db_index=False
    )
    quantity = models.IntegerField(_("quantity"))

    class Meta:
        db_table = "reservation_item"
        verbose_name = _("item of a reservation")
        verbose_name_plural = _("items of a reservation")
        ordering = ["id"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["reservation", "product"], name="reservation_item_one_line_per_product"),
            models.CheckConstraint(condition=Q(quantity__gte=1), name="reservation_item_quantity_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.product_id}"
