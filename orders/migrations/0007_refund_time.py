from django.db import migrations, models

from commerce.core.postgresql.migrations import AddIndexConcurrently


class Migration(migrations.Migration):
    # The index is built while staff go on refunding.
    atomic = False

    dependencies = [("orders", "0006_order_paid")]

    operations = [
        AddIndexConcurrently(
            model_name="refund",
            index=models.Index(fields=["created_at", "id"], name="refund_time"),
        ),
    ]
