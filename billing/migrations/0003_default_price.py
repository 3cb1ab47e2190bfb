"""Rendering costs something from the start: 0.50 CNY a frame, for every engine."""

from datetime import UTC, datetime
from decimal import Decimal

from django.db import migrations


def add_default_price(apps, schema_editor):
    apps.get_model("billing", "PriceRule").objects.create(
        engine="",
        unit="frame",
        price=Decimal("0.50"),
        currency="CNY",
        valid_from=datetime(2026, 1, 1, tzinfo=UTC),
    )


class Migration(migrations.Migration):
    dependencies = [("billing", "0002_ledger_guards")]

    operations = [migrations.RunPython(add_default_price, migrations.RunPython.noop)]
