"""Staff search by the beginning of an event's id. The new index serves equality as well, so the old one goes."""

from django.db import migrations, models

from commerce.core.postgresql.migrations import AddIndexConcurrently, RemoveIndexConcurrently


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("outbox", "0005_right_to_send_again")]
    operations = [
        AddIndexConcurrently(
            "outboxmessage",
            models.Index(fields=["event_id"], name="outbox_message_event_id", opclasses=["text_pattern_ops"]),
        ),
        RemoveIndexConcurrently("outboxmessage", "outbox_message_event"),
    ]
