"""The function by which files of an upload task land: their contents written down, the files put into the drive and
counted on the task, in one call and one transaction.

uploads.services.landing.land is its only caller (docs/adr/0014-files-land-by-a-function.md).
"""

from django.db import migrations

CREATE = """
CREATE FUNCTION uploads_land(
    of_task uuid, by_user uuid, by_device text, landed_at timestamptz, new_status text,
    ids uuid[], blobs uuid[], types text[], were_stored boolean[], started timestamptz[],
    new_blobs uuid[], sizes bigint[], sha256s text[], md5s text[], crc32s bigint[], storage_keys text[]
)
RETURNS TABLE (
    task_file_id uuid, outcome text, blob_id uuid, file_id uuid, file_created_at timestamptz, is_replaced boolean,
    upload_id text, storage_key text, staged_apart text[], task_status text, is_given_up boolean
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    task uploads_uploadtask;
    is_writable boolean;
BEGIN
    -- Contents first: who waits for another's content holds neither task nor drive.
    SELECT coalesce(array_agg(coalesce(written.blob_id, kept.id) ORDER BY number), '{}') INTO blobs
    FROM unnest(blobs) WITH ORDINALITY AS kept (id, number)
    LEFT JOIN drives_write_blobs(landed_at, new_blobs, sizes, sha256s, md5s, crc32s, storage_keys) written
        ON written.id = kept.id;

    -- Files of one task land one after the other; drives_put_files then does the same for the drive.
    SELECT * INTO task FROM uploads_uploadtask WHERE id = of_task FOR NO KEY UPDATE;
    SELECT is_active INTO is_writable FROM drives_drive WHERE id = task.drive_id;

    RETURN QUERY
    WITH sent AS (
        SELECT file.*, new.blob_id AS new_blob_id, new.new_type, new.is_stored, new.new_start,
            CASE
                WHEN file.status IN ('completed', 'skipped') THEN 'landed'
                WHEN task.status NOT IN ('pending', 'uploading') THEN task.status
                WHEN NOT is_writable THEN 'read_only'
                WHEN file.status NOT IN ('pending', 'uploading') THEN file.status
                WHEN file.folder_id IS NULL AND file.target_folder_path <> '/' THEN 'homeless'
            END AS obstacle
        FROM unnest(ids, blobs, types, were_stored, started)
            AS new (id, blob_id, new_type, is_stored, new_start)
        JOIN uploads_taskfile file ON file.id = new.id AND file.task_id = of_task
    ),
    fit AS MATERIALIZED (
        SELECT *, row_number() OVER (ORDER BY position) AS number FROM sent WHERE obstacle IS NULL
    ),
    placed AS MATERIALIZED (
        SELECT put.* FROM (
            SELECT array_agg(folder_id ORDER BY number) AS folders, array_agg(file_name::text ORDER BY number) AS names,
                array_agg(new_blob_id ORDER BY number) AS blobs, array_agg(file_size ORDER BY number) AS sizes,
                array_agg(new_type ORDER BY number) AS types,
                array_agg(landed_at ORDER BY number) AS modified
            FROM fit HAVING count(*) > 0
        ) new,
        drives_put_files(
            task.drive_id, by_user, by_device, landed_at, true, true,
            new.folders, new.names, new.blobs, new.sizes, new.types, new.modified
        ) put
    ),
    landed AS (
        UPDATE uploads_taskfile file
        SET status = new_status, is_duplicated = new_status = 'skipped', file_id = placed.file_id,
            was_stored = fit.is_stored, started_at = coalesce(file.started_at, fit.new_start), error_message = '',
            upload_id = '', storage_key = '', completed_at = landed_at, updated_at = landed_at
        FROM fit JOIN placed USING (number)
        WHERE file.id = fit.id AND placed.refusal IS NULL
        RETURNING file.file_size
    ),
    parts AS (
        DELETE FROM uploads_uploadpart part USING fit JOIN placed USING (number)
        WHERE part.task_file_id = fit.id AND placed.refusal IS NULL
        RETURNING part.task_file_id, part.staging_id
    ),
    counted AS (
        UPDATE uploads_uploadtask
        SET uploaded_files = uploaded_files + total.count, uploaded_size = uploaded_size + total.size,
            status = CASE WHEN uploaded_files + total.count = total_files THEN 'completed' ELSE 'uploading' END,
            completed_at = CASE WHEN uploaded_files + total.count = total_files THEN landed_at END,
            paused_at = CASE WHEN uploaded_files + total.count < total_files THEN paused_at END,
            updated_at = landed_at
        FROM (SELECT count(*) AS count, sum(file_size)::bigint AS size FROM landed) total
        WHERE uploads_uploadtask.id = of_task AND total.count > 0
        RETURNING status, failed_files > 0 AND uploaded_files + failed_files = total_files AS is_given_up
    )
    SELECT sent.id, coalesce(sent.obstacle, placed.refusal, '')::text, sent.new_blob_id, placed.file_id,
        placed.file_created_at, placed.is_replaced, sent.upload_id::text, sent.storage_key::text,
        ARRAY(SELECT staging_id::text FROM parts WHERE parts.task_file_id = sent.id AND staging_id <> ''),
        coalesce(counted.status, task.status)::text, coalesce(counted.is_given_up, false)
    FROM sent
    LEFT JOIN fit USING (id)
    LEFT JOIN placed USING (number)
    LEFT JOIN counted ON true;
END
$$
"""
DROP = "DROP FUNCTION uploads_land"


class Migration(migrations.Migration):
    dependencies = [
        ("uploads", "0006_part_staged_apart"),
        ("drives", "0018_put_files"),
    ]

    operations = [migrations.RunSQL(CREATE, DROP)]
