"""Orders: what was bought, at which price, and how it was paid."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from orders.rules import Line

LINE_FIELDS = ("product_id", "product_name", "unit_price", "quantity")
ONE_LIVE_ORDER_PER_COUPON = "order_one_live_per_user_coupon"


class OrderStatus(models.TextChoices):
    """PROCESSING lives only inside the transaction that places the order; nobody else ever sees it."""

    PROCESSING = "PROCESSING", _("Processing")
    COMPLETED = "COMPLETED", _("Completed")
    CANCELLED = "CANCELLED", _("Cancelled")


class Order(models.Model):
    """A paid purchase. Amounts are won; they never change after the order is placed."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="orders",
        verbose_name=_("user"),
        db_index=False,
    )
    status = models.CharField(_("status"), max_length=10, choices=OrderStatus.choices)
    total_amount = models.BigIntegerField(_("total (won)"))
    discount_amount = models.BigIntegerField(_("discount (won)"))
    paid_amount = models.BigIntegerField(_("paid (won)"))
    user_coupon = models.ForeignKey(
        "coupons.UserCoupon",
        models.PROTECT,
        related_name="orders",
        null=True,
        blank=True,
        verbose_name=_("coupon used"),
        db_index=False,
    )
    ordered_date = models.DateField(
        _("day"), help_text=_("The shop's day at the time of the order; statistics are counted on it.")
    )
    created_at = models.DateTimeField(_("created at"))
    completed_at = models.DateTimeField(_("completed at"), null=True, blank=True)
    cancelled_at = models.DateTimeField(_("cancelled at"), null=True, blank=True)

    class Meta:
        db_table = "order"
        verbose_name = _("order")
        verbose_name_plural = _("orders")
        ordering = ["-id"]
        permissions = [
            ("cancel_order", gettext_noop("Can cancel and refund order")),
            ("export_order", gettext_noop("Can export order")),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(total_amount__gte=0)
                & Q(discount_amount__gte=0)
                & Q(discount_amount__lte=F("total_amount"))
                & Q(paid_amount=F("total_amount") - F("discount_amount")),
                name="order_amounts_add_up",
            ),
            models.CheckConstraint(
                condition=Q(status="PROCESSING", completed_at__isnull=True, cancelled_at__isnull=True)
                | Q(status="COMPLETED", completed_at__isnull=False, cancelled_at__isnull=True)
                | Q(status="CANCELLED", completed_at__isnull=False, cancelled_at__isnull=False),
                name="order_times_fit_status",
            ),
            models.UniqueConstraint(
                fields=["user_coupon"],
                condition=Q(user_coupon__isnull=False) & ~Q(status="CANCELLED"),
                name=ONE_LIVE_ORDER_PER_COUPON,
            ),
        ]
        indexes = [
            models.Index(fields=["user", "-id"], name="order_history"),
            models.Index(fields=["ordered_date", "status"], name="order_day"),
            # The back-office sorts by it and looks for amounts.
            models.Index(fields=["paid_amount", "id"], name="order_paid"),
            # Which orders used a coupon, cancelled ones too. An order without one has no entry, and costs nothing.
            models.Index(fields=["user_coupon"], name="order_user_coupon", condition=Q(user_coupon__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"

    @cached_property
    def lines(self) -> list[Line]:
        """The items as they were bought, in the order of the request.

        `orders.selectors.with_lines` brings them along in the query of the orders; without it they are one more query.
        """
        rows = getattr(self, "item_rows", None)
        if rows is None:
            rows = self.items.order_by("id").values(*LINE_FIELDS)
        return [Line(**row) for row in rows]


class OrderItem(models.Model):
    """One line of an order, with the product's name and price as they were."""

    order = models.ForeignKey(Order, models.PROTECT, related_name="items", verbose_name=_("order"), db_index=False)
    product = models.ForeignKey(
        "products.Product",
        models.PROTECT,
        related_name="order_items",
        verbose_name=_("product"),
        db_index=False,
    )
    product_name = models.CharField(_("product name"), max_length=200)
    unit_price = models.BigIntegerField(_("unit price (won)"))
    quantity = models.IntegerField(_("quantity"))

    class Meta:
        db_table = "order_item"
        verbose_name = _("order item")
        verbose_name_plural = _("order items")
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["order", "product"], name="order_item_one_line_per_product"),
            models.CheckConstraint(condition=Q(quantity__gte=1), name="order_item_quantity_positive"),
            models.CheckConstraint(condition=Q(unit_price__gte=0), name="order_item_price_not_negative"),
        ]
        indexes = [models.Index(fields=["product", "order"], name="order_item_product")]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.product_name}"

    @property
    def subtotal(self) -> int:
        """Won."""
        return self.unit_price * self.quantity
