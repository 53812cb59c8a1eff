from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

import commerce.core.days


class Migration(migrations.Migration):
    """New rows are checked from here on; 0006 repairs and checks those that exist, without a lock on the table."""

    dependencies = [("coupons", "0004_bring_times_into_range")]

    operations = [
        migrations.AlterField(
            model_name="coupon",
            name="valid_until",
            field=models.DateTimeField(
                help_text=(
                    "Until then an issued one can be used. "
                    "A later end reaches those who hold one, an earlier one does not."
                ),
                validators=[commerce.core.days.validate_moment],
                verbose_name="valid until",
            ),
        ),
        AddConstraintNotValid(
            model_name="coupon",
            constraint=models.CheckConstraint(
                condition=models.Q(("max_discount__isnull", True), ("discount_type", "PERCENT"), _connector="OR"),
                name="coupon_cap_is_of_percent",
            ),
        ),
    ]
