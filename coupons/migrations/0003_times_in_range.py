from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

import commerce.core.days
from commerce.core.days import stored


class Migration(migrations.Migration):
    """New rows are checked from here on; 0004 repairs and checks those that exist, without a lock on the tables."""

    dependencies = [("coupons", "0002_staff_rights_and_days")]

    operations = [
        migrations.AlterField(
            model_name="coupon",
            name="issue_starts_at",
            field=models.DateTimeField(validators=[commerce.core.days.validate_moment], verbose_name="issue starts at"),
        ),
        migrations.AlterField(
            model_name="coupon",
            name="issue_ends_at",
            field=models.DateTimeField(validators=[commerce.core.days.validate_moment], verbose_name="issue ends at"),
        ),
        migrations.AlterField(
            model_name="coupon",
            name="valid_until",
            field=models.DateTimeField(
                help_text="Until then an issued one can be used.",
                validators=[commerce.core.days.validate_moment],
                verbose_name="valid until",
            ),
        ),
        AddConstraintNotValid(
            model_name="coupon",
            constraint=models.CheckConstraint(
                condition=stored("issue_starts_at", "valid_until"), name="coupon_times_in_range"
            ),
        ),
        AddConstraintNotValid(
            model_name="usercoupon",
            constraint=models.CheckConstraint(
                condition=stored("expires_at", "expires_at"), name="user_coupon_expiry_in_range"
            ),
        ),
    ]
