"""Claims step from owner to owner instead of sorting all jobs; counting attempts touches no index."""

from django.db import migrations, models
from django.db.models import F, Q


class Migration(migrations.Migration):
    dependencies = [("rendering", "0005_limits_kept")]

    operations = [
        migrations.AddIndex(
            "renderjob",
            models.Index(
                F("engine"),
                F("priority") * -1,
                F("share"),
                F("submitted_at"),
                F("id"),
                condition=Q(has_ready_frames=True, status__in=[2, 3]),
                name="rendering_job_turn",
            ),
        ),
        migrations.RemoveIndex("renderjob", "rendering_job_claimable"),
        migrations.RemoveIndex("concurrencylimit", "rendering_limit_reached"),
    ]
