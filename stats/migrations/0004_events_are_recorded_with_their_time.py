from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

_PAGE = 5_000
# A record of an order that this database does not have stays as it is.
_RENAME = """
    WITH page AS (
        SELECT event_id, split_part(event_id, ':', 1) AS type, split_part(event_id, ':', 2)::bigint AS order_id
        FROM processed_event WHERE event_id > %s AND event_id ~ '^order-(completed|cancelled):[0-9]{1,18}$'
        ORDER BY event_id LIMIT %s
    ), renamed AS (
        SELECT page.event_id, page.event_id || ':' || trunc(extract(epoch FROM happened_at) * 1000000) AS new_id
        FROM page JOIN "order" ON "order".id = page.order_id
        CROSS JOIN LATERAL (
            VALUES (CASE page.type WHEN 'order-completed' THEN "order".created_at ELSE "order".cancelled_at END)
        ) AS event (happened_at)
        WHERE happened_at IS NOT NULL
    ), deleted AS (
        DELETE FROM processed_event USING renamed WHERE processed_event.event_id = renamed.event_id
        RETURNING new_id, processed_at
    ), added AS (
        INSERT INTO processed_event (event_id, processed_at) SELECT new_id, processed_at FROM deleted
        ON CONFLICT DO NOTHING
    )
    SELECT max(event_id) FROM page
"""


def rename(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Give the records of events from before their ids had the time in them the ids that they have now."""
    last = ""
    with schema_editor.connection.cursor() as cursor:
        while last is not None:
            cursor.execute(_RENAME, [last, _PAGE])
            (last,) = cursor.fetchone()


class Migration(migrations.Migration):
    # Page by page, while orders are counted. It can be run again.
    atomic = False

    dependencies = [
        ("stats", "0003_staff_rights"),
        ("orders", "0001_initial"),
    ]

    operations = [migrations.RunPython(rename, migrations.RunPython.noop)]
