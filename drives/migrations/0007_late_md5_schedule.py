"""The late MD5 of content that came without one, as a row operators can see and change."""

from django.db import migrations


def add_schedule(apps, schema_editor):
    interval, _ = apps.get_model("django_celery_beat", "IntervalSchedule").objects.get_or_create(
        every=900, period="seconds"
    )
    apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
        name="Add late MD5 to content",
        defaults={"task": "drives.tasks.add_md5", "interval": interval},
    )


class Migration(migrations.Migration):
    dependencies = [
        ("drives", "0006_verify_schedule"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [migrations.RunPython(add_schedule, migrations.RunPython.noop)]
