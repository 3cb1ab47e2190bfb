"""A claim asks for its job's status once more when it has locked the job's key.

`FOR KEY SHARE` passes by whoever changes other columns, before and after their commit: it gives the row as the
statement saw it at first, paused meanwhile or not.
"""

from django.db import migrations

# Volatile: what it reads is what is committed when it is called, not when the statement began.
CLAIMABLE_STATUS = """
CREATE FUNCTION rendering_claimable_status(job uuid) RETURNS smallint LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  RETURN (SELECT status FROM rendering_renderjob WHERE id = job AND status IN (2, 3));
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("rendering", "0020_marks_by_engine_and_priority")]

    operations = [
        migrations.RunSQL(CLAIMABLE_STATUS, "DROP FUNCTION rendering_claimable_status(uuid)"),
    ]
