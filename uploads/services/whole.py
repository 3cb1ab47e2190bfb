"""Small files that come as the body of one request: from memory into the storage, and into the drive.

What a file asks of the database is two statements: what is to be known of it and of its content, and its landing. All
the others go by the staging area (uploads.services.files.upload_whole).
"""

from datetime import datetime
from uuid import UUID

from django.db import connection
from django.utils import timezone

from accounts.models import User
from common.compiled import planned_cursor
from common.errors import NotVisible
from common.postgresql.arrays import array_of
from drives.models import Blob
from drives.services.blobs import BLOB, MARK_KNOWN, Digests, Kept, digests_in_memory, new_blob
from drives.storage import blob_storage
from uploads.models import UNDER_WAY, TaskFile
from uploads.services.files import (
    check_content,
    counting_our_failures,
    finish,
    require_receiving,
    require_size_at_once,
)

IN_MEMORY = 1 << 20
"""Bytes up to which a file is small."""
WITH_CONTENT = """
    WITH known AS ({known}) SELECT way.*, known.* FROM ({way}) way LEFT JOIN known ON true
"""
WITH_CONTENT = WITH_CONTENT.format(known=MARK_KNOWN, way=UNDER_WAY)


def upload_from_memory(
    *,
    user: User,
    task_id: UUID,
    task_file_id: UUID,
    content: memoryview,
    started_at: datetime,
) -> TaskFile:
    """A file that came in one request. Answers the earlier result when it has landed already.

    Raises NotVisible, UploadClosed, UploadPaused, TooLargeAtOnce, SizeMismatch, DigestMismatch, NameTaken,
    StorageFailed.
    """
    digests = digests_in_memory(content)
    row, blob = find(user, task_id, task_file_id, digests)
    if row.status in TaskFile.LANDED_STATUSES:
        return row
    require_receiving(row)
    require_size_at_once(row)
    check_content(row, digests)
    if blob is None:
        with counting_our_failures(row):
            kept = Kept(new_blob(blob_storage().store(content), digests), is_new=True)
    else:
        kept = Kept(blob, is_new=False)
    return finish(row, kept, user, was_stored=not kept.is_new, started_at=started_at)


def find(user: User, task_id: UUID, task_file_id: UUID, digests: Digests) -> tuple[TaskFile, Blob | None]:
    """The file, as far as taking bytes needs it, and the blob of its content where there is one, marked as in use.

    Raises NotVisible.
    """
    content = [array_of([value]) for value in (digests.sha256, digests.size, digests.md5)]
    with planned_cursor() as cursor:
        cursor.execute(WITH_CONTENT, [timezone.now(), *content, user.pk, task_id, array_of([task_file_id])])
        found = cursor.fetchone()
    if found is None:
        raise NotVisible
    way, known = found[: -len(BLOB)], found[-len(BLOB) :]
    row = TaskFile.objects.from_under_way(user, task_id, [way])[task_file_id]
    return row, Blob.from_db(connection.alias, BLOB, known) if known[0] else None
