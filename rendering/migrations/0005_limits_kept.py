"""How many attempts run for a user, a team or a licence is counted, and bounded, by PostgreSQL itself.

The rows are locked in the order of their ids, so that two attempts never wait for each other.
"""

from django.db import migrations

KEEP = """
CREATE FUNCTION rendering_count_attempt() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  counted uuid[] := CASE WHEN TG_OP = 'INSERT' THEN NEW.limits ELSE OLD.limits END;
  change int := CASE WHEN TG_OP = 'INSERT' THEN 1 ELSE -1 END;
BEGIN
  PERFORM 1 FROM rendering_concurrencylimit WHERE id = ANY(counted) ORDER BY id FOR NO KEY UPDATE;
  UPDATE rendering_concurrencylimit SET running = running + change WHERE id = ANY(counted);
  IF TG_OP = 'INSERT' AND EXISTS (
       SELECT 1 FROM rendering_concurrencylimit WHERE id = ANY(counted) AND running > maximum) THEN
    RAISE EXCEPTION 'as many attempts run as may' USING ERRCODE = 'check_violation', CONSTRAINT = 'rendering_limit_kept';
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER rendering_attempt_begins AFTER INSERT ON rendering_attempt
  FOR EACH ROW WHEN (NEW.status = 'running') EXECUTE FUNCTION rendering_count_attempt();
CREATE TRIGGER rendering_attempt_ends AFTER UPDATE OF status ON rendering_attempt
  FOR EACH ROW WHEN (OLD.status = 'running' AND NEW.status <> 'running') EXECUTE FUNCTION rendering_count_attempt();
CREATE TRIGGER rendering_attempt_goes AFTER DELETE ON rendering_attempt
  FOR EACH ROW WHEN (OLD.status = 'running') EXECUTE FUNCTION rendering_count_attempt();
"""

LIFT = """
DROP TRIGGER rendering_attempt_goes ON rendering_attempt;
DROP TRIGGER rendering_attempt_ends ON rendering_attempt;
DROP TRIGGER rendering_attempt_begins ON rendering_attempt;
DROP FUNCTION rendering_count_attempt();
"""


class Migration(migrations.Migration):
    dependencies = [("rendering", "0004_open_jobs_and_nodes")]

    operations = [
        migrations.RemoveField("rendernode", "is_enabled"),
        migrations.RunSQL(KEEP, LIFT),
    ]
