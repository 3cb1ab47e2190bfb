"""How many frames a claim takes where the farm chooses, as a function: most claims end in its first statement, and what
comes behind it is then neither planned nor prepared."""

from django.db import migrations, models

# As many as fit into an attempt by the time that they take, but no more than the job's part of what is ready, among the
# slots that could take it, but for crumbs that are not worth their start. What is counted are entries of an index, at
# most those that all these slots would take.
FRAMES_TO_TAKE = """
CREATE FUNCTION rendering_frames_to_take(job uuid, job_limits uuid[], job_engine text, lease interval) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
  fitting bigint;
  places bigint;
  frames bigint;
BEGIN
  SELECT step.chunk_size INTO fitting FROM rendering_renderstep step
   WHERE step.job_id = job AND step.chunk_size > 1 AND step.id = (
     SELECT f.step_id FROM rendering_frame f WHERE f.job_id = job AND f.status = 'ready' ORDER BY f.step_id LIMIT 1);
  IF NOT FOUND THEN
    RETURN 1;
  END IF;
  SELECT greatest(1, least(sum(taker.slots), (
           SELECT min(maximum) FROM rendering_concurrencylimit WHERE id = ANY(job_limits)))) INTO places
    FROM rendering_rendernode taker
   WHERE taker.state = 'enabled' AND taker.engines ? job_engine
     AND taker.heartbeat_at > statement_timestamp() - lease;
  SELECT count(*) INTO frames FROM (
    SELECT 1 FROM rendering_frame f WHERE f.job_id = job AND f.status = 'ready' LIMIT fitting * places) AS ready;
  RETURN least(fitting, greatest(ceil(frames / places::float), ceil(fitting / 10.0)));
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("rendering", "0015_frames_by_their_time")]

    operations = [
        migrations.AddIndex(
            "renderstep",
            models.Index(
                fields=["job"], condition=models.Q(("chunk_size__gt", 1)), name="rendering_step_chunks"
            ),
        ),
        migrations.RunSQL(
            FRAMES_TO_TAKE, "DROP FUNCTION rendering_frames_to_take(uuid, uuid[], text, interval)"
        ),
    ]
