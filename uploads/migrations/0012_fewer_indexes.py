"""An index that others make up for: it was written to twice for every file of an upload."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("uploads", "0011_land_without_waiting"),
    ]

    operations = [
        migrations.AlterField(
            model_name="taskfile",
            name="task",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="files",
                to="uploads.uploadtask",
                verbose_name="upload task",
            ),
        ),
    ]
