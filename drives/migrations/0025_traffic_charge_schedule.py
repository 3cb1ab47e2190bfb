"""The daily charge for what was downloaded, as a row operators can see and change."""

from django.db import migrations


def add_schedule(apps, schema_editor):
    crontab, _ = apps.get_model("django_celery_beat", "CrontabSchedule").objects.get_or_create(
        minute="40", hour="0", day_of_week="*", day_of_month="*", month_of_year="*", timezone="UTC"
    )
    apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
        name="Charge traffic of drives",
        defaults={"task": "drives.tasks.charge_traffic", "crontab": crontab},
    )


class Migration(migrations.Migration):
    dependencies = [
        ("drives", "0024_traffic"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [migrations.RunPython(add_schedule, migrations.RunPython.noop)]
