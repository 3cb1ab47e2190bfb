"""A plan for each member level, with what the levels gave before; and what one beyond the free one costs."""

from decimal import Decimal

from django.conf import settings
from django.db import migrations

PLANS = [
    # level, yuan a month, discount, storage as a multiple of the default, frames at once, weight, highest priority
    (0, "0", "0", 1, 4, 1, 2),
    (1, "29", "0.05", 2, 8, 2, 2),
    (2, "99", "0.10", 10, 16, 4, 3),
    (3, "499", "0.20", 50, 64, 8, 3),
]


def add_plans(apps, schema_editor):
    for level, price, discount, storage, frames, weight, priority in PLANS:
        apps.get_model("billing", "MembershipPlan").objects.create(
            level=level,
            price=Decimal(price),
            discount=Decimal(discount),
            storage_size=storage * settings.DEFAULT_DRIVE_SIZE,
            concurrent_frames=frames,
            weight=weight,
            max_priority=priority,
        )


class Migration(migrations.Migration):
    dependencies = [("billing", "0016_membership_refunds_and_limits_of_members")]

    operations = [migrations.RunPython(add_plans, migrations.RunPython.noop)]
