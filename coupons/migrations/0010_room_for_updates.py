from django.db import migrations


class Migration(migrations.Migration):
    """Leave room in each page, so that a coupon that was issued or used stays in its page.

    It needs no new index entries then.
    """

    dependencies = [
        ("coupons", "0009_coupons_that_end_soon"),
    ]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE coupon SET (fillfactor = 50)",
            "ALTER TABLE coupon RESET (fillfactor)",
        ),
        migrations.RunSQL(
            "ALTER TABLE user_coupon SET (fillfactor = 90)",
            "ALTER TABLE user_coupon RESET (fillfactor)",
        ),
    ]
