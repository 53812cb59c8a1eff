from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models

WITHOUT_TIME_LIMITS = ["SET statement_timeout = 0", "SET lock_timeout = 0"]
WITH_TIME_LIMITS = ["RESET statement_timeout", "RESET lock_timeout"]


class Migration(migrations.Migration):
    """While the shop goes on, so outside a transaction; it may take longer than a request may."""

    atomic = False
    dependencies = [("outbox", "0005_right_to_send_again")]
    operations = [
        migrations.RunSQL(WITHOUT_TIME_LIMITS, WITHOUT_TIME_LIMITS),
        migrations.RunSQL("DROP INDEX CONCURRENTLY IF EXISTS outbox_message_event_id", migrations.RunSQL.noop),
        AddIndexConcurrently(
            "outboxmessage",
            models.Index(fields=["event_id"], name="outbox_message_event_id", opclasses=["text_pattern_ops"]),
        ),
        RemoveIndexConcurrently("outboxmessage", "outbox_message_event"),
        migrations.RunSQL(WITH_TIME_LIMITS, WITH_TIME_LIMITS),
    ]
