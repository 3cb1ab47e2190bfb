import django.contrib.postgres.indexes
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations

import drives.models.tree


class Migration(migrations.Migration):
    atomic = False  # writing goes on meanwhile

    dependencies = [
        ("drives", "0015_grams_by_drive"),
    ]

    operations = [
        RemoveIndexConcurrently("file", "drives_file_grams"),
        AddIndexConcurrently(
            "file",
            django.contrib.postgres.indexes.GinIndex(
                drives.models.tree.NameGrams("drive", "name"), name="drives_file_grams"
            ),
        ),
        RemoveIndexConcurrently("folder", "drives_folder_grams"),
        AddIndexConcurrently(
            "folder",
            django.contrib.postgres.indexes.GinIndex(
                drives.models.tree.NameGrams("drive", "name"), name="drives_folder_grams"
            ),
        ),
        migrations.RunSQL(
            "DROP FUNCTION drives_name_grams(text)",
            migrations.RunSQL.noop,
        ),
    ]
