"""The database itself refuses to rewrite what staff did."""

from django.db import migrations

REFUSE = """
CREATE FUNCTION staff_action_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'What staff did stays written: % of staff_action is refused.', TG_OP
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'staff_action_is_append_only';
END
$$;
CREATE TRIGGER staff_action_is_append_only BEFORE UPDATE OR DELETE ON staff_action
    FOR EACH ROW EXECUTE FUNCTION staff_action_is_append_only();
"""

ALLOW = """
DROP TRIGGER staff_action_is_append_only ON staff_action;
DROP FUNCTION staff_action_is_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [migrations.RunSQL(REFUSE, ALLOW)]
