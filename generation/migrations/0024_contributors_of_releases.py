"""Releases say whom they credit. Of a frozen one the database lets a credit go, and none be added or changed."""

from django.db import migrations, models

FREEZE = """
CREATE OR REPLACE FUNCTION release_is_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    -- What may change: withdrawing it, publishing a candidate, and forgetting who made it when their account goes.
    loose text[] := ARRAY['state', 'error', 'created_by_id', 'withdrawn_at', 'withdrawn_because', 'contributors'];
BEGIN
    IF NOT (OLD.state IN ('ready', 'withdrawn') OR OLD.state = 'candidate' AND OLD.sha256 <> '') THEN
        RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    IF TG_OP = 'UPDATE'
       AND (NEW.state = OLD.state OR NEW.state = 'withdrawn' OR OLD.state = 'candidate' AND NEW.state = 'building')
       -- Take-down by a contributor: their credit goes. Never from a release that is still ready.
       AND (NEW.contributors = OLD.contributors OR NEW.state <> 'ready' AND OLD.contributors @> NEW.contributors)
       AND to_jsonb(NEW) - loose = to_jsonb(OLD) - loose THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'release % is %, and releases do not change', OLD.name, OLD.state
        USING ERRCODE = 'restrict_violation';
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("generation", "0023_samples_of_rejected_rows")]

    operations = [
        migrations.AddField(
            model_name="release",
            name="contributors",
            field=models.JSONField(
                default=dict,
                help_text="Whom its documents credit, and aggregates of what people said of themselves; see "
                "annotation.crediting. Empty: from before there were any.",
            ),
        ),
        migrations.RunSQL(FREEZE, migrations.RunSQL.noop),
    ]
