"""The nightly check of the ledger and of tasks looks at invoices, too."""

import json

from django.db import migrations, models

BEFORE, AFTER = ["ledger", "jobs"], ["ledger", "jobs", "invoices"]


def widen_schedule(apps, schema_editor):
    """Where operators left it as it was."""
    rows = apps.get_model("django_celery_beat", "PeriodicTask").objects.filter(task="billing.tasks.reconcile")
    for row in rows:
        if json.loads(row.kwargs) == {"kinds": BEFORE}:
            row.kwargs = json.dumps({"kinds": AFTER})
            row.save(update_fields=["kwargs"])


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0030_vouchers_for_teams"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [
        migrations.AlterField(
            model_name="rechargeorder",
            name="closed_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="order closed at"),
        ),
        migrations.AlterField(
            model_name="reconciliationrun",
            name="kind",
            field=models.CharField(
                choices=[
                    ("ledger", "Ledger"),
                    ("orders", "Orders and the channel's file"),
                    ("jobs", "Render tasks and bills"),
                    ("invoices", "Invoices and payments"),
                ],
                max_length=10,
                verbose_name="kind",
            ),
        ),
        migrations.RunPython(widen_schedule, migrations.RunPython.noop),
    ]
