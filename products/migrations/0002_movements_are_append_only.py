"""The database itself refuses to rewrite history: a stock movement is written once."""

from django.db import migrations

REFUSE = """
CREATE FUNCTION stock_movement_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Stock movements are append-only: % of stock_movement is refused.', TG_OP
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'stock_movement_is_append_only';
END
$$;
CREATE TRIGGER stock_movement_is_append_only BEFORE UPDATE OR DELETE ON stock_movement
    FOR EACH ROW EXECUTE FUNCTION stock_movement_is_append_only();
"""

ALLOW = """
DROP TRIGGER stock_movement_is_append_only ON stock_movement;
DROP FUNCTION stock_movement_is_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("products", "0001_initial")]

    operations = [migrations.RunSQL(REFUSE, ALLOW)]
