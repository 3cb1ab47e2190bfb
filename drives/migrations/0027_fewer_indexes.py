"""Indexes that others make up for: each of them was written to for every file that lands."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("drives", "0026_grams_by_loop"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        # Beside the index of a text Django makes one for LIKE; nobody asks for these by a beginning.
        migrations.RunSQL(
            "DROP INDEX drives_blob_md5_c439741f_like; DROP INDEX drives_blob_storage_key_478131e9_like",
            "CREATE INDEX drives_blob_md5_c439741f_like ON drives_blob (md5 varchar_pattern_ops);"
            "CREATE INDEX drives_blob_storage_key_478131e9_like ON drives_blob (storage_key varchar_pattern_ops)",
        ),
        migrations.AlterField(
            model_name="file",
            name="folder",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="files",
                to="drives.folder",
                verbose_name="folder",
            ),
        ),
        migrations.AlterField(
            model_name="fileoperation",
            name="actor",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="actor",
            ),
        ),
        migrations.AlterField(
            model_name="fileoperation",
            name="drive",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="operations",
                to="drives.drive",
                verbose_name="drive",
            ),
        ),
    ]
