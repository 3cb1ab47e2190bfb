"""A claim counts for its limits in one statement: most jobs have one limit, whose row needs no order to be locked in."""

from django.db import migrations

ONE = """
CREATE OR REPLACE FUNCTION rendering_count_attempt() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  counted uuid[] := CASE WHEN TG_OP = 'INSERT' THEN NEW.limits ELSE OLD.limits END;
  change int := CASE WHEN TG_OP = 'INSERT' THEN 1 ELSE -1 END;
  is_over boolean;
BEGIN
  IF cardinality(counted) > 1 THEN
    -- In the order of their ids, so that two attempts never wait for each other.
    PERFORM 1 FROM rendering_concurrencylimit WHERE id = ANY(counted) ORDER BY id FOR NO KEY UPDATE;
  END IF;
  FOR is_over IN
    UPDATE rendering_concurrencylimit SET running = running + change WHERE id = ANY(counted)
    RETURNING running > maximum
  LOOP
    IF TG_OP = 'INSERT' AND is_over THEN
      RAISE EXCEPTION 'as many attempts run as may'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'rendering_limit_kept';
    END IF;
  END LOOP;
  RETURN NULL;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("rendering", "0009_ended_jobs_are_charged")]

    operations = [migrations.RunSQL(ONE, migrations.RunSQL.noop)]
