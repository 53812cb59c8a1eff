import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("coupons", "0007_text_is_normalized")]

    operations = [
        migrations.CreateModel(
            name="ExpiryNotice",
            fields=[
                (
                    "user_coupon",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="expiry_notice",
                        serialize=False,
                        to="coupons.usercoupon",
                    ),
                ),
                ("noticed_at", models.DateTimeField()),
            ],
            options={"db_table": "coupon_expiry_notice", "default_permissions": ()},
        ),
    ]
