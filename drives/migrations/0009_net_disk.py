"""Drives of teams and their members; trash, versions, favourites and the log of what was done."""

import django.contrib.postgres.indexes
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import common.ids
import drives.models.tree


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0011_rights_of_operators"),
        ("drives", "0008_name_grams"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="DriveMember",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=common.ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created at")),
                ("updated_at", models.DateTimeField(auto_now=True, verbose_name="updated at")),
                (
                    "role",
                    models.CharField(
                        choices=[("viewer", "Viewer"), ("editor", "Editor"), ("manager", "Manager")],
                        default="viewer",
                        max_length=10,
                        verbose_name="role",
                    ),
                ),
            ],
            options={
                "verbose_name": "drive member",
                "verbose_name_plural": "drive members",
            },
        ),
        migrations.CreateModel(
            name="Favourite",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=common.ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created at")),
                ("updated_at", models.DateTimeField(auto_now=True, verbose_name="updated at")),
            ],
            options={
                "verbose_name": "favourite",
                "verbose_name_plural": "favourites",
            },
        ),
        migrations.CreateModel(
            name="FileOperation",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=common.ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created at")),
                ("updated_at", models.DateTimeField(auto_now=True, verbose_name="updated at")),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("create", "Created"),
                            ("upload", "Uploaded"),
                            ("rename", "Renamed"),
                            ("move", "Moved"),
                            ("copy", "Copied"),
                            ("trash", "Put into the trash"),
                            ("restore", "Restored"),
                            ("purge", "Deleted for good"),
                            ("revert", "Brought back to an earlier version"),
                            ("download", "Downloaded"),
                        ],
                        max_length=10,
                        verbose_name="action",
                    ),
                ),
                ("target_id", models.UUIDField(verbose_name="ID")),
                ("is_folder", models.BooleanField(verbose_name="folder")),
                ("path", models.CharField(max_length=1400, verbose_name="path")),
                ("new_path", models.CharField(blank=True, max_length=1400, verbose_name="new path")),
                ("size", models.PositiveBigIntegerField(default=0, verbose_name="size")),
                ("device", models.CharField(blank=True, max_length=200, verbose_name="device")),
            ],
            options={
                "verbose_name": "file operation",
                "verbose_name_plural": "file operations",
            },
        ),
        migrations.CreateModel(
            name="FileVersion",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=common.ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created at")),
                ("updated_at", models.DateTimeField(auto_now=True, verbose_name="updated at")),
                ("size", models.PositiveBigIntegerField(verbose_name="size")),
                ("modified_at", models.DateTimeField(verbose_name="modified at")),
            ],
            options={
                "verbose_name": "file version",
                "verbose_name_plural": "file versions",
            },
        ),
        migrations.AddField(
            model_name="drive",
            name="letter",
            field=models.CharField(blank=True, max_length=1, verbose_name="drive letter"),
        ),
        migrations.AddField(
            model_name="drive",
            name="team",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="drives",
                to="accounts.team",
                verbose_name="team",
            ),
        ),
        migrations.AddField(
            model_name="file",
            name="modified_at",
            field=models.DateTimeField(default=django.utils.timezone.now, verbose_name="modified at"),
        ),
        migrations.RunSQL("UPDATE drives_file SET modified_at = updated_at", migrations.RunSQL.noop),
        migrations.AlterField(
            model_name="drive",
            name="user",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="drives",
                to=settings.AUTH_USER_MODEL,
                verbose_name="owner",
            ),
        ),
        migrations.AddIndex(
            model_name="drive",
            index=models.Index(fields=["team", "created_at"], name="drives_drive_team"),
        ),
        migrations.AddIndex(
            model_name="file",
            index=models.Index(
                condition=models.Q(("trashed_at__isnull", True)),
                fields=["drive", "name"],
                name="drives_file_by_name",
            ),
        ),
        migrations.AddIndex(
            model_name="file",
            index=models.Index(
                condition=models.Q(("trashed_at__isnull", False)),
                fields=["trashed_at"],
                name="drives_file_in_trash",
            ),
        ),
        migrations.AddIndex(
            model_name="file",
            index=django.contrib.postgres.indexes.GinIndex(
                drives.models.tree.NameGrams("name"), name="drives_file_grams"
            ),
        ),
        migrations.AddIndex(
            model_name="folder",
            index=models.Index(
                condition=models.Q(("trashed_at__isnull", False)),
                fields=["trashed_at"],
                name="drives_folder_in_trash",
            ),
        ),
        migrations.AddIndex(
            model_name="folder",
            index=django.contrib.postgres.indexes.GinIndex(
                drives.models.tree.NameGrams("name"), name="drives_folder_grams"
            ),
        ),
        migrations.AddConstraint(
            model_name="drive",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("team__isnull", True), ("user__isnull", False)),
                    models.Q(("team__isnull", False), ("user__isnull", True)),
                    _connector="OR",
                ),
                name="drives_drive_one_owner",
            ),
        ),
        migrations.AddConstraint(
            model_name="drive",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_active", True), models.Q(("letter", ""), _negated=True)),
                fields=("user", "letter"),
                name="drives_drive_letter",
            ),
        ),
        migrations.AddField(
            model_name="drivemember",
            name="drive",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="members",
                to="drives.drive",
                verbose_name="drive",
            ),
        ),
        migrations.AddField(
            model_name="drivemember",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="drive_memberships",
                to=settings.AUTH_USER_MODEL,
                verbose_name="user",
            ),
        ),
        migrations.AddField(
            model_name="favourite",
            name="file",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="drives.file",
                verbose_name="file",
            ),
        ),
        migrations.AddField(
            model_name="favourite",
            name="folder",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="drives.folder",
                verbose_name="folder",
            ),
        ),
        migrations.AddField(
            model_name="favourite",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="user",
            ),
        ),
        migrations.AddField(
            model_name="fileoperation",
            name="actor",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="actor",
            ),
        ),
        migrations.AddField(
            model_name="fileoperation",
            name="drive",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="operations",
                to="drives.drive",
                verbose_name="drive",
            ),
        ),
        migrations.AddField(
            model_name="fileversion",
            name="blob",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="drives.blob",
                verbose_name="blob",
            ),
        ),
        migrations.AddField(
            model_name="fileversion",
            name="file",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="versions",
                to="drives.file",
                verbose_name="file",
            ),
        ),
        migrations.AddField(
            model_name="fileversion",
            name="uploaded_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="uploaded by",
            ),
        ),
        migrations.AddConstraint(
            model_name="drivemember",
            constraint=models.UniqueConstraint(fields=("drive", "user"), name="drives_drivemember_once"),
        ),
        migrations.AddConstraint(
            model_name="favourite",
            constraint=models.UniqueConstraint(
                fields=("user", "file", "folder"), name="drives_favourite_once", nulls_distinct=False
            ),
        ),
        migrations.AddConstraint(
            model_name="favourite",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("file__isnull", False), ("folder__isnull", True)),
                    models.Q(("file__isnull", True), ("folder__isnull", False)),
                    _connector="OR",
                ),
                name="drives_favourite_of_one",
            ),
        ),
        migrations.AddIndex(
            model_name="fileoperation",
            index=models.Index(fields=["drive", "-created_at"], name="drives_operation_drive"),
        ),
        migrations.AddIndex(
            model_name="fileoperation",
            index=models.Index(fields=["target_id", "-created_at"], name="drives_operation_target"),
        ),
        migrations.AddIndex(
            model_name="fileoperation",
            index=models.Index(fields=["actor", "-created_at"], name="drives_operation_actor"),
        ),
        migrations.AddIndex(
            model_name="fileversion",
            index=models.Index(fields=["file", "-created_at"], name="drives_version_file"),
        ),
        migrations.AddIndex(
            model_name="fileversion",
            index=models.Index(fields=["created_at"], name="drives_version_age"),
        ),
    ]
