"""The app's scheduled work, as rows operators can see and change."""

from django.db import migrations

SCHEDULE = [("Reap lost render attempts and dispatch ready frames", "rendering.tasks.tend", 5)]


def add_schedule(apps, schema_editor):
    for name, task, seconds in SCHEDULE:
        interval, _ = apps.get_model("django_celery_beat", "IntervalSchedule").objects.get_or_create(
            every=seconds, period="seconds"
        )
        apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
            name=name, defaults={"task": task, "interval": interval, "expire_seconds": 30}
        )


class Migration(migrations.Migration):
    dependencies = [
        ("rendering", "0001_initial"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [migrations.RunPython(add_schedule, migrations.RunPython.noop)]
