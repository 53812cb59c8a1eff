"""The database itself refuses to end a reservation twice, to change what it holds, and to forget it while it does."""

from django.db import migrations

REFUSE = """
CREATE FUNCTION reservation_ends_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: a reservation ends once, and what it holds never changes.',
        TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'reservation_ends_once';
END
$$;
CREATE TRIGGER reservation_ends_once BEFORE UPDATE ON reservation
    FOR EACH ROW WHEN (OLD.status <> 'HELD') EXECUTE FUNCTION reservation_ends_once();
CREATE TRIGGER reservation_is_kept_while_held BEFORE DELETE ON reservation
    FOR EACH ROW WHEN (OLD.status = 'HELD') EXECUTE FUNCTION reservation_ends_once();
CREATE TRIGGER reservation_item_is_written_once BEFORE UPDATE ON reservation_item
    FOR EACH ROW EXECUTE FUNCTION reservation_ends_once();
"""

ALLOW = """
DROP TRIGGER reservation_item_is_written_once ON reservation_item;
DROP TRIGGER reservation_is_kept_while_held ON reservation;
DROP TRIGGER reservation_ends_once ON reservation;
DROP FUNCTION reservation_ends_once();
"""


class Migration(migrations.Migration):
    dependencies = [("reservations", "0001_initial")]

    operations = [migrations.RunSQL(REFUSE, ALLOW)]
