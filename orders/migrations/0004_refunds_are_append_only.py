"""The database itself refuses to rewrite history: a refund and its items are written once."""

from django.db import migrations

REFUSE = """
CREATE FUNCTION refund_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Refunds are append-only: % of % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'refund_is_append_only';
END
$$;
CREATE TRIGGER refund_is_append_only BEFORE UPDATE OR DELETE ON refund
    FOR EACH ROW EXECUTE FUNCTION refund_is_append_only();
CREATE TRIGGER refund_is_append_only BEFORE UPDATE OR DELETE ON refund_item
    FOR EACH ROW EXECUTE FUNCTION refund_is_append_only();
"""

ALLOW = """
DROP TRIGGER refund_is_append_only ON refund_item;
DROP TRIGGER refund_is_append_only ON refund;
DROP FUNCTION refund_is_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("orders", "0003_refunds")]

    operations = [migrations.RunSQL(REFUSE, ALLOW)]
