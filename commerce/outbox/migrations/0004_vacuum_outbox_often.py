from django.db import migrations


class Migration(migrations.Migration):
    """Every message leaves a dead entry in the index of what waits, and each look walks over them until a vacuum.

    By default a vacuum comes when a fifth of the table is dead, but the table keeps a week of messages that nobody
    looks at: 400,000 dead entries made a look 4 ms instead of 0.2 ms, and they would be millions. A vacuum that finds
    so little dead in the table would also leave the indexes alone, unless it is told not to.
    """

    dependencies = [
        ("outbox", "0003_delivery_attempts"),
    ]

    operations = [
        migrations.RunSQL(
            """
            ALTER TABLE outbox_message SET (
                autovacuum_vacuum_scale_factor = 0.01,
                autovacuum_vacuum_threshold = 20000,
                vacuum_index_cleanup = on
            )
            """,
            """
            ALTER TABLE outbox_message
            RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, vacuum_index_cleanup)
            """,
        ),
    ]
