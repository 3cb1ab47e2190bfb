"""The weekly comparison of database and storage, as a row operators can see and change."""

from django.db import migrations


def add_schedule(apps, schema_editor):
    interval, _ = apps.get_model("django_celery_beat", "IntervalSchedule").objects.get_or_create(
        every=7 * 24 * 3600, period="seconds"
    )
    apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
        name="Compare database and storage",
        defaults={"task": "drives.tasks.check_storage", "interval": interval},
    )


class Migration(migrations.Migration):
    dependencies = [
        ("drives", "0020_office"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [migrations.RunPython(add_schedule, migrations.RunPython.noop)]
