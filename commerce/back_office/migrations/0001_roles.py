"""The five roles of staff as groups. Their table is `commerce.back_office.roles`.

A group that is there already keeps its rights. Backwards nothing is taken away: members would lose theirs.
"""

from django.db import migrations

from commerce.back_office.roles import make_groups


def make(apps, schema_editor):
    make_groups(apps)


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("contenttypes", "0002_remove_content_type_name"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("audit", "0003_look_by_time_and_action"),
        ("balances", "0004_staff_look_and_adjust"),
        ("coupons", "0002_staff_rights_and_days"),
        ("idempotency", "0001_initial"),
        ("invariants", "0001_initial"),
        ("orders", "0002_rights_and_coupon_index"),
        ("outbox", "0005_right_to_send_again"),
        ("products", "0005_movements_by_time_and_reason"),
        ("stats", "0003_staff_rights"),
    ]

    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
