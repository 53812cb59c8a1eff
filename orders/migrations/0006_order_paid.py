from django.db import migrations, models

from commerce.core.postgresql.migrations import AddIndexConcurrently


class Migration(migrations.Migration):
    # The index is built while orders go on.
    atomic = False

    dependencies = [("orders", "0005_orders_may_be_refunded")]

    operations = [
        AddIndexConcurrently(
            model_name="order",
            index=models.Index(fields=["paid_amount", "id"], name="order_paid"),
        ),
    ]
