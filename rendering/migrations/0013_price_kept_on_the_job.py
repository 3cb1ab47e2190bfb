"""The whole price on the job: rule, version, unit, multiplier, discount; when it is charged next. A frame was the unit."""

from django.conf import settings
from django.db import migrations, models

import billing.models.base

KEPT = """
UPDATE rendering_renderjob job SET base_price = job.unit_price, price_version = rule.version
  FROM billing_pricerule rule WHERE rule.id = job.price_rule_id
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0012_app_passwords"),
        ("billing", "0018_refunds_never_beyond_the_bill"),
        ("drives", "0018_put_files"),
        ("rendering", "0012_jobs_found_by_what_is_open"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="frame",
            name="is_failure_charged",
            field=models.BooleanField(db_default=False, default=False, verbose_name="failure charged"),
        ),
        migrations.AddField(
            model_name="renderjob",
            name="base_price",
            field=billing.models.base.MoneyField(
                blank=True, decimal_places=6, max_digits=18, null=True, verbose_name="price of the rule"
            ),
        ),
        migrations.AddField(
            model_name="renderjob",
            name="capture_due_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="charged next"),
        ),
        migrations.AddField(
            model_name="renderjob",
            name="charged_hours",
            field=models.DecimalField(
                decimal_places=6, default=0, max_digits=18, verbose_name="hours charged"
            ),
        ),
        migrations.AddField(
            model_name="renderjob",
            name="price_discount",
            field=models.DecimalField(
                decimal_places=3, default=0, max_digits=4, verbose_name="discount of the membership"
            ),
        ),
        migrations.AddField(
            model_name="renderjob",
            name="price_multiplier",
            field=models.DecimalField(
                decimal_places=3, default=1, max_digits=6, verbose_name="multiplier of the priority"
            ),
        ),
        migrations.AddField(
            model_name="renderjob",
            name="price_unit",
            field=models.CharField(
                choices=[
                    ("frame", "frame"),
                    ("core_hour", "core-hour"),
                    ("node_hour", "node-hour"),
                    ("storage_gb_day", "GB-day of storage"),
                    ("traffic_gb", "GB of traffic"),
                ],
                default="frame",
                max_length=20,
                verbose_name="unit that is paid",
            ),
        ),
        migrations.AddField(
            model_name="renderjob",
            name="price_version",
            field=models.PositiveIntegerField(
                blank=True, null=True, verbose_name="version of the price rule"
            ),
        ),
        migrations.AlterField(
            model_name="renderjob",
            name="unit_price",
            field=billing.models.base.MoneyField(
                blank=True, decimal_places=6, max_digits=18, null=True, verbose_name="price of a unit"
            ),
        ),
        migrations.AddIndex(
            model_name="renderjob",
            index=models.Index(
                condition=models.Q(("capture_due_at__isnull", False)),
                fields=["capture_due_at"],
                name="rendering_job_capture_due",
            ),
        ),
        migrations.AddIndex(
            model_name="renderjob",
            index=models.Index(
                condition=models.Q(("price_unit__in", ["core_hour", "node_hour"]), ("status__in", [2, 3])),
                fields=["id"],
                name="rendering_job_metered",
            ),
        ),
        migrations.AddIndex(
            model_name="renderjob",
            index=models.Index(
                condition=models.Q(("pause_reason", "balance")), fields=["hold"], name="rendering_job_unpaid"
            ),
        ),
        migrations.RunSQL(KEPT, migrations.RunSQL.noop),
    ]
