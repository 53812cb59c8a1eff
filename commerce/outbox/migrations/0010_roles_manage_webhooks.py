"""The roles of shops that exist: operators make and change subscriptions, support sees them.

A shop that begins has them from `back_office.0001`, which reads the table of roles.
"""

from typing import Any

from django.db import migrations

RIGHTS = {
    "view_webhooksubscription": ("Operator", "Support"),
    "add_webhooksubscription": ("Operator",),
    "change_webhooksubscription": ("Operator",),
}


def give(apps: Any, schema_editor: Any) -> None:
    content_type, _is_new = apps.get_model("contenttypes", "ContentType").objects.get_or_create(
        app_label="outbox", model="webhooksubscription"
    )
    for codename, roles in RIGHTS.items():
        verb = codename.partition("_")[0]
        right, _is_new = apps.get_model("auth", "Permission").objects.get_or_create(
            content_type=content_type, codename=codename, defaults={"name": f"Can {verb} webhook subscription"}
        )
        for group in apps.get_model("auth", "Group").objects.filter(name__in=roles):
            group.permissions.add(right)


class Migration(migrations.Migration):
    dependencies = [("outbox", "0009_messages_of_subscriptions"), ("back_office", "0001_roles")]

    operations = [migrations.RunPython(give, migrations.RunPython.noop)]
