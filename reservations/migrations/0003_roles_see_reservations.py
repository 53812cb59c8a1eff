"""The roles of shops that exist: who sees orders sees what is held for carts.

A shop that begins has them from `back_office.0001`, which reads the table of roles.
"""

from typing import Any

from django.db import migrations

READERS = ("Viewer", "Support", "Merchandiser", "Finance", "Operator")


def give(apps: Any, schema_editor: Any) -> None:
    content_type, _is_new = apps.get_model("contenttypes", "ContentType").objects.get_or_create(
        app_label="reservations", model="reservation"
    )
    right, _is_new = apps.get_model("auth", "Permission").objects.get_or_create(
        content_type=content_type, codename="view_reservation", defaults={"name": "Can view reservation"}
    )
    for group in apps.get_model("auth", "Group").objects.filter(name__in=READERS):
        group.permissions.add(right)


class Migration(migrations.Migration):
    dependencies = [("reservations", "0002_reservations_end_once"), ("back_office", "0001_roles")]

    operations = [migrations.RunPython(give, migrations.RunPython.noop)]
