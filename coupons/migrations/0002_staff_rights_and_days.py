from django.contrib.postgres.indexes import BrinIndex
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("coupons", "0001_initial")]

    operations = [
        migrations.AlterModelOptions(
            name="coupon",
            options={
                "ordering": ["id"],
                "permissions": [("export_coupon", "Can export coupons")],
                "verbose_name": "coupon",
                "verbose_name_plural": "coupons",
            },
        ),
        migrations.AlterModelOptions(
            name="usercoupon",
            options={
                "ordering": ["-id"],
                "permissions": [("export_usercoupon", "Can export who holds coupons")],
                "verbose_name": "user coupon",
                "verbose_name_plural": "user coupons",
            },
        ),
        migrations.AddIndex(
            model_name="usercoupon",
            index=BrinIndex(autosummarize=True, fields=["issued_at"], name="user_coupon_issued"),
        ),
    ]
