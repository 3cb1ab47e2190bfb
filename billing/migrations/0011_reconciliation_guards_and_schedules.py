"""A wallet that does not agree with its ledger can be parked; the nightly work, as rows operators see and change."""

from django.db import migrations

PARK = """
DROP TRIGGER billing_wallet_equals_ledger ON billing_wallet;
CREATE CONSTRAINT TRIGGER billing_wallet_equals_ledger
  AFTER INSERT OR UPDATE OF balance, held, gift, sequence ON billing_wallet
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_check_wallet();
"""

UNPARK = """
DROP TRIGGER billing_wallet_equals_ledger ON billing_wallet;
CREATE CONSTRAINT TRIGGER billing_wallet_equals_ledger AFTER INSERT OR UPDATE ON billing_wallet
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_check_wallet();
"""

SCHEDULE = [
    (
        "Reconcile the ledger, and tasks with bills",
        "billing.tasks.reconcile",
        "30",
        "3",
        '{"kinds": ["ledger", "jobs"]}',
    ),
    # The channels have the file of a day by ten o'clock of the next.
    (
        "Reconcile orders with the channels' files",
        "billing.tasks.reconcile",
        "0",
        "11",
        '{"kinds": ["orders"]}',
    ),
    ("Take back gifts whose time is over", "billing.tasks.expire_gifts", "5", "*", "{}"),
    ("Forget requests that were answered long ago", "billing.tasks.forget_requests", "40", "4", "{}"),
]
"""Name, task, minute and hour of Asia/Shanghai, arguments."""


def add_schedule(apps, schema_editor):
    for name, task, minute, hour, kwargs in SCHEDULE:
        crontab, _ = apps.get_model("django_celery_beat", "CrontabSchedule").objects.get_or_create(
            minute=minute,
            hour=hour,
            day_of_week="*",
            day_of_month="*",
            month_of_year="*",
            timezone="Asia/Shanghai",
        )
        apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
            name=name, defaults={"task": task, "crontab": crontab, "kwargs": kwargs}
        )


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0010_reconciliation"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [
        migrations.RunSQL(PARK, UNPARK),
        migrations.RunPython(add_schedule, migrations.RunPython.noop),
    ]
