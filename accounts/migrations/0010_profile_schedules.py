"""Deletions that are due and the purge of old notifications, as rows operators can see and change."""

from django.db import migrations

SCHEDULE = [
    ("Delete the accounts whose time of grace is over", "accounts.tasks.delete_accounts", 3600),
    ("Purge old notifications", "accounts.tasks.purge_notifications", 24 * 3600),
]


def add_schedule(apps, schema_editor):
    for name, task, seconds in SCHEDULE:
        interval, _ = apps.get_model("django_celery_beat", "IntervalSchedule").objects.get_or_create(
            every=seconds, period="seconds"
        )
        apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
            name=name, defaults={"task": task, "interval": interval}
        )


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0009_account_deletion"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [migrations.RunPython(add_schedule, migrations.RunPython.noop)]
