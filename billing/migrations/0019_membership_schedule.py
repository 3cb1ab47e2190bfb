"""Memberships are renewed by a row that operators can see and change."""

from django.db import migrations

SCHEDULE = [("Renew memberships", "billing.tasks.renew_memberships", 10)]


def add_schedule(apps, schema_editor):
    for name, task, minutes in SCHEDULE:
        interval, _ = apps.get_model("django_celery_beat", "IntervalSchedule").objects.get_or_create(
            every=minutes, period="minutes"
        )
        apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
            name=name, defaults={"task": task, "interval": interval}
        )


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0018_refunds_never_beyond_the_bill"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [migrations.RunPython(add_schedule, migrations.RunPython.noop)]
