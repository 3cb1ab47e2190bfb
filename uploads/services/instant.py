"""Instant upload: content that the caller can already read need not be sent."""

from collections.abc import Iterable
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Exists, OuterRef

from accounts.models import User
from common.errors import NotVisible
from common.postgresql.arrays import unnested
from drives.models import Blob, File
from drives.paths import join
from drives.services.tree import type_of
from uploads.models import TaskFile, UploadTask
from uploads.services.landing import Landing, link
from uploads.services.tasks import require_active

Content = tuple[str, int]
"""MD5 and size."""
ROW = ("pk", "target_folder_path", "file_name", "file_size", "md5", "mime_type", "status")


class CheckedFile(NamedTuple):
    """A file that the client asks about, by its id in the task; size in bytes, md5 in hex."""

    task_file_id: UUID
    md5: str
    file_size: int


class LinkedFile(NamedTuple):
    """A file that need not be sent: it is in the drive now. `virtual_path` is where it was announced."""

    task_file_id: UUID
    file_id: UUID
    virtual_path: str
    md5: str
    file_size: int


def check_files(
    *, task: UploadTask, actor: User, asked: Iterable[CheckedFile] | None = None
) -> tuple[list[LinkedFile], int]:
    """Link at once what the caller can already read; the files that need not be sent, and how many others there are.

    `asked` left out is every file that is still to be sent, by the MD5 that the manifest declares.
    A hash never opens a file: only verified blobs behind the caller's own living files count. What cannot land, a
    folder having its place, is still to be sent, and is refused then, alone.
    Raises UploadClosed, UploadPaused, DriveReadOnly; NotVisible for a file that is not of this task.
    """
    require_active(task)
    found = declared_files(task) if asked is None else files_asked_about(task, asked)
    wanted = [(row, content) for row, content in found if content]
    known = readable_blobs(actor, {md5 for _row, (md5, _size) in wanted})
    file_ids = link(
        task=task,
        actor=actor,
        files=[
            Landing(row.pk, known[content], type_of(row.file_name, row.mime_type), was_stored=True)
            for row, content in wanted
            if content in known
        ],
    )
    linked = [
        LinkedFile(row.pk, file_ids[row.pk], join(row.target_folder_path, row.file_name), *content)
        for row, content in wanted
        if row.pk in file_ids
    ]
    return linked, len(found) - len(linked)


def declared_files(task: UploadTask) -> list[tuple[Any, Content | None]]:
    """Files that are still to be sent, each with its content where that was declared."""
    rows = task.files.filter(status=TaskFile.Status.PENDING).values_list(*ROW, named=True)
    return [(row, (row.md5, row.file_size) if row.md5 else None) for row in rows]


def files_asked_about(task: UploadTask, asked: Iterable[CheckedFile]) -> list[tuple[Any, Content | None]]:
    """The files, each with the content it is asked for by.

    None where the question does not agree with the manifest, or the file is not to be sent any more. Raises NotVisible.
    """
    by_id = {item.task_file_id: item for item in asked}
    rows = task.files.filter(pk__in=unnested(by_id, "uuid")).values_list(*ROW, named=True)
    if len(rows) != len(by_id):
        raise NotVisible
    return [(row, content_asked_for(row, by_id[row.pk])) for row in rows]


def content_asked_for(row: Any, asked: CheckedFile) -> Content | None:
    md5 = asked.md5.lower()
    agrees = asked.file_size == row.file_size and row.md5 in ("", md5)
    return (md5, row.file_size) if md5 and agrees and row.status == TaskFile.Status.PENDING else None


def readable_blobs(actor: User, digests: Iterable[str]) -> dict[Content, UUID]:
    """Verified blobs of the given MD5s behind living files that `actor` can read.

    Where one MD5 and size stand for two contents, neither counts.
    """
    pointing = File.objects.visible_to(actor).filter(blob=OuterRef("pk"))
    blobs = Blob.objects.filter(
        Exists(pointing), md5__in=unnested(digests, "text"), verified_at__isnull=False
    )
    known: dict[Content, UUID] = {}
    ambiguous = set()
    for md5, size, pk in blobs.values_list("md5", "size", "pk"):
        if (md5, size) in known:
            ambiguous.add((md5, size))
        known[md5, size] = pk
    return {content: pk for content, pk in known.items() if content not in ambiguous}
