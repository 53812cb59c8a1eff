"""Orders with their items, and refunds."""

from collections.abc import Iterable
from dataclasses import replace

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from orders.rules import Line, OrderState, RefundedLine, ReturnableItem

LINE_FIELDS = ("product_id", "product_name", "unit_price", "quantity", "refunded_quantity")
ONE_LIVE_ORDER_PER_COUPON = "order_one_standing_per_user_coupon"


class OrderStatus(models.TextChoices):
    """PROCESSING exists only inside the transaction that places the order; it is never committed."""

    PROCESSING = "PROCESSING", _("Processing")
    COMPLETED = "COMPLETED", _("Completed")
    CANCELLED = "CANCELLED", _("Cancelled")
    REFUNDED = "REFUNDED", _("Refunded")


class Order(models.Model):
    """A paid purchase. Amounts are won; all but the refunded ones are fixed once the order is placed."""

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
    # Sums of the refunds; 0 for a cancelled order, which has none.
    refunded_amount = models.BigIntegerField(_("refunded (won)"), default=0, db_default=0)
    refunded_units = models.IntegerField(_("units refunded"), default=0, db_default=0)
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
                | Q(status__in=["COMPLETED", "REFUNDED"], completed_at__isnull=False, cancelled_at__isnull=True)
                | Q(status="CANCELLED", completed_at__isnull=False, cancelled_at__isnull=False),
                name="order_moments_fit_status",
            ),
            models.CheckConstraint(
                condition=Q(refunded_units=0, refunded_amount=0, status__in=["PROCESSING", "COMPLETED", "CANCELLED"])
                | Q(
                    refunded_units__gt=0,
                    refunded_amount__gte=0,
                    refunded_amount__lte=F("paid_amount"),
                    status="COMPLETED",
                )
                | Q(refunded_units__gt=0, refunded_amount=F("paid_amount"), status="REFUNDED"),
                name="order_refunds_fit_status",
            ),
            models.UniqueConstraint(
                fields=["user_coupon"],
                condition=Q(user_coupon__isnull=False, status__in=["PROCESSING", "COMPLETED"]),
                name=ONE_LIVE_ORDER_PER_COUPON,
            ),
        ]
        indexes = [
            models.Index(fields=["user", "-id"], name="order_history"),
            models.Index(fields=["ordered_date", "status"], name="order_day"),
            # For sorting and searching by amount in the back-office.
            models.Index(fields=["paid_amount", "id"], name="order_paid"),
            # For the orders that used a coupon, cancelled ones too. Partial: other orders do not update it.
            models.Index(fields=["user_coupon"], name="order_user_coupon", condition=Q(user_coupon__isnull=False)),
            # Partial: refunded orders are few, and others do not update it.
            models.Index(fields=["-id"], name="order_refunded", condition=Q(refunded_units__gt=0)),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"

    @property
    def is_cancellable(self) -> bool:
        """Whether it is neither cancelled nor refunded, not even in part."""
        return self.status == OrderStatus.COMPLETED and not self.refunded_units

    @property
    def amount_back(self) -> int:
        """Won returned by refunds or by the cancellation."""
        return self.paid_amount if self.status == OrderStatus.CANCELLED else self.refunded_amount

    @property
    def units_back(self) -> int:
        """Units returned by refunds or by the cancellation; queries the items of a cancelled order."""
        if self.status == OrderStatus.CANCELLED:
            return sum(item.quantity for item in self.items.all())
        return self.refunded_units

    @cached_property
    def lines(self) -> list[Line]:
        """The items as they were bought, in the order of the request.

        `orders.selectors.with_lines` loads them in the query of the orders; otherwise this is one more query.
        """
        rows = getattr(self, "item_rows", None)
        if rows is None:
            rows = self.items.order_by("id").values(*LINE_FIELDS)
        return [Line(**row) for row in rows]

    def show_refunds(self, state: OrderState, items: Iterable[ReturnableItem]) -> None:
        """Set the refunded amounts and quantities of the order and its items, without saving."""
        self.status, self.refunded_amount, self.refunded_units = (
            state.status,
            state.refunded_amount,
            state.refunded_units,
        )
        returned = {item.product_id: item.refunded_quantity for item in items}
        self.__dict__["lines"] = [replace(line, refunded_quantity=returned[line.product_id]) for line in self.lines]


class OrderItem(models.Model):
    """One item of an order, with the product's name and price at that time."""

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
    refunded_quantity = models.IntegerField(_("units refunded"), default=0, db_default=0)

    class Meta:
        db_table = "order_item"
        verbose_name = _("order item")
        verbose_name_plural = _("order items")
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["order", "product"], name="order_item_one_line_per_product"),
            models.CheckConstraint(condition=Q(quantity__gte=1), name="order_item_quantity_positive"),
            models.CheckConstraint(condition=Q(unit_price__gte=0), name="order_item_price_not_negative"),
            models.CheckConstraint(
                condition=Q(refunded_quantity__gte=0, refunded_quantity__lte=F("quantity")),
                name="order_item_refunded_within_quantity",
            ),
        ]
        indexes = [models.Index(fields=["product", "order"], name="order_item_product")]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.product_name}"

    @property
    def subtotal(self) -> int:
        """Won."""
        return self.unit_price * self.quantity

    @property
    def refundable(self) -> int:
        """Units that can still be refunded, unless the order was cancelled."""
        return self.quantity - self.refunded_quantity


class Refund(models.Model):
    """A refund of units of an order by staff. Written once: a trigger refuses changes."""

    order = models.ForeignKey(Order, models.PROTECT, related_name="refunds", verbose_name=_("order"), db_index=False)
    amount = models.BigIntegerField(_("amount (won)"))
    restock = models.BooleanField(_("back in stock"), help_text=_("Whether the units can be sold again."))
    reason = models.CharField(_("reason"), max_length=200)
    staff_id = models.BigIntegerField(_("staff member"))
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        db_table = "refund"
        verbose_name = _("refund")
        verbose_name_plural = _("refunds")
        ordering = ["-id"]
        # Refunds are viewed and made with the permissions of orders.
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=Q(amount__gte=0), name="refund_amount_not_negative")]
        indexes = [
            models.Index(fields=["order", "-id"], name="refund_of_order"),
            # For the back-office list: ordering by time, and the filter by day.
            models.Index(fields=["created_at", "id"], name="refund_time"),
        ]

    def __str__(self) -> str:
        return f"#{self.order_id}: {self.amount:,}"

    @property
    def lines(self) -> list[RefundedLine]:
        """The refunded items, in the order of the request."""
        return [RefundedLine(item.product_id, item.quantity, item.amount) for item in self.items.all()]


class RefundItem(models.Model):
    """Refunded units of one product and their amount in won. Written once, like the refund."""

    refund = models.ForeignKey(Refund, models.PROTECT, related_name="items", verbose_name=_("refund"), db_index=False)
    product = models.ForeignKey(
        "products.Product", models.PROTECT, related_name="refund_items", verbose_name=_("product"), db_index=False
    )
    quantity = models.IntegerField(_("quantity"))
    amount = models.BigIntegerField(_("amount (won)"))

    class Meta:
        db_table = "refund_item"
        verbose_name = _("refunded item")
        verbose_name_plural = _("refunded items")
        ordering = ["id"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["refund", "product"], name="refund_item_one_line_per_product"),
            models.CheckConstraint(condition=Q(quantity__gte=1), name="refund_item_quantity_positive"),
            models.CheckConstraint(condition=Q(amount__gte=0), name="refund_item_amount_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.product_id}"
