"""A sample of usage keeps what the plan had on its day: by that the day is charged, however late."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("drives", "0021_storage_check_schedule"),
    ]

    operations = [
        migrations.AddField(
            model_name="driveusagesample",
            name="plan_size",
            field=models.PositiveBigIntegerField(
                blank=True, null=True, verbose_name="storage of the owner's plan"
            ),
        ),
    ]
