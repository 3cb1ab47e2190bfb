"""Uploads: a task of many files, each sent whole or in parts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from common.compiled import planned_cursor
from common.ids import new_id
from common.models import Row, StateRow
from common.postgresql.arrays import array_of
from drives.models import Blob, Drive, File, Folder
from drives.paths import join


class UploadTaskQuerySet(models.QuerySet["UploadTask"]):
    def visible_to(self, user: User) -> UploadTaskQuerySet:
        return self.filter(user=user)


class UploadTask(StateRow):
    """A manifest of files on their way into a drive.

    pending ──first bytes──▶ uploading ──last file──▶ completed
       └───────────┴──▶ cancelled | failed (expired, or nothing is left but files whose retries are spent)
    completed ──▶ failed, where content that went straight into the bucket turns out not to be what was declared

    The drive holds a reservation for every file that has not landed while the task is open. A paused task is open,
    too, but takes no bytes; `client_key` is the id that a client without manifests gave to its upload.
    """

    class Status(models.TextChoices):
        PENDING = "pending", _("Pending")
        UPLOADING = "uploading", _("Uploading")
        COMPLETED = "completed", _("Completed")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    OPEN_STATUSES = (Status.PENDING, Status.UPLOADING)
    TRANSITIONS = {
        Status.PENDING: {Status.UPLOADING, Status.COMPLETED, Status.FAILED, Status.CANCELLED},
        Status.UPLOADING: {Status.COMPLETED, Status.FAILED, Status.CANCELLED},
        Status.COMPLETED: {Status.FAILED},
    }

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="upload_tasks", verbose_name=_("user")
    )
    drive = models.ForeignKey(Drive, models.CASCADE, related_name="upload_tasks", verbose_name=_("drive"))
    task_name = models.CharField(_("name"), max_length=255)
    task_description = models.CharField(_("description"), max_length=500, blank=True)
    status = models.CharField(_("status"), max_length=20, choices=Status.choices, default=Status.PENDING)
    priority = models.PositiveSmallIntegerField(_("priority"), default=5, validators=[MaxValueValidator(10)])
    total_files = models.PositiveIntegerField(_("files"), default=0)
    total_size = models.PositiveBigIntegerField(_("size"), default=0)
    uploaded_files = models.PositiveIntegerField(_("files landed"), default=0)
    failed_files = models.PositiveIntegerField(_("files given up"), default=0)
    uploaded_size = models.PositiveBigIntegerField(_("bytes landed"), default=0)
    client_info = models.JSONField(_("client"), default=dict, blank=True)
    error_message = models.CharField(_("error"), max_length=500, blank=True)
    expires_at = models.DateTimeField(_("expires at"))
    completed_at = models.DateTimeField(_("completed at"), null=True, blank=True)
    paused_at = models.DateTimeField(_("paused at"), null=True, blank=True)
    client_key = models.CharField(_("id at the client"), max_length=100, blank=True)

    objects = UploadTaskQuerySet.as_manager()

    class Meta:
        verbose_name = _("upload task")
        verbose_name_plural = _("upload tasks")
        indexes = [
            models.Index(fields=["user", "-created_at"], name="uploads_task_user"),
            models.Index(
                fields=["expires_at"],
                condition=Q(status__in=["pending", "uploading"]),
                name="uploads_task_open",
            ),
            models.Index(
                fields=["user", "client_key"], condition=~Q(client_key=""), name="uploads_task_client"
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    uploaded_files__lte=F("total_files") - F("failed_files"),
                    uploaded_size__lte=F("total_size"),
                ),
                name="uploads_task_counts_bounded",
            ),
            models.UniqueConstraint(
                fields=["user", "client_key"],
                condition=~Q(client_key="") & Q(status__in=["pending", "uploading"]),
                name="uploads_task_client_key",
            ),
        ]

    def __str__(self) -> str:
        return self.task_name


class TaskFileQuerySet(models.QuerySet["TaskFile"]):
    def visible_to(self, user: User) -> TaskFileQuerySet:
        return self.filter(task__in=UploadTask.objects.visible_to(user))

    def under_way(self, user: User, task_id: UUID, ids: Collection[UUID]) -> dict[UUID, TaskFile]:
        """Files of a task of the user's by their ids, with task and drive, as far as taking bytes needs them.

        Every request with bytes begins with this: to build, plan and read joins of whole rows took longer than all
        that follows. Whoever asks a row for more than this has that read.
        """
        with planned_cursor() as cursor:
            cursor.execute(UNDER_WAY, [array_of(ids), task_id, user.pk, None, None])
            found = cursor.fetchall()
        return self.from_under_way(user, task_id, found)

    def from_under_way(
        self, user: User, task_id: UUID, found: Sequence[Sequence[Any]]
    ) -> dict[UUID, TaskFile]:
        """What UNDER_WAY has found of a task of the user's, by the ids of its files."""
        if not found:
            return {}
        # All of them are of one task.
        status, paused_at, *drive, _is_known = found[0][len(FILE) :]
        task = UploadTask.from_db(self.db, TASK, [task_id, user.pk, drive[0], status, paused_at])
        task.user, task.drive = user, Drive.from_db(self.db, DRIVE, drive)
        rows = {}
        for values in found:
            row = TaskFile.from_db(self.db, FILE, values[: len(FILE)])
            row.task = task
            rows[row.pk] = row
        return rows


class TaskFile(Row):
    """A file of a task.

    pending → uploading → completed; pending → skipped (already there); pending | uploading → failed → pending (retry)

    Where the fault was ours it is pending again by itself. Either way a file is tried again three times at most.
    `was_stored` tells of content that was there already, whether its bytes were sent or (`is_duplicated`) not.

    `upload_id` is that of the open upload: of its staged bytes or, where the client puts parts into the bucket
    itself, of the bucket's multipart upload of `storage_key`.
    """

    class Status(models.TextChoices):
        PENDING = "pending", _("Pending")
        UPLOADING = "uploading", _("Uploading")
        COMPLETED = "completed", _("Completed")
        FAILED = "failed", _("Failed")
        SKIPPED = "skipped", _("Already there")

    OPEN_STATUSES = (Status.PENDING, Status.UPLOADING)
    LANDED_STATUSES = (Status.COMPLETED, Status.SKIPPED)
    MAX_RETRIES = 3

    task = models.ForeignKey(
        UploadTask,
        models.CASCADE,
        related_name="files",
        db_index=False,  # uploads_taskfile_position begins with it
        verbose_name=_("upload task"),
    )
    position = models.PositiveIntegerField(_("number"))
    local_path = models.CharField(_("path at the client"), max_length=1024, blank=True)
    folder = models.ForeignKey(
        Folder, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("folder")
    )
    target_folder_path = models.CharField(_("target folder"), max_length=1024)
    file_name = models.CharField(_("name"), max_length=255)
    file_size = models.PositiveBigIntegerField(_("size"))
    md5 = models.CharField("MD5", max_length=32, blank=True)
    mime_type = models.CharField(_("type"), max_length=100, blank=True)
    status = models.CharField(_("status"), max_length=20, choices=Status.choices, default=Status.PENDING)
    file = models.ForeignKey(
        File, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("file")
    )
    is_duplicated = models.BooleanField(_("bytes not sent"), default=False)
    was_stored = models.BooleanField(_("bytes not stored"), default=False)
    upload_id = models.CharField(_("multipart upload"), max_length=255, blank=True)
    storage_key = models.CharField(_("key in the bucket"), max_length=255, blank=True)
    part_size = models.PositiveBigIntegerField(_("part size"), default=0)
    sha256 = models.CharField(_("SHA-256 of all parts"), max_length=64, blank=True)
    error_message = models.CharField(_("error"), max_length=500, blank=True)
    retry_count = models.PositiveSmallIntegerField(_("retries"), default=0)
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    completed_at = models.DateTimeField(_("completed at"), null=True, blank=True)

    objects = TaskFileQuerySet.as_manager()

    class Meta:
        verbose_name = _("upload file")
        verbose_name_plural = _("upload files")
        constraints = [
            models.UniqueConstraint(fields=["task", "position"], name="uploads_taskfile_position"),
            models.UniqueConstraint(
                fields=["task", "target_folder_path", "file_name"], name="uploads_taskfile_place"
            ),
        ]
        indexes = [
            models.Index(fields=["task", "status"], name="uploads_taskfile_status"),
            models.Index(fields=["upload_id"], condition=~Q(upload_id=""), name="uploads_taskfile_upload"),
            models.Index(fields=["storage_key"], condition=~Q(storage_key=""), name="uploads_taskfile_key"),
        ]

    def __str__(self) -> str:
        return self.virtual_path

    @property
    def virtual_path(self) -> str:
        return join(self.target_folder_path, self.file_name)

    @property
    def total_parts(self) -> int:
        return max(-(-self.file_size // self.part_size), 1) if self.part_size else 0

    def size_of_part(self, number: int) -> int:
        """Bytes of part `number` (from 1); only the last one is shorter."""
        return min(self.part_size, self.file_size - (number - 1) * self.part_size)


FILE = [
    "id", "task_id", "folder_id", "target_folder_path", "file_name", "file_size", "md5", "mime_type", "status",
    "file_id", "upload_id", "storage_key", "part_size", "sha256", "retry_count", "started_at",
]  # fmt: skip
TASK = ["id", "user_id", "drive_id", "status", "paused_at"]
DRIVE = ["id", "user_id", "team_id", "is_active"]
# The function is in uploads/migrations/0015_under_way_by_index.py.
UNDER_WAY = f"""
    SELECT {", ".join(f"(file).{name}" for name in FILE)}, (task).status, (task).paused_at,
        {", ".join(f"(drive).{name}" for name in DRIVE)}, is_known
    FROM uploads_under_way(%s::uuid[], %s, %s, %s, %s)
"""  # noqa: S608


class UploadPartQuerySet(models.QuerySet["UploadPart"]):
    def note(self, task_file: TaskFile, *, number: int, size: int, etag: str, staging_id: str) -> int | None:
        """Write down a part of the upload that is open now; how many parts there are then.

        None where it is not the upload that `task_file` knows.
        """
        part: list[Any] = [timezone.now(), new_id(), number, size, etag, staging_id]
        with planned_cursor() as cursor:
            cursor.execute(NOTE_PART, [task_file.pk, task_file.upload_id, *part])
            [(count,)] = cursor.fetchall()
        return count


# The function is in uploads/migrations/0008_parts_in_one_call.py.
NOTE_PART = "SELECT uploads_note_part(%s, %s, %s, %s, %s, %s, %s, %s)"


class UploadPart(Row):
    """A part that is written at its place in the staged file, or is staged apart until the file is put together."""

    task_file = models.ForeignKey(
        TaskFile, models.CASCADE, related_name="parts", verbose_name=_("upload file")
    )
    number = models.PositiveIntegerField(_("number"))
    size = models.PositiveBigIntegerField(_("size"))
    etag = models.CharField("ETag", max_length=64)
    staging_id = models.CharField(_("staged apart"), max_length=32, blank=True, default="")

    objects = UploadPartQuerySet.as_manager()

    class Meta:
        verbose_name = _("upload part")
        verbose_name_plural = _("upload parts")
        constraints = [models.UniqueConstraint(fields=["task_file", "number"], name="uploads_part_number")]
        indexes = [
            # Asked by the sweep of staged bytes, and by whoever drops the parts of a file.
            models.Index(fields=["staging_id"], condition=~Q(staging_id=""), name="uploads_part_apart")
        ]

    def __str__(self) -> str:
        return f"{self.number}"


class ClientLogQuerySet(models.QuerySet["ClientLog"]):
    def visible_to(self, user: User) -> ClientLogQuerySet:
        return self.filter(user=user)


class ClientLog(Row):
    """A log that a client sent for support: content outside of the drives, by day (UTC) and name."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="client_logs", verbose_name=_("user")
    )
    log_date = models.DateField(_("day"))
    file_name = models.CharField(_("name"), max_length=255)
    blob = models.ForeignKey(Blob, models.PROTECT, related_name="+", verbose_name=_("blob"))
    size = models.PositiveBigIntegerField(_("size"))

    objects = ClientLogQuerySet.as_manager()

    class Meta:
        verbose_name = _("client log")
        verbose_name_plural = _("client logs")
        constraints = [
            models.UniqueConstraint(fields=["user", "log_date", "file_name"], name="uploads_clientlog_name")
        ]
        indexes = [models.Index(fields=["user", "-created_at"], name="uploads_clientlog_user")]

    def __str__(self) -> str:
        return f"{self.log_date} {self.file_name}"
