"""The function by which one content is put into a drive: written down, its place and the quota asked for, put there and
noted in the log, in one call and one transaction, as `uploads_land` does it for files of a task.

drives.services.tree.put_content is its only caller (docs/adr/0014-files-land-by-a-function.md).
"""

from django.db import migrations

CREATE = """
CREATE FUNCTION drives_put_content(
    to_drive uuid, by_user uuid, by_device text, put_at timestamptz,
    to_folder text, name text, type text, modified timestamptz,
    blob uuid, is_new boolean, size bigint, sha256 text, md5 text, crc32 bigint, storage_key text
)
RETURNS TABLE (
    outcome text, available bigint, blob_id uuid, folder_id uuid, file_id uuid, file_created_at timestamptz,
    is_replaced boolean
)
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    drive drives_drive;
    held bigint;
BEGIN
    outcome := '';
    blob_id := blob;
    IF is_new THEN
        -- Before the drive is locked: who waits for another's content holds nothing.
        SELECT written.blob_id INTO blob_id
        FROM drives_write_blobs(
            put_at, ARRAY[blob], ARRAY[size], ARRAY[sha256], ARRAY[md5], ARRAY[crc32], ARRAY[storage_key]
        ) written;
    END IF;

    -- A statement of its own: the next one sees what others did while this one waited.
    SELECT * INTO drive FROM drives_drive WHERE id = to_drive FOR NO KEY UPDATE;
    IF to_folder <> '/' THEN
        SELECT folder.id INTO folder_id FROM drives_folder folder
        WHERE folder.drive_id = to_drive AND folder.path = to_folder;
        IF folder_id IS NULL THEN
            outcome := 'not_found';
        END IF;
    END IF;
    IF NOT drive.is_active THEN
        outcome := 'read_only';
    END IF;

    SELECT there.size INTO held FROM (
        SELECT file.size FROM drives_file file
        WHERE file.drive_id = to_drive AND file.folder_id = folder_id AND file.name = drives_put_content.name
            AND file.trashed_at IS NULL
        UNION ALL
        SELECT file.size FROM drives_file file
        WHERE file.drive_id = to_drive AND file.folder_id IS NULL AND file.name = drives_put_content.name
            AND file.trashed_at IS NULL AND to_folder = '/'
    ) there;
    -- What shrinks always fits. NULL is no limit, which greatest() would pass over.
    IF drive.total_size IS NOT NULL THEN
        available := greatest(drive.total_size - drive.used_size - drive.reserved_size, 0);
    END IF;
    IF outcome = '' AND size > coalesce(held, 0) AND size - coalesce(held, 0) > available THEN
        outcome := 'no_room';
    END IF;

    IF outcome = '' THEN
        SELECT coalesce(put.refusal, ''), put.file_id, put.file_created_at, put.is_replaced
        INTO outcome, file_id, file_created_at, is_replaced
        FROM drives_put_files(
            to_drive, by_user, by_device, put_at, false, true, ARRAY[folder_id], ARRAY[name], ARRAY[blob_id],
            ARRAY[size], ARRAY[type], ARRAY[modified]
        ) put;
    END IF;
    RETURN NEXT;
END
$$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("drives", "0018_put_files"),
    ]

    operations = [migrations.RunSQL(CREATE, "DROP FUNCTION drives_put_content")]
