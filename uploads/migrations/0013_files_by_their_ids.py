"""uploads_land looks rows up by their ids, one after the other, whatever PostgreSQL takes the tables for.

A connection plans once, maybe while there are few rows. Then, and where most tasks have few files, it read all files of
the task, or the whole table: each file of ten thousand cost ten thousand rows.
"""

from django.db import migrations

PUT_FILES = "drives_put_files"
REPLACE = """
CREATE OR REPLACE FUNCTION uploads_land(
    of_task uuid, by_user uuid, by_device text, landed_at timestamptz, new_status text,
    ids uuid[], blobs uuid[], types text[], were_stored boolean[], started timestamptz[],
    new_blobs uuid[], sizes bigint[], sha256s text[], md5s text[], crc32s bigint[], storage_keys text[]
)
RETURNS TABLE (
    task_file_id uuid, outcome text, blob_id uuid, file_id uuid, file_created_at timestamptz, is_replaced boolean,
    upload_id text, storage_key text, staged_apart text[], task_status text, is_given_up boolean
)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    task uploads_uploadtask;
    is_writable boolean;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);

    -- Contents first: who waits for another's content holds neither task nor drive.
    IF cardinality(new_blobs) > 0 THEN
        SELECT array_agg(coalesce(written.blob_id, kept.id) ORDER BY number) INTO blobs
        FROM unnest(blobs) WITH ORDINALITY AS kept (id, number)
        LEFT JOIN drives_write_blobs(landed_at, new_blobs, sizes, sha256s, md5s, crc32s, storage_keys) written
            ON written.id = kept.id;
    END IF;

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
        -- OFFSET keeps this apart from what is around it.
        CROSS JOIN LATERAL (SELECT * FROM uploads_taskfile WHERE id = new.id OFFSET 0) file
        WHERE file.task_id = of_task
    ),
    placed AS MATERIALIZED (
        SELECT put.*, new.ids[put.number] AS id, new.blobs[put.number] AS new_blob_id,
            new.stored[put.number] AS is_stored, nullif(new.starts[put.number], 'infinity') AS new_start
        FROM (
            SELECT array_agg(id ORDER BY position) AS ids, array_agg(folder_id ORDER BY position) AS folders,
                array_agg(file_name::text ORDER BY position) AS names,
                array_agg(new_blob_id ORDER BY position) AS blobs, array_agg(file_size ORDER BY position) AS sizes,
                array_agg(new_type ORDER BY position) AS types,
                array_agg(landed_at ORDER BY position) AS modified,
                array_agg(is_stored ORDER BY position) AS stored,
                -- Without NULL, so that each is found at once.
                array_agg(coalesce(new_start, 'infinity') ORDER BY position) AS starts
            FROM sent WHERE obstacle IS NULL HAVING count(*) > 0
        ) new,
        drives_put_files(
            task.drive_id, by_user, by_device, landed_at, true, true,
            new.folders, new.names, new.blobs, new.sizes, new.types, new.modified
        ) put
    ),
    landed AS (
        UPDATE uploads_taskfile file
        SET status = new_status, is_duplicated = new_status = 'skipped', file_id = placed.file_id,
            was_stored = placed.is_stored, started_at = coalesce(file.started_at, placed.new_start),
            error_message = '', upload_id = '', storage_key = '', completed_at = landed_at, updated_at = landed_at
        FROM placed
        WHERE file.id = placed.id AND placed.refusal IS NULL
        RETURNING file.id, file.file_size, old.upload_id AS upload_id, old.storage_key AS storage_key,
            placed.new_blob_id, placed.file_id AS placed_id, placed.file_created_at, placed.is_replaced
    ),
    parts AS (
        DELETE FROM uploads_uploadpart part USING placed
        WHERE part.task_file_id = placed.id AND placed.refusal IS NULL
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
    SELECT told.id, told.outcome, told.new_blob_id, told.placed_id, told.file_created_at, told.is_replaced,
        told.upload_id, told.storage_key,
        ARRAY(SELECT staging_id::text FROM parts WHERE parts.task_file_id = told.id AND staging_id <> ''),
        coalesce(counted.status, task.status)::text, coalesce(counted.is_given_up, false)
    FROM (
        SELECT id, ''::text AS outcome, new_blob_id, placed_id, file_created_at, is_replaced, upload_id::text,
            storage_key::text
        FROM landed
        UNION ALL
        SELECT id, refusal, new_blob_id, NULL, NULL, false, '', '' FROM placed WHERE refusal IS NOT NULL
        UNION ALL
        SELECT id, obstacle::text, new_blob_id, NULL, NULL, false, '', '' FROM sent WHERE obstacle IS NOT NULL
    ) told
    LEFT JOIN counted ON true;
END
$$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("drives", "0029_folders_of_the_drive"),
        ("uploads", "0012_fewer_indexes"),
    ]

    # The way back needs nothing: what calls it is the same.
    operations = [
        migrations.RunSQL(REPLACE, migrations.RunSQL.noop),
        # It is asked for one file most of the time; thousands are looked up by their ids no less well.
        migrations.RunSQL(f"ALTER FUNCTION {PUT_FILES} ROWS 1", f"ALTER FUNCTION {PUT_FILES} ROWS 1000"),
    ]
