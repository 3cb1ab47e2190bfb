"""How many frames go into an attempt the farm chooses, where the artist does not; tasks of before keep what they had."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("rendering", "0014_expire_holds")]

    operations = [
        migrations.AddField(
            "renderstep",
            "chunk_size",
            models.PositiveSmallIntegerField(
                "frames that fit into an attempt", default=1, db_default=1, editable=False
            ),
        ),
        migrations.AlterField(
            "renderjob",
            "chunk_size",
            models.PositiveSmallIntegerField(
                "frames per attempt",
                null=True,
                blank=True,
                help_text="Where it says nothing, the farm chooses by the time that frames take.",
            ),
        ),
        migrations.AddConstraint(
            "renderstep",
            models.CheckConstraint(
                condition=models.Q(("chunk_size__gte", 1)), name="rendering_step_chunk_not_empty"
            ),
        ),
    ]
