from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations

# It was shown and never applied.
CAPS = "UPDATE coupon SET max_discount = NULL WHERE discount_type = 'FIXED' AND max_discount IS NOT NULL"


class Migration(migrations.Migration):
    dependencies = [("coupons", "0005_cap_of_percent_only")]

    operations = [
        migrations.RunSQL(CAPS, migrations.RunSQL.noop),
        ValidateConstraint("coupon", "coupon_cap_is_of_percent"),
    ]
