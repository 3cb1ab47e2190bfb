"""Owners are marked for each engine and priority: a claim passes by nobody who waits for something else.

Whoever changes jobs waits from the first statement on until the new triggers are there.
"""

from importlib import import_module

from django.db import migrations, models

BEFORE = import_module("rendering.migrations.0019_owners_that_wait")
UNMARK = [BEFORE.UNMARK, "DELETE FROM rendering_waitingowner"]
MARK = """
CREATE FUNCTION rendering_owner_waits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM rendering_waitingowner
    WHERE share_id = NEW.share_id AND engine = NEW.engine AND priority = NEW.priority FOR KEY SHARE;
  IF NOT FOUND THEN
    INSERT INTO rendering_waitingowner (share_id, engine, priority, since)
    VALUES (NEW.share_id, NEW.engine, NEW.priority, coalesce(NEW.submitted_at, statement_timestamp()));
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER rendering_job_comes AFTER INSERT ON rendering_renderjob
  FOR EACH ROW WHEN (NEW.status IN (2, 3) AND NEW.has_ready_frames AND NEW.share_id IS NOT NULL)
  EXECUTE FUNCTION rendering_owner_waits();
CREATE TRIGGER rendering_job_waits
  AFTER UPDATE OF status, has_ready_frames, share_id, engine, priority ON rendering_renderjob
  FOR EACH ROW WHEN (NEW.status IN (2, 3) AND NEW.has_ready_frames AND NEW.share_id IS NOT NULL AND NOT (
    OLD.status IN (2, 3) AND OLD.has_ready_frames
    AND (OLD.share_id, OLD.engine, OLD.priority) IS NOT DISTINCT FROM (NEW.share_id, NEW.engine, NEW.priority)))
  EXECUTE FUNCTION rendering_owner_waits();

INSERT INTO rendering_waitingowner (share_id, engine, priority, since)
SELECT job.share_id, job.engine, job.priority, min(coalesce(job.submitted_at, statement_timestamp()))
  FROM rendering_renderjob job
 WHERE job.status IN (2, 3) AND job.has_ready_frames AND job.share_id IS NOT NULL
 GROUP BY job.share_id, job.engine, job.priority;
"""


class Migration(migrations.Migration):
    dependencies = [("rendering", "0019_owners_that_wait")]

    operations = [
        migrations.RunSQL(UNMARK, BEFORE.MARK),
        migrations.AddField(
            "waitingowner",
            "engine",
            models.CharField(max_length=20, verbose_name="engine", default=""),
            preserve_default=False,
        ),
        migrations.AddField(
            "waitingowner",
            "priority",
            models.PositiveSmallIntegerField(
                choices=[(0, "Low"), (1, "Normal"), (2, "High"), (3, "Urgent")],
                verbose_name="priority",
                default=1,
            ),
            preserve_default=False,
        ),
        migrations.RunSQL(MARK, UNMARK),
    ]
