"""The purge of phone codes and dead sessions, as a row operators can see and change."""

from django.db import migrations


def add_schedule(apps, schema_editor):
    interval, _ = apps.get_model("django_celery_beat", "IntervalSchedule").objects.get_or_create(
        every=3600, period="seconds"
    )
    apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
        name="Purge phone codes and sessions that are over",
        defaults={"task": "accounts.tasks.purge_sign_ins", "interval": interval},
    )


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0007_wechat_purge_schedule"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [migrations.RunPython(add_schedule, migrations.RunPython.noop)]
