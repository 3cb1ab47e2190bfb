"""Files that their client puts into the bucket itself; the ids of uploads there are longer than ours."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("drives", "0006_verify_schedule"),
        ("uploads", "0004_reconcile_schedule"),
    ]

    operations = [
        migrations.AddField(
            model_name="taskfile",
            name="storage_key",
            field=models.CharField(blank=True, max_length=255, verbose_name="key in the bucket"),
        ),
        migrations.AlterField(
            model_name="taskfile",
            name="upload_id",
            field=models.CharField(blank=True, max_length=255, verbose_name="multipart upload"),
        ),
        migrations.AddIndex(
            model_name="taskfile",
            index=models.Index(
                condition=models.Q(("upload_id", ""), _negated=True),
                fields=["upload_id"],
                name="uploads_taskfile_upload",
            ),
        ),
        migrations.AddIndex(
            model_name="taskfile",
            index=models.Index(
                condition=models.Q(("storage_key", ""), _negated=True),
                fields=["storage_key"],
                name="uploads_taskfile_key",
            ),
        ),
    ]
