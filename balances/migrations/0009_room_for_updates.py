from django.db import migrations


class Migration(migrations.Migration):
    """Leave room in each page, so that an account with a new balance stays in its page.

    Otherwise its new version goes to another page, and each of the table's seven indexes gets another entry. For pages
    that are full already this begins with their next vacuum.
    """

    dependencies = [
        ("balances", "0008_each_refund_once"),
    ]

    operations = [
        migrations.RunSQL(
            'ALTER TABLE "user" SET (fillfactor = 80)',
            'ALTER TABLE "user" RESET (fillfactor)',
        ),
    ]
