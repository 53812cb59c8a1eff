from django.db import migrations, models

from commerce.core.postgresql.migrations import AddIndexConcurrently


class Migration(migrations.Migration):
    # The index is built while orders go on.
    atomic = False

    dependencies = [("orders", "0001_initial")]

    operations = [
        migrations.AlterModelOptions(
            name="order",
            options={
                "ordering": ["-id"],
                "permissions": [
                    ("cancel_order", "Can cancel and refund order"),
                    ("export_order", "Can export order"),
                ],
                "verbose_name": "order",
                "verbose_name_plural": "orders",
            },
        ),
        AddIndexConcurrently(
            model_name="order",
            index=models.Index(
                condition=models.Q(("user_coupon__isnull", False)), fields=["user_coupon"], name="order_user_coupon"
            ),
        ),
    ]
