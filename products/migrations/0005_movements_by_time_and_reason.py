"""Two indexes for the back-office's lists of movements, built while the shop sells on.

Each reads the whole table once; no limit of the shop's own statements is meant for that.
"""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

WITHOUT_TIME_LIMITS = ["SET statement_timeout = 0", "SET lock_timeout = 0"]
WITH_TIME_LIMITS = ["RESET statement_timeout", "RESET lock_timeout"]


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("products", "0004_staff_rights_and_imports")]

    operations = [
        migrations.RunSQL(WITHOUT_TIME_LIMITS, WITH_TIME_LIMITS),
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
        migrations.RunSQL(WITH_TIME_LIMITS, WITHOUT_TIME_LIMITS),
    ]
