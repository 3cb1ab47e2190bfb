"""What a claim hardly ever needs is a function, which no claim prepares; what it writes stands in fewer indexes.

Which frames are left to others, where they have just failed on a node and there is another for them.
"""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

LEFT_TO_OTHERS = """
CREATE OR REPLACE FUNCTION rendering_is_left_to_others(frame uuid, node uuid, engine text, lease interval) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN EXISTS (
    SELECT 1 FROM rendering_frame_attempts made JOIN rendering_attempt a ON a.id = made.attempt_id
     WHERE made.frame_id = frame AND a.node_id = node AND a.status = 'failed'
       AND a.ended_at > statement_timestamp() - interval '1 minute'
  ) AND EXISTS (
    SELECT 1 FROM rendering_rendernode other
     WHERE other.id <> node AND other.state = 'enabled'
       AND (other.rests_until IS NULL OR other.rests_until <= statement_timestamp())
       AND other.heartbeat_at > statement_timestamp() - lease AND other.engines ? engine
  );
END $$;
"""


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("rendering", "0016_steps_of_several_frames")]

    operations = [
        migrations.RunSQL(
            LEFT_TO_OTHERS, "DROP FUNCTION rendering_is_left_to_others(uuid, uuid, text, interval)"
        ),
        # Other indexes begin with the same columns.
        migrations.AlterField(
            "frame",
            "job",
            models.ForeignKey(
                on_delete=models.CASCADE,
                to="rendering.renderjob",
                db_index=False,
                related_name="frames",
                verbose_name="render task",
            ),
        ),
        migrations.AlterField(
            "frame",
            "step",
            models.ForeignKey(
                on_delete=models.CASCADE,
                to="rendering.renderstep",
                db_index=False,
                related_name="frames",
                verbose_name="render step",
            ),
        ),
        migrations.RunSQL(
            "DROP INDEX IF EXISTS rendering_frame_attempts_frame_id_26d03f66",
            "CREATE INDEX rendering_frame_attempts_frame_id_26d03f66 ON rendering_frame_attempts (frame_id)",
        ),
        # An attempt that runs has no log yet.
        AddIndexConcurrently(
            "attempt",
            models.Index(
                fields=["log_blob"], condition=models.Q(log_blob__isnull=False), name="rendering_attempt_log"
            ),
        ),
        migrations.AlterField(
            "attempt",
            "log_blob",
            models.ForeignKey(
                on_delete=models.PROTECT,
                to="drives.blob",
                null=True,
                blank=True,
                db_index=False,
                related_name="+",
                verbose_name="log",
            ),
        ),
    ]
