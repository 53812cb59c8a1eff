"""Two indexes for the back-office's lists of movements, built while the shop sells on.

Each reads the whole table once; no limit of the shop's own statements is meant for that.
"""

from django.db import migrations, models

from commerce.core.postgresql.migrations import AddIndexConcurrently


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("products", "0004_staff_rights_and_imports")]

    operations = [
        AddIndexConcurrently(
            model_name="stockmovement",
            index=models.Index(fields=["created_at"], name="stock_movement_time"),
        ),
        AddIndexConcurrently(
            model_name="stockmovement",
            index=models.Index(
                fields=["reason", "-id"],
                name="stock_movement_no_sales",
                condition=models.Q(("reason", "SALE"), _negated=True),
            ),
        ),
    ]
