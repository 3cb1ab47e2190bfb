"""Prices by the hour and by what is stored, multipliers for priorities, and a version for each rule."""

from decimal import Decimal

import django.core.validators
from django.db import migrations, models

import billing.models.prices


def number_rules(apps, schema_editor):
    """Versions by age; and the rule that rendering began with gets its multipliers: 0.8, 1.5, 2."""
    rules, versions = apps.get_model("billing", "PriceRule").objects, {}
    for rule in rules.order_by("created_at", "pk"):
        key = (rule.engine, rule.unit, rule.currency)
        versions[key] = versions.get(key, 0) + 1
        rules.filter(pk=rule.pk).update(version=versions[key])
    rules.filter(engine="", unit="frame", price=Decimal("0.50"), version=1).update(
        low_multiplier=Decimal("0.8"), high_multiplier=Decimal("1.5"), urgent_multiplier=Decimal(2)
    )


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0014_order_schedule"),
    ]

    operations = [
        migrations.AddField(
            model_name="pricerule",
            name="high_multiplier",
            field=billing.models.prices.MultiplierField(
                decimal_places=3,
                default=Decimal("1"),
                max_digits=6,
                validators=[
                    django.core.validators.MinValueValidator(Decimal("0.1")),
                    django.core.validators.MaxValueValidator(Decimal("100")),
                ],
                verbose_name="multiplier at high priority",
            ),
        ),
        migrations.AddField(
            model_name="pricerule",
            name="low_multiplier",
            field=billing.models.prices.MultiplierField(
                decimal_places=3,
                default=Decimal("1"),
                max_digits=6,
                validators=[
                    django.core.validators.MinValueValidator(Decimal("0.1")),
                    django.core.validators.MaxValueValidator(Decimal("100")),
                ],
                verbose_name="multiplier at low priority",
            ),
        ),
        migrations.AddField(
            model_name="pricerule",
            name="urgent_multiplier",
            field=billing.models.prices.MultiplierField(
                decimal_places=3,
                default=Decimal("1"),
                max_digits=6,
                validators=[
                    django.core.validators.MinValueValidator(Decimal("0.1")),
                    django.core.validators.MaxValueValidator(Decimal("100")),
                ],
                verbose_name="multiplier at urgent priority",
            ),
        ),
        migrations.AddField(
            model_name="pricerule",
            name="version",
            field=models.PositiveIntegerField(default=0, editable=False, verbose_name="version"),
        ),
        migrations.AlterField(
            model_name="pricerule",
            name="unit",
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
                verbose_name="unit",
            ),
        ),
        migrations.RunPython(number_rules, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="pricerule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("high_multiplier__gt", 0), ("low_multiplier__gt", 0), ("urgent_multiplier__gt", 0)
                ),
                name="billing_pricerule_multipliers_positive",
            ),
        ),
        migrations.AddConstraint(
            model_name="pricerule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("engine", ""),
                    models.Q(("unit__in", ["storage_gb_day", "traffic_gb"]), _negated=True),
                    _connector="OR",
                ),
                name="billing_pricerule_engine_renders",
            ),
        ),
        migrations.AddConstraint(
            model_name="pricerule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("valid_to__isnull", True), ("valid_to__gt", models.F("valid_from")), _connector="OR"
                ),
                name="billing_pricerule_lasts",
            ),
        ),
        migrations.AddConstraint(
            model_name="pricerule",
            constraint=models.UniqueConstraint(
                fields=("engine", "unit", "currency", "version"), name="billing_pricerule_version"
            ),
        ),
    ]
