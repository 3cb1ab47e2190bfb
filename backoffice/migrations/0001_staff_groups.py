"""Groups of operators. Their rights follow from accounts.permissions after each `migrate`."""

from django.db import migrations

GROUPS = ["support", "finance", "farm", "auditor", "superuser"]


def add_groups(apps, schema_editor):
    for name in GROUPS:
        apps.get_model("auth", "Group").objects.get_or_create(name=name)


class Migration(migrations.Migration):
    dependencies = [("auth", "0012_alter_user_first_name_max_length")]

    operations = [migrations.RunPython(add_groups, migrations.RunPython.noop)]
