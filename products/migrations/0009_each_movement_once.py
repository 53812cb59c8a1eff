from django.db import migrations, models
from django.db.models import Q

from commerce.core.postgresql.migrations import ValidateConstraint, WidenUniqueConcurrently


class Migration(migrations.Migration):
    # The index is built while orders go on.
    atomic = False

    dependencies = [("products", "0008_movement_of_a_refund")]

    operations = [
        ValidateConstraint("stockmovement", "stock_movement_refund_fits_reason"),
        WidenUniqueConcurrently(
            "stockmovement",
            models.UniqueConstraint(
                fields=["order_id", "product", "reason", "refund_id"],
                condition=Q(order_id__isnull=False),
                nulls_distinct=False,
                name="stock_movement_each_once",
            ),
            replaces="stock_movement_once_per_order",
        ),
    ]
