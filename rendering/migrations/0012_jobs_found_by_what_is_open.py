"""What the schedule looks for every few seconds is found without reading every job there ever was."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("rendering", "0011_shares_remember_use")]

    operations = [
        AddIndexConcurrently(
            "renderjob",
            models.Index(fields=["engine"], condition=Q(status__in=[2, 3]), name="rendering_job_claimable"),
        ),
        AddIndexConcurrently(
            "renderjob",
            models.Index(
                fields=["completed_at"],
                condition=Q(contact_sheet__isnull=True, done_frames__gt=0, status__in=[5, 6, 7]),
                name="rendering_job_undrawn",
            ),
        ),
    ]
