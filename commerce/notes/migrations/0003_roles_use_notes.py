"""The roles of shops that exist: who sees customers sees notes, and who helps them writes some.

A shop that begins has them from `back_office.0001`, which reads the table of roles.
"""

from typing import Any

from django.db import migrations

WRITERS = ("Support", "Finance", "Operator")
READERS = ("Viewer", *WRITERS)


def give(apps: Any, schema_editor: Any) -> None:
    content_type, _is_new = apps.get_model("contenttypes", "ContentType").objects.get_or_create(
        app_label="notes", model="note"
    )
    for codename, roles in (("view_note", READERS), ("add_note", WRITERS)):
        right, _is_new = apps.get_model("auth", "Permission").objects.get_or_create(
            content_type=content_type, codename=codename, defaults={"name": f"Can {codename.replace('_', ' ')}"}
        )
        for group in apps.get_model("auth", "Group").objects.filter(name__in=roles):
            group.permissions.add(right)


class Migration(migrations.Migration):
    dependencies = [("notes", "0002_notes_are_not_rewritten"), ("back_office", "0001_roles")]

    operations = [migrations.RunPython(give, migrations.RunPython.noop)]
