"""What a request with bytes asks is a statement again: connections keep plans of those now (common.postgresql)."""

from importlib import import_module

from django.db import migrations

BEFORE = import_module("uploads.migrations.0008_parts_in_one_call").UNDER_WAY


class Migration(migrations.Migration):
    dependencies = [
        ("uploads", "0013_files_by_their_ids"),
    ]

    operations = [migrations.RunSQL("DROP FUNCTION uploads_under_way(uuid, uuid, uuid[])", BEFORE)]
