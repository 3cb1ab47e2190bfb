"""A frame that has just failed is left to others where one of them can render it, not wherever one has its engine."""

from django.db import migrations

LEFT_TO_OTHERS = """
CREATE OR REPLACE FUNCTION rendering_is_left_to_others(frame uuid, node uuid, engine text, lease interval) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN EXISTS (
    SELECT 1 FROM rendering_frame_attempts made JOIN rendering_attempt a ON a.id = made.attempt_id
     WHERE made.frame_id = frame AND a.node_id = node AND a.status = 'failed'
       AND a.ended_at > statement_timestamp() - interval '1 minute'
  ) AND EXISTS (
    SELECT 1 FROM rendering_frame f JOIN rendering_renderjob job ON job.id = f.job_id
             JOIN rendering_rendernode other ON other.id <> node
     WHERE f.id = frame AND other.state = 'enabled'
       AND (other.rests_until IS NULL OR other.rests_until <= statement_timestamp())
       AND other.heartbeat_at > statement_timestamp() - lease
       AND other.engines @> jsonb_build_object($3, to_jsonb(array_remove(ARRAY[job.engine_version::text], '')))
       AND other.cores >= job.min_cores AND other.memory_size >= greatest(job.min_memory_size, f.memory_size)
       AND other.tags @> job.node_tags
       AND NOT EXISTS (SELECT 1 FROM rendering_nodeblock b WHERE b.node_id = other.id AND b.job_id = job.id)
  );
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("rendering", "0017_claims_prepare_less")]

    # What came before does as well with it.
    operations = [migrations.RunSQL(LEFT_TO_OTHERS, migrations.RunSQL.noop)]
