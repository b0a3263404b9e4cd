"""The database refuses to change a candidate, too, except to publish it; rows may be blanked, which empties them."""

from django.db import migrations

FREEZE = """
CREATE OR REPLACE FUNCTION release_is_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    -- What may change: withdrawing it, publishing a candidate, and forgetting who made it when their account goes.
    loose text[] := ARRAY['state', 'error', 'created_by_id', 'withdrawn_at', 'withdrawn_because'];
BEGIN
    IF NOT (OLD.state IN ('ready', 'withdrawn') OR OLD.state = 'candidate' AND OLD.sha256 <> '') THEN
        RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    IF TG_OP = 'UPDATE'
       AND (NEW.state = OLD.state OR NEW.state = 'withdrawn' OR OLD.state = 'candidate' AND NEW.state = 'building')
       AND to_jsonb(NEW) - loose = to_jsonb(OLD) - loose THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'release % is %, and releases do not change', OLD.name, OLD.state
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE OR REPLACE FUNCTION release_rows_are_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    row_release bigint := CASE WHEN TG_OP = 'INSERT' THEN NEW.release_id ELSE OLD.release_id END;
    frozen text := (SELECT state FROM generation_release WHERE id = row_release
                       AND (state IN ('ready', 'withdrawn') OR state = 'candidate' AND sha256 <> ''));
BEGIN
    IF frozen IS NULL THEN
        RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    -- Take-down: what stood in the row goes, its hash stays. Never in a release that is still ready.
    IF TG_OP = 'UPDATE' AND frozen <> 'ready' AND NEW.row = '{}' AND NEW.blanked_at IS NOT NULL
       AND to_jsonb(NEW) - 'row' - 'blanked_at' = to_jsonb(OLD) - 'row' - 'blanked_at' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the rows of release % do not change', row_release USING ERRCODE = 'restrict_violation';
END $$;
"""

# Rows of earlier releases learn what they are known by, which no hash covers.
KNOWN_BY = """
ALTER TABLE generation_releaserow DISABLE TRIGGER release_rows_are_frozen;
UPDATE generation_releaserow SET item_public_id = row->>'item' WHERE item_public_id = '' AND row ? 'item';
ALTER TABLE generation_releaserow ENABLE TRIGGER release_rows_are_frozen;
"""


class Migration(migrations.Migration):
    dependencies = [("generation", "0017_releases_follow_each_other")]

    operations = [
        migrations.RunSQL(FREEZE, migrations.RunSQL.noop),
        migrations.RunSQL(KNOWN_BY, migrations.RunSQL.noop),
    ]
