"""Staff look for what was done on a day, and for all actions of a kind. Few rows, each with an action of a person."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_staff_actions_are_append_only")]

    operations = [
        migrations.AddIndex("staffaction", models.Index(fields=["acted_at"], name="staff_action_time")),
        migrations.AddIndex("staffaction", models.Index(fields=["action", "-id"], name="staff_action_kind")),
    ]
