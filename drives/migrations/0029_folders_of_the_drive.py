"""drives_put_files takes a folder for gone that was moved into another drive: files of this one are not put into it."""

from django.db import migrations

REPLACE = """
CREATE OR REPLACE FUNCTION drives_put_files(
    to_drive uuid, by_user uuid, by_device text, put_at timestamptz, are_reserved boolean, are_logged boolean,
    folders uuid[], names text[], blobs uuid[], sizes bigint[], types text[], modified timestamptz[]
)
RETURNS TABLE (number bigint, file_id uuid, file_created_at timestamptz, is_replaced boolean, refusal text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    -- A statement of its own: the next one sees what others did while this one waited.
    PERFORM FROM drives_drive WHERE id = to_drive FOR NO KEY UPDATE;

    RETURN QUERY
    WITH sent AS (
        -- Of two for one place the later stays.
        SELECT DISTINCT ON (folder_id, name) *
        FROM unnest(folders, names, blobs, sizes, types, modified) WITH ORDINALITY
            AS new (folder_id, name, blob_id, size, mime_type, modified_at, number)
        ORDER BY folder_id, name, number DESC
    ),
    found AS MATERIALIZED (
        SELECT sent.*, place.path, coalesce(there.id, uuidv7()) AS file_id, there.id AS there_id,
            there.created_at, there.blob_id AS old_blob_id, there.size AS old_size,
            there.modified_at AS old_modified_at, there.uploaded_by_id AS old_user_id,
            CASE
                WHEN sent.folder_id IS NOT NULL AND folder.id IS NULL THEN 'homeless'
                WHEN EXISTS (
                    SELECT FROM drives_folder other WHERE other.drive_id = to_drive AND other.path = place.path
                ) THEN 'name_taken'
            END AS refusal
        FROM sent
        LEFT JOIN drives_folder folder ON folder.id = sent.folder_id AND folder.drive_id = to_drive
            AND starts_with(folder.path, '/')
        CROSS JOIN LATERAL (SELECT concat(folder.path, '/', sent.name)) AS place (path)
        LEFT JOIN LATERAL (
            SELECT * FROM drives_file
            WHERE drive_id = to_drive AND folder_id = sent.folder_id AND name = sent.name AND trashed_at IS NULL
            UNION ALL
            SELECT * FROM drives_file
            WHERE drive_id = to_drive AND folder_id IS NULL AND name = sent.name AND trashed_at IS NULL
                AND sent.folder_id IS NULL
        ) there ON true
    ),
    fit AS (SELECT * FROM found WHERE refusal IS NULL),
    versions AS (
        INSERT INTO drives_fileversion
            (id, created_at, updated_at, file_id, blob_id, size, modified_at, uploaded_by_id)
        SELECT uuidv7(), put_at, put_at, file_id, old_blob_id, old_size, old_modified_at, old_user_id
        FROM fit WHERE old_blob_id <> blob_id
    ),
    changed AS (
        UPDATE drives_file
        SET blob_id = fit.blob_id, size = fit.size, mime_type = fit.mime_type, uploaded_by_id = by_user,
            modified_at = fit.modified_at, updated_at = put_at
        FROM fit WHERE drives_file.id = fit.there_id
    ),
    added AS (
        INSERT INTO drives_file
            (id, created_at, updated_at, drive_id, folder_id, name, blob_id, size, mime_type, uploaded_by_id,
            modified_at)
        SELECT file_id, put_at, put_at, to_drive, folder_id, name, blob_id, size, mime_type, by_user, modified_at
        FROM fit WHERE there_id IS NULL
    ),
    operations AS (
        INSERT INTO drives_fileoperation
            (id, created_at, updated_at, drive_id, actor_id, action, target_id, is_folder, path, new_path, size,
            device)
        SELECT uuidv7(), put_at, put_at, to_drive, by_user, 'upload', file_id, false, path, '', size, by_device
        FROM fit WHERE are_logged
    ),
    sums AS (
        UPDATE drives_drive
        SET used_size = used_size + total.grown, reserved_size = reserved_size - total.freed
        FROM (
            SELECT coalesce(sum(size - coalesce(old_size, 0)), 0)::bigint AS grown,
                coalesce(sum(size) FILTER (WHERE are_reserved), 0)::bigint AS freed
            FROM fit
        ) total
        WHERE drives_drive.id = to_drive
    )
    SELECT number, file_id, coalesce(created_at, put_at), coalesce(old_blob_id <> blob_id, false), refusal
    FROM found;
END
$$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("drives", "0028_default_drive"),
    ]

    # The way back needs nothing: what calls it is the same.
    operations = [migrations.RunSQL(REPLACE, migrations.RunSQL.noop)]
