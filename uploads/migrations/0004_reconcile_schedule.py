"""The nightly reconciliation of quota, as a row operators can see and change."""

from django.db import migrations


def add_schedule(apps, schema_editor):
    crontab, _ = apps.get_model("django_celery_beat", "CrontabSchedule").objects.get_or_create(
        minute="10", hour="3", day_of_week="*", day_of_month="*", month_of_year="*", timezone="UTC"
    )
    apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
        name="Reconcile drive quota", defaults={"task": "uploads.tasks.reconcile", "crontab": crontab}
    )


class Migration(migrations.Migration):
    dependencies = [
        ("uploads", "0003_pause_client_keys_and_logs"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [migrations.RunPython(add_schedule, migrations.RunPython.noop)]
