"""What a request with bytes asks is looked up by indexes, whatever PostgreSQL took the tables for when it planned.

A connection plans once. While a table is small, or was last looked at while it was empty, reading all of it looks
cheapest, and went on being done when there were thousands of rows, until the next ANALYZE. Only a function can have
the setting for its plans, also for those that are made anew.
"""

from django.db import migrations

UNDER_WAY = """
CREATE FUNCTION uploads_under_way(
    ids uuid[], of_task uuid, by_user uuid, of_sha256 text DEFAULT NULL, of_size bigint DEFAULT NULL
)
RETURNS TABLE (file uploads_taskfile, task uploads_uploadtask, drive drives_drive, is_known boolean)
LANGUAGE plpgsql STABLE ROWS 1 SET enable_seqscan = off AS $$
BEGIN
    RETURN QUERY
    SELECT found.one, of_file, at_drive,
        EXISTS (SELECT FROM drives_blob blob WHERE blob.sha256 = of_sha256 AND blob.size = of_size)
    FROM unnest(ids) AS asked (id)
    -- OFFSET keeps this apart from what is around it: otherwise all files of the task might be read.
    CROSS JOIN LATERAL (SELECT one FROM uploads_taskfile one WHERE one.id = asked.id OFFSET 0) AS found (one)
    JOIN uploads_uploadtask of_file ON of_file.id = (found.one).task_id
    JOIN drives_drive at_drive ON at_drive.id = of_file.drive_id
    WHERE of_file.id = of_task AND of_file.user_id = by_user;
END
$$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("uploads", "0014_under_way_without_function"),
        ("drives", "0029_folders_of_the_drive"),
    ]

    operations = [
        migrations.RunSQL(UNDER_WAY, "DROP FUNCTION uploads_under_way(uuid[], uuid, uuid, text, bigint)")
    ]
