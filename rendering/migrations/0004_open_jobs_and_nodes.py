"""What runs already keeps its place: disabled nodes stay disabled, open jobs get their owner's share."""

from django.db import migrations

NODES = """
UPDATE rendering_rendernode
   SET state = CASE WHEN is_enabled THEN 'enabled' ELSE 'disabled' END,
       engines = coalesce((SELECT jsonb_object_agg(name, jsonb_build_array(version))
                             FROM jsonb_each(engines) AS engine (name, version)), '{}');
"""

SHARES = """
INSERT INTO rendering_concurrencylimit
       (id, created_at, updated_at, kind, key, maximum, is_custom, weight, running)
SELECT gen_random_uuid(), now(), now(), 'user', user_id::text, NULL, false, 1, 0
  FROM (SELECT DISTINCT user_id FROM rendering_renderjob WHERE status IN (2, 3, 4)) AS owner;
UPDATE rendering_renderjob job
   SET share_id = owner.id, limits = ARRAY[owner.id], has_ready_frames = true
  FROM rendering_concurrencylimit owner
 WHERE owner.kind = 'user' AND owner.key = job.user_id::text AND job.status IN (2, 3, 4);
"""


class Migration(migrations.Migration):
    dependencies = [("rendering", "0003_scheduling")]

    operations = [
        migrations.RunSQL(NODES, migrations.RunSQL.noop),
        migrations.RunSQL(SHARES, migrations.RunSQL.noop),
    ]
