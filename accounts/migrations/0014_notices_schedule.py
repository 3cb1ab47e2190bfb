"""The sending of notices whose message was lost, as a row operators can see and change."""

from django.db import migrations


def add_schedule(apps, schema_editor):
    interval, _ = apps.get_model("django_celery_beat", "IntervalSchedule").objects.get_or_create(
        every=60, period="seconds"
    )
    apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
        name="Send the notices of operators",
        defaults={"task": "accounts.tasks.send_notices", "interval": interval},
    )


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0013_office"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [migrations.RunPython(add_schedule, migrations.RunPython.noop)]
