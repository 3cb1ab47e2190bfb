"""Since when nothing points to a blob: its grace counts from then on, not from when its bytes came."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("drives", "0004_sample_schedule"),
    ]

    operations = [
        migrations.AddField(
            model_name="blob",
            name="unreferenced_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="unreferenced since"),
        ),
        migrations.AddIndex(
            model_name="blob",
            index=models.Index(
                condition=models.Q(("unreferenced_at__isnull", False)),
                fields=["unreferenced_at"],
                name="drives_blob_unreferenced",
            ),
        ),
    ]
