"""A job's hold is unique by an index with a condition.

PostgreSQL counts the columns of any other unique index as part of a row's key: an UPDATE of them waits for whoever has
locked the key, as claims do. Whoever held money anew waited for the claims of the job with the wallet locked.
"""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0032_guards_see_one_moment"),
        ("rendering", "0021_claims_see_what_is_committed"),
    ]

    operations = [
        migrations.AlterField(
            "renderjob",
            "hold",
            models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="billing.hold",
                verbose_name="hold",
            ),
        ),
        migrations.AddConstraint(
            "renderjob",
            models.UniqueConstraint(
                fields=["hold"], condition=Q(hold__isnull=False), name="rendering_job_hold"
            ),
        ),
    ]
