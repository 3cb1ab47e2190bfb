"""Open orders and refunds are followed by rows that operators can see and change."""

from django.db import migrations

SCHEDULE = [
    (
        "Ask payment channels about open orders, and close those not paid in time",
        "billing.tasks.follow_orders",
        15,
    ),
    ("Ask payment channels about refunds under way", "billing.tasks.follow_refunds", 60),
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
        ("billing", "0013_order_guards"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [migrations.RunPython(add_schedule, migrations.RunPython.noop)]
