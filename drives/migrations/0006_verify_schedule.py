"""The verification of what clients put into the bucket, as a row operators can see and change."""

from django.db import migrations


def add_schedule(apps, schema_editor):
    interval, _ = apps.get_model("django_celery_beat", "IntervalSchedule").objects.get_or_create(
        every=900, period="seconds"
    )
    apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
        name="Verify content of direct uploads",
        defaults={"task": "drives.tasks.verify_rest", "interval": interval},
    )


class Migration(migrations.Migration):
    dependencies = [
        ("drives", "0005_blob_unreferenced"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [migrations.RunPython(add_schedule, migrations.RunPython.noop)]
