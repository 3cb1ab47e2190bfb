"""Money set aside for tasks that are paused for long is released each night."""

from django.db import migrations


def add_schedule(apps, schema_editor):
    crontab, _ = apps.get_model("django_celery_beat", "CrontabSchedule").objects.get_or_create(
        minute="50",
        hour="3",
        day_of_week="*",
        day_of_month="*",
        month_of_year="*",
        timezone="Asia/Shanghai",
    )
    apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
        name="Release money set aside for tasks paused for long",
        defaults={"task": "rendering.tasks.expire_holds", "crontab": crontab},
    )


class Migration(migrations.Migration):
    dependencies = [
        ("rendering", "0013_price_kept_on_the_job"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [migrations.RunPython(add_schedule, migrations.RunPython.noop)]
