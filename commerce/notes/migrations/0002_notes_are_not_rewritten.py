"""The database itself refuses to rewrite a note, to delete one, or to show one again that was hidden."""

from django.db import migrations

REFUSE = """
CREATE FUNCTION note_is_not_rewritten() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE'
       AND (OLD.id, OLD.subject_type, OLD.subject_id, OLD.author_id, OLD.text, OLD.written_at)
           = (NEW.id, NEW.subject_type, NEW.subject_id, NEW.author_id, NEW.text, NEW.written_at)
       AND (OLD.hidden_at IS NULL OR OLD.hidden_at = NEW.hidden_at) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'A note stays as it was written: % of note is refused.', TG_OP
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'note_is_not_rewritten';
END
$$;
CREATE TRIGGER note_is_not_rewritten BEFORE UPDATE OR DELETE ON note
    FOR EACH ROW EXECUTE FUNCTION note_is_not_rewritten();
"""

ALLOW = """
DROP TRIGGER note_is_not_rewritten ON note;
DROP FUNCTION note_is_not_rewritten();
"""


class Migration(migrations.Migration):
    dependencies = [("notes", "0001_initial")]

    operations = [migrations.RunSQL(REFUSE, ALLOW)]
