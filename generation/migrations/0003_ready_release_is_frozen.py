"""The database itself refuses to change a release that is ready: it can only be withdrawn."""

from django.db import migrations

FREEZE = """
CREATE FUNCTION release_is_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state NOT IN ('ready', 'withdrawn') THEN
        RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    -- Withdrawing it, and forgetting who made it when their account goes, change nothing that was published.
    IF TG_OP = 'UPDATE'
       AND (NEW.state = OLD.state OR NEW.state = 'withdrawn')
       AND to_jsonb(NEW) - 'state' - 'created_by_id' = to_jsonb(OLD) - 'state' - 'created_by_id' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'release % is %, and releases do not change', OLD.name, OLD.state
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION release_rows_are_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    row_release bigint := CASE WHEN TG_OP = 'INSERT' THEN NEW.release_id ELSE OLD.release_id END;
BEGIN
    IF EXISTS (SELECT FROM generation_release WHERE id = row_release AND state IN ('ready', 'withdrawn')) THEN
        RAISE EXCEPTION 'the rows of release % do not change', row_release USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;

CREATE TRIGGER release_is_frozen BEFORE UPDATE OR DELETE ON generation_release
    FOR EACH ROW EXECUTE FUNCTION release_is_frozen();
CREATE TRIGGER release_rows_are_frozen BEFORE INSERT OR UPDATE OR DELETE ON generation_releaserow
    FOR EACH ROW EXECUTE FUNCTION release_rows_are_frozen();
"""

THAW = """
DROP TRIGGER release_rows_are_frozen ON generation_releaserow;
DROP TRIGGER release_is_frozen ON generation_release;
DROP FUNCTION release_rows_are_frozen();
DROP FUNCTION release_is_frozen();
"""


class Migration(migrations.Migration):
    dependencies = [("generation", "0002_initial")]

    operations = [migrations.RunSQL(FREEZE, THAW)]
