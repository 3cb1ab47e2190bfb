"""uploads_note_part does not wait until its commit is on the disk: what the power takes with it is sent again.

docs/adr/0022-parts-go-past-the-cache.md says why that is enough.
"""

from django.db import migrations

NOTE_PART = """
CREATE OR REPLACE FUNCTION uploads_note_part(
    of_file uuid, of_upload text, noted_at timestamptz, new_id uuid, new_number integer, new_size bigint,
    new_etag text, new_staging_id text
)
RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
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
        ("uploads", "0009_land_in_bulk"),
    ]

    # The way back needs nothing: what calls it is the same.
    operations = [migrations.RunSQL(NOTE_PART, migrations.RunSQL.noop)]
