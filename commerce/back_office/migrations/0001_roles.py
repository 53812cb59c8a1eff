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
        ("audit", "0002_staff_actions_are_append_only"),
        ("balances", "0004_staff_look_and_adjust"),
        ("coupons", "0001_initial"),
        ("idempotency", "0001_initial"),
        ("orders", "0001_initial"),
        ("outbox", "0004_vacuum_outbox_often"),
        ("products", "0003_highest_price"),
        ("stats", "0002_dead_letter"),
    ]

    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
