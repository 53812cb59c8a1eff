import django.db.models.deletion
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import F, Q


class Migration(migrations.Migration):
    dependencies = [("orders", "0002_rights_and_coupon_index"), ("products", "0007_import_line_message")]

    operations = [
        migrations.AddField(
            "order", "refunded_amount", models.BigIntegerField(db_default=0, default=0, verbose_name="refunded (won)")
        ),
        migrations.AddField(
            "order", "refunded_units", models.IntegerField(db_default=0, default=0, verbose_name="units refunded")
        ),
        migrations.AddField(
            "orderitem",
            "refunded_quantity",
            models.IntegerField(db_default=0, default=0, verbose_name="units refunded"),
        ),
        migrations.AlterField(
            "order",
            "status",
            models.CharField(
                choices=[
                    ("PROCESSING", "Processing"),
                    ("COMPLETED", "Completed"),
                    ("CANCELLED", "Cancelled"),
                    ("REFUNDED", "Refunded"),
                ],
                max_length=10,
                verbose_name="status",
            ),
        ),
        migrations.CreateModel(
            name="Refund",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("amount", models.BigIntegerField(verbose_name="amount (won)")),
                (
                    "restock",
                    models.BooleanField(help_text="Whether the units can be sold again.", verbose_name="back in stock"),
                ),
                ("reason", models.CharField(max_length=200, verbose_name="reason")),
                ("staff_id", models.BigIntegerField(verbose_name="staff member")),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                (
                    "order",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="refunds",
                        to="orders.order",
                        verbose_name="order",
                    ),
                ),
            ],
            options={
                "verbose_name": "refund",
                "verbose_name_plural": "refunds",
                "db_table": "refund",
                "ordering": ["-id"],
                "default_permissions": (),
                "indexes": [models.Index(fields=["order", "-id"], name="refund_of_order")],
                "constraints": [
                    models.CheckConstraint(condition=Q(("amount__gte", 0)), name="refund_amount_not_negative")
                ],
            },
        ),
        migrations.CreateModel(
            name="RefundItem",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("quantity", models.IntegerField(verbose_name="quantity")),
                ("amount", models.BigIntegerField(verbose_name="amount (won)")),
                (
                    "product",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="refund_items",
                        to="products.product",
                        verbose_name="product",
                    ),
                ),
                (
                    "refund",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="items",
                        to="orders.refund",
                        verbose_name="refund",
                    ),
                ),
            ],
            options={
                "verbose_name": "refunded item",
                "verbose_name_plural": "refunded items",
                "db_table": "refund_item",
                "ordering": ["id"],
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(fields=["refund", "product"], name="refund_item_one_line_per_product"),
                    models.CheckConstraint(condition=Q(("quantity__gte", 1)), name="refund_item_quantity_positive"),
                    models.CheckConstraint(condition=Q(("amount__gte", 0)), name="refund_item_amount_not_negative"),
                ],
            },
        ),
        AddConstraintNotValid(
            "order",
            models.CheckConstraint(
                condition=Q(status="PROCESSING", completed_at__isnull=True, cancelled_at__isnull=True)
                | Q(status__in=["COMPLETED", "REFUNDED"], completed_at__isnull=False, cancelled_at__isnull=True)
                | Q(status="CANCELLED", completed_at__isnull=False, cancelled_at__isnull=False),
                name="order_moments_fit_status",
            ),
        ),
        AddConstraintNotValid(
            "order",
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
        ),
        AddConstraintNotValid(
            "orderitem",
            models.CheckConstraint(
                condition=Q(refunded_quantity__gte=0, refunded_quantity__lte=F("quantity")),
                name="order_item_refunded_within_quantity",
            ),
        ),
    ]
