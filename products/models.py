"""Products, the movements of their stock, and import files."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from products.rules import HIGHEST_PRICE_WON, HIGHEST_PURCHASE_LIMIT, MOST_CHARACTERS_OF_A_NAME


class Product(models.Model):
    """A product. `stock` changes only together with a movement row (`products.operations`).

    `held` units of the stock are reserved for carts (`reservations`) and cannot be bought by others.
    """

    name = models.CharField(_("name"), max_length=MOST_CHARACTERS_OF_A_NAME)
    description = models.TextField(_("description"), blank=True)
    price = models.BigIntegerField(
        _("price (won)"), validators=[MinValueValidator(0), MaxValueValidator(HIGHEST_PRICE_WON)]
    )
    stock = models.IntegerField(_("stock"), default=0, editable=False)
    held = models.IntegerField(_("held for carts"), default=0, db_default=0, editable=False)
    is_active = models.BooleanField(_("for sale"), default=True)
    purchase_limit = models.IntegerField(
        _("purchase limit"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(HIGHEST_PURCHASE_LIMIT)],
        help_text=_("Units that one customer may buy in all, less what came back. Empty: no limit."),
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        db_table = "product"
        verbose_name = _("product")
        verbose_name_plural = _("products")
        ordering = ["id"]
        permissions = [
            ("adjust_stock", gettext_noop("Can adjust the stock of products")),
            ("import_product", gettext_noop("Can import products from a file")),
            ("export_product", gettext_noop("Can export products")),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(price__gte=0, price__lte=HIGHEST_PRICE_WON), name="product_price_in_range"
            ),
            models.CheckConstraint(condition=Q(stock__gte=0), name="product_stock_not_negative"),
            # With nothing held, the constraint above reports a wrong stock.
            models.CheckConstraint(
                condition=Q(held=0) | Q(held__gt=0, held__lte=F("stock")), name="product_held_within_stock"
            ),
            models.CheckConstraint(
                condition=Q(purchase_limit__isnull=True)
                | Q(purchase_limit__gte=1, purchase_limit__lte=HIGHEST_PURCHASE_LIMIT),
                name="product_purchase_limit_in_range",
            ),
        ]
        indexes = [models.Index(fields=["price", "id"], name="product_active_price", condition=Q(is_active=True))]

    def __str__(self) -> str:
        return self.name

    @property
    def available(self) -> int:
        """Units in stock that are not held."""
        return self.stock - self.held


EDITABLE = tuple(field.name for field in Product._meta.fields if field.editable and not field.primary_key)
"""The fields of a product that staff edit: in its form, in imports and exports, and in audit records."""


class MovementReason(models.TextChoices):
    """The reason of a movement. Sales are negative, openings and returns positive, adjustments either."""

    OPENING = "OPENING", _("Opening stock")
    SALE = "SALE", _("Sale")
    RETURN = "RETURN", _("Return")
    ADJUSTMENT = "ADJUSTMENT", _("Adjustment")


class StockMovement(models.Model):
    """One change of one product's stock; their sum is the stock. Written once."""

    product = models.ForeignKey(
        Product, models.PROTECT, related_name="movements", verbose_name=_("product"), db_index=False
    )
    reason = models.CharField(_("reason"), max_length=10, choices=MovementReason.choices)
    quantity = models.IntegerField(_("quantity"))
    # Orders stand above products, so this is the order's number, not a foreign key.
    order_id = models.BigIntegerField(_("order"), null=True, blank=True)
    # The refund that returned the units; None for a cancelled order.
    refund_id = models.BigIntegerField(_("refund"), null=True, blank=True)
    actor_id = models.BigIntegerField(_("staff member"), null=True, blank=True)
    note = models.CharField(_("note"), max_length=200, blank=True, db_default="")
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        db_table = "stock_movement"
        verbose_name = _("stock movement")
        verbose_name_plural = _("stock movements")
        ordering = ["-id"]
        permissions = [("export_stockmovement", gettext_noop("Can export stock movements"))]
        constraints = [
            models.CheckConstraint(
                condition=Q(reason="SALE", quantity__lt=0, order_id__isnull=False)
                | Q(reason="RETURN", quantity__gt=0, order_id__isnull=False)
                | Q(reason="OPENING", quantity__gte=0, order_id__isnull=True)
                | Q(reason="ADJUSTMENT", order_id__isnull=True),
                name="stock_movement_fits_reason",
            ),
            models.UniqueConstraint(
                fields=["order_id", "product", "reason", "refund_id"],
                condition=Q(order_id__isnull=False),
                nulls_distinct=False,
                name="stock_movement_each_once",
            ),
            models.CheckConstraint(
                condition=Q(refund_id__isnull=True) | Q(reason="RETURN"), name="stock_movement_refund_fits_reason"
            ),
        ]
        indexes = [
            models.Index(fields=["product", "-id"], name="stock_movement_history"),
            # For the back-office's filter by day. Times only grow, so a sale only touches the index's last page.
            models.Index(fields=["created_at"], name="stock_movement_time"),
            # For its filter by reason, which would scan a million sales. Partial: sales are not in it.
            models.Index(fields=["reason", "-id"], name="stock_movement_no_sales", condition=~Q(reason="SALE")),
        ]

    def __str__(self) -> str:
        return f"{self.get_reason_display()} {self.quantity:+,}"


class ProductImport(models.Model):
    """An uploaded file of products, from its preview to its import, and the outcome.

    Stored in the database because the next request may reach another process. Lines are deleted after a day; the file's
    row stays if anything was imported.
    """

    staff_id = models.BigIntegerField(_("staff member"))
    file_name = models.CharField(_("file"), max_length=200)
    uploaded_at = models.DateTimeField(_("uploaded at"))
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    imported_count = models.IntegerField(_("rows imported"), db_default=0)
    refused_count = models.IntegerField(_("rows refused"), db_default=0)
    imported_at = models.DateTimeField(_("imported at"), null=True, blank=True)
    """Time of the latest attempt to import a row."""

    class Meta:
        db_table = "product_import"
        verbose_name = _("product import")
        verbose_name_plural = _("product imports")
        ordering = ["-id"]
        default_permissions = ()

    def __str__(self) -> str:
        return self.file_name


class LinePlan(models.TextChoices):
    """The planned action of a line."""

    ADD = "ADD", _("New")
    CHANGE = "CHANGE", _("Change")
    NOTHING = "NOTHING", _("Unchanged")
    WRONG = "WRONG", _("Error")


class LineOutcome(models.TextChoices):
    """The outcome of a line."""

    WAITING = "WAITING", _("Waiting")
    IMPORTED = "IMPORTED", _("Imported")
    REFUSED = "REFUSED", _("Refused")


class ImportLine(models.Model):
    """One line of the file, its plan and its outcome. `outcome` changes in the transaction of its effect."""

    product_import = models.ForeignKey(ProductImport, models.CASCADE, related_name="lines", db_index=False)
    number = models.PositiveIntegerField()
    """Row number as in a spreadsheet: the headings are in row 1."""
    product_id = models.BigIntegerField(null=True, blank=True)
    plan = models.CharField(max_length=10, choices=LinePlan.choices)
    values = models.JSONField(default=dict, blank=True)
    """New values by field."""
    seen = models.JSONField(default=dict, blank=True)
    """The product's `EDITABLE` fields and its stock when the file was read."""
    stock_change = models.IntegerField(default=0)
    message = models.TextField(blank=True, db_column="told")
    """The error or the refusal, in the sender's language."""
    outcome = models.CharField(max_length=10, choices=LineOutcome.choices, default=LineOutcome.WAITING)

    class Meta:
        db_table = "product_import_line"
        verbose_name = _("line of an import")
        verbose_name_plural = _("lines of an import")
        ordering = ["number"]
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["product_import", "number"], name="product_import_line_once")]

    def __str__(self) -> str:
        return f"{self.number}: {self.get_plan_display()}"
