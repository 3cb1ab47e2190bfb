"""Claims read which owners have ready frames, instead of stepping through the jobs of each.

Whoever gives an owner a job that can be claimed locks a mark of theirs that is there, together with others who do, or
makes one. Whoever takes marks away locks them first and looks then (`claims.forget_emptied`): no owner is overlooked,
and nobody waits for anybody but for that moment.
"""

import django.db.models.deletion
from django.db import migrations, models

MARK = """
CREATE FUNCTION rendering_owner_waits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM rendering_waitingowner WHERE share_id = NEW.share_id FOR KEY SHARE;
  IF NOT FOUND THEN
    INSERT INTO rendering_waitingowner (share_id, since)
    VALUES (NEW.share_id, coalesce(NEW.submitted_at, statement_timestamp()));
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER rendering_job_comes AFTER INSERT ON rendering_renderjob
  FOR EACH ROW WHEN (NEW.status IN (2, 3) AND NEW.has_ready_frames AND NEW.share_id IS NOT NULL)
  EXECUTE FUNCTION rendering_owner_waits();
CREATE TRIGGER rendering_job_waits AFTER UPDATE OF status, has_ready_frames, share_id ON rendering_renderjob
  FOR EACH ROW WHEN (NEW.status IN (2, 3) AND NEW.has_ready_frames AND NEW.share_id IS NOT NULL AND NOT (
    OLD.status IN (2, 3) AND OLD.has_ready_frames AND OLD.share_id IS NOT DISTINCT FROM NEW.share_id))
  EXECUTE FUNCTION rendering_owner_waits();

INSERT INTO rendering_waitingowner (share_id, since)
SELECT job.share_id, min(coalesce(job.submitted_at, statement_timestamp())) FROM rendering_renderjob job
 WHERE job.status IN (2, 3) AND job.has_ready_frames AND job.share_id IS NOT NULL GROUP BY job.share_id;
"""
UNMARK = """
DROP TRIGGER rendering_job_waits ON rendering_renderjob;
DROP TRIGGER rendering_job_comes ON rendering_renderjob;
DROP FUNCTION rendering_owner_waits();
"""


class Migration(migrations.Migration):
    dependencies = [("rendering", "0018_left_to_nodes_that_fit")]

    operations = [
        migrations.CreateModel(
            name="WaitingOwner",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("since", models.DateTimeField(verbose_name="since")),
                (
                    "share",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="rendering.concurrencylimit",
                        verbose_name="whose fair share",
                    ),
                ),
            ],
            options={"verbose_name": "owner that waits", "verbose_name_plural": "owners that wait"},
        ),
        migrations.RunSQL(MARK, UNMARK),
    ]
