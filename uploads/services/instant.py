"""Instant upload: what the caller can already read need not be sent."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.db.models.expressions import RawSQL

from accounts.models import User
from common.errors import DomainError, NotVisible
from drives.models import Blob, File
from drives.services.blobs import Kept
from uploads.models import TaskFile, UploadTask
from uploads.services.landing import Arrival, land
from uploads.services.tasks import lock_open_task, require_active


@dataclass(frozen=True)
class CheckedFile:
    """A file the client asks about, by its id in the task; size in bytes, md5 in hex."""

    task_file_id: UUID
    md5: str
    file_size: int


def check_files(*, task: UploadTask, actor: User, asked: Iterable[CheckedFile]) -> list[TaskFile]:
    """Link at once what the caller can already read; returns the files that need not be sent.

    A hash never opens a file: only verified blobs behind the caller's own living files count.
    Raises UploadClosed, UploadPaused; NotVisible for a file that is not of this task.
    """
    by_id = {item.task_file_id: item for item in asked}
    with transaction.atomic():
        task = lock_open_task(task.pk)
        require_active(task)
        rows = TaskFile.objects.under_way(actor, task.pk, by_id).values()
        if len(rows) != len(by_id):
            raise NotVisible
        wanted = [
            (row, (by_id[row.pk].md5.lower(), row.file_size)) for row in rows if asks(row, by_id[row.pk])
        ]
        known = readable_blobs(actor, {md5 for _row, (md5, _size) in wanted})
        found = [(row, known[content]) for row, content in wanted if content in known]
        if not found:
            return []
        arrived = [Arrival(row, Kept(blob, is_new=False), was_stored=True) for row, blob in found]
        outcomes = land(task=task, actor=actor, arrived=arrived, status=TaskFile.Status.SKIPPED)
        if refusal := next((item for item in outcomes.values() if isinstance(item, DomainError)), None):
            raise refusal
    return [row for row, _blob in found]


def asks(row: TaskFile, asked: CheckedFile) -> bool:
    """Whether the question agrees with the manifest and the file is still to be sent."""
    agrees = asked.file_size == row.file_size and row.md5 in ("", asked.md5.lower())
    return bool(asked.md5) and agrees and row.status == TaskFile.Status.PENDING


def readable_blobs(actor: User, digests: set[str]) -> dict[tuple[str, int], Blob]:
    """Verified blobs of the given MD5s behind living files that `actor` can read, by MD5 and size.

    Where one MD5 and size stand for two contents, neither counts.
    """
    pointing = File.objects.visible_to(actor).filter(blob=OuterRef("pk"))
    # As one value: to write thousands into a statement, and read them there, takes longer than to look for them.
    asked = RawSQL("SELECT unnest(%s::text[])", [list(digests)])
    blobs = Blob.objects.filter(Exists(pointing), md5__in=asked, verified_at__isnull=False)
    known: dict[tuple[str, int], Blob] = {}
    ambiguous = set()
    for blob in blobs.only("md5", "size", "storage_key"):
        content = (blob.md5, blob.size)
        if content in known:
            ambiguous.add(content)
        known[content] = blob
    return {content: blob for content, blob in known.items() if content not in ambiguous}
