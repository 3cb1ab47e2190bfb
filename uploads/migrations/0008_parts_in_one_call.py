"""What a request with bytes asks and tells, as functions: PostgreSQL keeps their plans for a connection.

uploads.models.TaskFileQuerySet.under_way and UploadPartQuerySet.note are their callers
(docs/adr/0014-files-land-by-a-function.md).
"""

from django.db import migrations

UNDER_WAY = """
CREATE FUNCTION uploads_under_way(by_user uuid, of_task uuid, ids uuid[])
RETURNS TABLE (
    id uuid, task_id uuid, folder_id uuid, target_folder_path text, file_name text, file_size bigint, md5 text,
    mime_type text, status text, file_id uuid, upload_id text, storage_key text, part_size bigint, sha256 text,
    retry_count smallint, started_at timestamptz,
    task_status text, paused_at timestamptz, drive_id uuid, drive_user_id uuid, team_id uuid, is_active boolean
)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT file.id, file.task_id, file.folder_id, file.target_folder_path::text, file.file_name::text, file.file_size,
        file.md5::text, file.mime_type::text, file.status::text, file.file_id, file.upload_id::text,
        file.storage_key::text, file.part_size, file.sha256::text, file.retry_count, file.started_at,
        task.status::text, task.paused_at, drive.id, drive.user_id, drive.team_id, drive.is_active
    FROM uploads_taskfile file
    JOIN uploads_uploadtask task ON task.id = file.task_id
    JOIN drives_drive drive ON drive.id = task.drive_id
    WHERE file.id = ANY(ids) AND task.id = of_task AND task.user_id = by_user;
END
$$
"""
NOTE_PART = """
CREATE FUNCTION uploads_note_part(
    of_file uuid, of_upload text, noted_at timestamptz, new_id uuid, new_number integer, new_size bigint,
    new_etag text, new_staging_id text
)
RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
    -- The row of the file is held only while the part's is written, so other parts need not wait.
    INSERT INTO uploads_uploadpart (id, created_at, updated_at, task_file_id, number, size, etag, staging_id)
    SELECT new_id, noted_at, noted_at, file.id, new_number, new_size, new_etag, new_staging_id
    FROM uploads_taskfile file
    WHERE file.id = of_file AND file.upload_id = of_upload AND file.status = 'uploading'
    FOR SHARE OF file
    ON CONFLICT (task_file_id, number) DO UPDATE
    SET updated_at = excluded.updated_at, size = excluded.size, etag = excluded.etag,
        staging_id = excluded.staging_id;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT count(*) FROM uploads_uploadpart WHERE task_file_id = of_file);
END
$$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("uploads", "0007_land"),
    ]

    operations = [
        migrations.RunSQL(UNDER_WAY, "DROP FUNCTION uploads_under_way"),
        migrations.RunSQL(NOTE_PART, "DROP FUNCTION uploads_note_part"),
    ]
