"""Storage beyond a plan costs half a fen for a GB and day from now on."""

from decimal import Decimal

from django.db import migrations
from django.utils import timezone


def add_price(apps, schema_editor):
    apps.get_model("billing", "PriceRule").objects.create(
        engine="",
        unit="storage_gb_day",
        price=Decimal("0.005"),
        currency="CNY",
        valid_from=timezone.now(),
        version=1,
    )


class Migration(migrations.Migration):
    dependencies = [("billing", "0019_membership_schedule")]

    operations = [migrations.RunPython(add_price, migrations.RunPython.noop)]
