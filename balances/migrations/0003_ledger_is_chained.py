"""Each ledger entry carries a hash over the owner's entry before it; the account carries that of its newest entry.

The entries that exist get theirs in one statement, which sorts and streams, whatever the size of the table. Nobody
reads or writes the ledger until it is done: the columns are new, and the table is locked for them.
"""

from django.db import migrations, models
from django.db.models.functions import Length
from django.db.models.lookups import Exact

START_OF_CHAIN = bytes(32)

# The trigger that refuses UPDATE is suspended inside this transaction only. The aggregate hands the hash of one entry
# to the next; it is needed here alone, so it lives in the session's own schema.
CHAIN = """
SET LOCAL statement_timeout = 0;
ALTER TABLE user_balance_tx DISABLE TRIGGER user_balance_tx_is_append_only;

CREATE FUNCTION pg_temp.next_hash(previous bytea, entry text) RETURNS bytea LANGUAGE sql IMMUTABLE
    AS $$ SELECT sha256(previous || convert_to(entry, 'UTF8')) $$;
CREATE AGGREGATE pg_temp.chained_hash(text) (
    SFUNC = pg_temp.next_hash, STYPE = bytea,
    INITCOND = '\\x0000000000000000000000000000000000000000000000000000000000000000'
);

UPDATE user_balance_tx AS entry SET entry_hash = chained.hash
FROM (
    SELECT id,
           pg_temp.chained_hash(
               id || '|' || user_id || '|' || type || '|' || amount || '|' || balance_after
                   || '|' || coalesce(order_id::text, '') || '|' || (extract(epoch FROM created_at) * 1000000)::bigint
           ) OVER (PARTITION BY user_id ORDER BY id) AS hash
    FROM user_balance_tx
) AS chained
WHERE entry.id = chained.id;

UPDATE "user" AS account SET ledger_head = newest.entry_hash
FROM (SELECT DISTINCT ON (user_id) user_id, entry_hash FROM user_balance_tx ORDER BY user_id, id DESC) AS newest
WHERE account.id = newest.user_id;

DROP AGGREGATE pg_temp.chained_hash(text);
DROP FUNCTION pg_temp.next_hash(bytea, text);
ALTER TABLE user_balance_tx ENABLE TRIGGER user_balance_tx_is_append_only;
"""


class Migration(migrations.Migration):
    dependencies = [("balances", "0002_ledger_is_append_only")]

    operations = [
        migrations.AddField(
            "user",
            "ledger_head",
            models.BinaryField(default=START_OF_CHAIN, db_default=models.Value(START_OF_CHAIN)),
        ),
        migrations.AddField("ledgerentry", "entry_hash", models.BinaryField(null=True)),
        migrations.RunSQL(CHAIN, migrations.RunSQL.noop),
        migrations.AlterField("ledgerentry", "entry_hash", models.BinaryField()),
        migrations.AddConstraint(
            "ledgerentry",
            models.CheckConstraint(condition=Exact(Length("entry_hash"), 32), name="user_balance_tx_hash_is_sha256"),
        ),
        migrations.AddConstraint(
            "user",
            models.CheckConstraint(condition=Exact(Length("ledger_head"), 32), name="user_ledger_head_is_sha256"),
        ),
    ]
