"""The database itself refuses to rewrite history: a ledger row is written once."""

from django.db import migrations

REFUSE = """
CREATE FUNCTION user_balance_tx_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The ledger is append-only: % of user_balance_tx is refused.', TG_OP
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'user_balance_tx_is_append_only';
END
$$;
CREATE TRIGGER user_balance_tx_is_append_only BEFORE UPDATE OR DELETE ON user_balance_tx
    FOR EACH ROW EXECUTE FUNCTION user_balance_tx_is_append_only();
"""

ALLOW = """
DROP TRIGGER user_balance_tx_is_append_only ON user_balance_tx;
DROP FUNCTION user_balance_tx_is_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("balances", "0001_initial")]

    operations = [migrations.RunSQL(REFUSE, ALLOW)]
