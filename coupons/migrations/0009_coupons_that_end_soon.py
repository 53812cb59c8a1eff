"""An index to find the coupons that end soon, built while coupons are issued."""

from django.contrib.postgres.indexes import BrinIndex
from django.db import migrations

from commerce.core.postgresql.migrations import AddIndexConcurrently


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("coupons", "0008_expiry_notices")]

    operations = [
        AddIndexConcurrently(
            model_name="usercoupon",
            index=BrinIndex(autosummarize=True, fields=["expires_at"], name="user_coupon_expires"),
        ),
    ]
