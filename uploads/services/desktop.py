"""Uploads of clients that know no manifests: free-form ids, chunks of 5 MiB from 0 on, the name at the very end.

Each is an ordinary upload task of one file, found by the user and the client's id (`UploadTask.client_key`). Until the
last chunk has come the file counts with full chunks; whatever it is called, it ends in /scenes/ of the default drive.
"""

import hashlib
from contextlib import suppress
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from accounts.models import User
from common.errors import Conflict, DomainError, NotVisible, TransitionNotAllowed
from common.ids import as_uuid, new_id
from drives.errors import DigestMismatch, SizeMismatch
from drives.models import Drive, File
from drives.paths import clean_name, clean_path, join
from drives.services import drives
from drives.services.blobs import Digests
from drives.services.places import file_at
from uploads.errors import ChunksDisagree, PartNumberInvalid, PartsMissing
from uploads.models import TaskFile, UploadTask
from uploads.services.files import complete_multipart, receive_part, start_upload, upload_whole
from uploads.services.manifests import ManifestFile, require_type
from uploads.services.parts import Received, laid_out
from uploads.services.tasks import (
    cancel_task,
    create_task,
    delete_task,
    lock_open_task,
    reload,
    require_no_folders,
)

CHUNK_SIZE = 5 * 2**20
FOLDER = "/scenes"


def receive_chunk(
    *, user: User, client_key: str, index: int, total: int, content: bytes, md5: str = ""
) -> Received:
    """Take chunk `index` (from 0) of `total`; the first to come begins the upload. The same one again replaces it.

    Raises PartNumberInvalid, SizeMismatch, DigestMismatch, ChunksDisagree, QuotaExceeded, and what `receive_part`
    raises; a refused chunk changes nothing.
    """
    last = index == total - 1
    if index >= total:
        raise PartNumberInvalid(field="chunk_index", total_parts=total)
    fits = (
        len(content) <= CHUNK_SIZE and (len(content) > 0 or total == 1)
        if last
        else len(content) == CHUNK_SIZE
    )
    if not fits:
        raise SizeMismatch(expected=CHUNK_SIZE, actual=len(content), field="chunk_data")
    etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if md5 and md5.lower() != etag:
        raise DigestMismatch(expected=md5.lower(), actual=etag, field="chunk_hash")
    size = (total - 1) * CHUNK_SIZE + (len(content) if last else CHUNK_SIZE)
    task_file = open_upload(user, client_key) or begin_upload(user, client_key, size)
    if task_file.status == TaskFile.Status.FAILED:
        # It was given up at another door: begin anew, as other chunks may have done at this moment.
        with suppress(TransitionNotAllowed, NotVisible):
            cancel_task(task=task_file.task)
        task_file = begin_upload(user, client_key, size)
    require_total(task_file, total)
    if last:
        task_file = resize(task_file, size)
    if not task_file.upload_id:
        task_file = start_upload(task_file=task_file, part_size=CHUNK_SIZE)
    return receive_part(task_file=task_file, number=index + 1, source=laid_out([content]), md5=md5)


def require_total(task_file: TaskFile, total: int) -> None:
    """Raises ChunksDisagree."""
    chunks = max(-(-task_file.file_size // CHUNK_SIZE), 1)
    if chunks != total:
        raise ChunksDisagree(total_chunks=chunks)


def uploads_of(user: User, client_key: str) -> QuerySet[TaskFile]:
    """Files that came, or are coming, under an id of the client; the newest first."""
    rows = TaskFile.objects.select_related("task__user", "task__drive", "folder", "file__blob")
    return rows.filter(task__user=user, task__client_key=client_key).order_by("-created_at", "-pk")


def open_upload(user: User, client_key: str) -> TaskFile | None:
    """The file that is coming under this id now; there is at most one."""
    return uploads_of(user, client_key).filter(task__status__in=UploadTask.OPEN_STATUSES).first()


def begin_upload(user: User, client_key: str, size: int) -> TaskFile:
    """A task for an id that has none open; of racing first chunks all get the same. Raises QuotaExceeded."""
    # The name comes with the merge.
    nameless = ManifestFile("", FOLDER, f"upload-{new_id().hex}", size)
    try:
        with transaction.atomic():
            create_task(
                user=user, drive_id=None, task_name=client_key, files=[nameless], client_key=client_key
            )
    except IntegrityError:
        if open_upload(user, client_key) is None:
            raise
    task_file = open_upload(user, client_key)
    if task_file is None:  # cancelled at this moment
        raise NotVisible
    return task_file


def resize(task_file: TaskFile, size: int) -> TaskFile:
    """Set the size of a file that is still coming, and the reservation with it. Raises UploadClosed, QuotaExceeded."""
    with transaction.atomic():
        task = lock_open_task(task_file.task_id)
        task_file = reload(task_file)
        grown = size - task_file.file_size
        if grown > 0:
            drives.reserve(drive=task.drive, size=grown)
        else:
            drives.release(drive_id=task.drive_id, size=-grown)
        now = timezone.now()
        TaskFile.objects.filter(pk=task_file.pk).update(file_size=size, updated_at=now)
        UploadTask.objects.filter(pk=task.pk).update(total_size=F("total_size") + grown, updated_at=now)
    return reload(task_file)


def merge_chunks(*, user: User, client_key: str, file_name: str, total: int, size: int) -> TaskFile:
    """Give the upload its name and put it into the drive. Repeating it answers the same file.

    Raises NotVisible (nothing is coming under this id), BadName, FileTypeNotAllowed, ChunksDisagree; PartsMissing
    with numbers from 0; SizeMismatch, NameTaken, and what `complete_multipart` raises.
    """
    name = clean_name(file_name)
    require_type(name, field="file_name")
    task_file = open_upload(user, client_key)
    if task_file is None:
        return landed_before(user, client_key, name, size)
    try:
        return merge_open(task_file, user, name, total, size)
    except Conflict:
        # Another request may have merged them at this moment: its result is ours.
        task_file = reload(task_file)
        if task_file.status in TaskFile.LANDED_STATUSES and task_file.file_name == name:
            return task_file
        raise


def merge_open(task_file: TaskFile, actor: User, name: str, total: int, size: int) -> TaskFile:
    """Merge the chunks of an upload that was open a moment ago."""
    require_total(task_file, total)
    received = dict(task_file.parts.values_list("number", "size"))
    if missing := [number for number in range(total) if number + 1 not in received]:
        raise PartsMissing(missing=missing[:1000])
    # Two last chunks at once may have left the bytes of one and the size of the other.
    if not task_file.file_size == sum(received.values()) == size:
        raise SizeMismatch(expected=size, actual=sum(received.values()), field="file_size")
    require_no_folders(task_file.task.drive, [join(FOLDER, name)])
    TaskFile.objects.filter(pk=task_file.pk, status__in=TaskFile.OPEN_STATUSES).update(file_name=name)
    UploadTask.objects.filter(pk=task_file.task_id).update(task_name=name)
    try:
        return complete_multipart(task_file=reload(task_file), actor=actor)
    except PartsMissing as error:  # the disk has lost some
        raise PartsMissing(missing=[number - 1 for number in error.data["missing"]]) from error


def landed_before(user: User, client_key: str, name: str, size: int) -> TaskFile:
    """The newest file of this name and size that came under the id. Raises NotVisible."""
    landed = uploads_of(user, client_key).filter(status__in=TaskFile.LANDED_STATUSES)
    row = landed.filter(file_name=name, file_size=size, file__isnull=False).first()
    if row is None:
        raise NotVisible
    return row


def upload_scene(
    *, user: User, client_key: str, file_name: str, staging_id: str, digests: Digests
) -> TaskFile:
    """A whole file without a manifest, staged; it can be found again by the client's id and its name.

    Raises BadName, FileTypeNotAllowed, TooLargeAtOnce, QuotaExceeded, NameTaken, StorageFailed.
    """
    scene = ManifestFile("", FOLDER, file_name, digests.size)
    task = create_task(user=user, drive_id=None, task_name=client_key or file_name, files=[scene])
    try:
        row = upload_whole(
            task_file=reload(task.files.get()), actor=user, staging_id=staging_id, digests=digests
        )
    except DomainError:
        delete_task(task=task)
        raise
    UploadTask.objects.filter(pk=task.pk).update(client_key=client_key)
    return row


def scene_of(*, user: User, client_key: str, file_name: str) -> File:
    """The newest living file of this name that came under the client's id. Raises NotVisible."""
    came = uploads_of(user, client_key).filter(file_name=clean_name(file_name), file__isnull=False)
    rows = File.objects.visible_to(user).select_related("blob", "folder", "drive")
    file = rows.filter(pk__in=came.order_by().values("file")).order_by("-updated_at", "-pk").first()
    if file is None:
        raise NotVisible
    return file


def file_of_key(*, user: User, key: str, drive_id: UUID | None = None) -> File:
    """The living file that an object key names: its id, or its path in a drive (the default one).

    Raises NotVisible, BadName.
    """
    rows = File.objects.visible_to(user).select_related("blob", "folder", "drive")
    file_id = as_uuid(key)
    if file_id is not None:
        file = rows.filter(pk=file_id).first()
    else:
        own = Drive.objects.visible_to(user)
        drive = own.filter(pk=drive_id).first() if drive_id else drives.default_drive(user=user)
        file = file_at(drive, clean_path(key, field="object_key")) if drive else None
    if file is None:
        raise NotVisible
    return file
