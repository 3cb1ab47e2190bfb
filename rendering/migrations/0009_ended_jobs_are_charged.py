"""Jobs that ended before charged frames were counted are paid: one that goes on pays for what it renders then."""

from django.db import migrations

CHARGED = """
UPDATE rendering_renderjob SET charged_frames = done_frames WHERE status IN (5, 6, 7) AND charged_frames < done_frames
"""


class Migration(migrations.Migration):
    dependencies = [("rendering", "0008_test_frames")]

    operations = [migrations.RunSQL(CHARGED, migrations.RunSQL.noop)]
