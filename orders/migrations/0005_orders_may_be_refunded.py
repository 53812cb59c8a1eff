from django.db import migrations, models
from django.db.models import Q

from commerce.core.postgresql.migrations import AddIndexConcurrently, ValidateConstraint, WidenUniqueConcurrently


class Migration(migrations.Migration):
    # Indexes are built while orders go on.
    atomic = False

    dependencies = [("orders", "0004_refunds_are_append_only")]

    operations = [
        ValidateConstraint("order", "order_moments_fit_status"),
        ValidateConstraint("order", "order_refunds_fit_status"),
        ValidateConstraint("orderitem", "order_item_refunded_within_quantity"),
        WidenUniqueConcurrently(
            "order",
            models.UniqueConstraint(
                fields=["user_coupon"],
                condition=Q(user_coupon__isnull=False, status__in=["PROCESSING", "COMPLETED"]),
                name="order_one_standing_per_user_coupon",
            ),
            replaces="order_one_live_per_user_coupon",
        ),
        AddIndexConcurrently(
            "order", models.Index(fields=["-id"], name="order_refunded", condition=Q(refunded_units__gt=0))
        ),
        # Last: from here on an order can be REFUNDED.
        migrations.RemoveConstraint("order", "order_times_fit_status"),
    ]
