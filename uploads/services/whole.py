"""Small files that come as the body of one request: from memory into the storage, and into the drive.

What a file with new content asks of the database is two statements: what is to be known of it, and its landing. All
the others go by the staging area (uploads.services.files.upload_whole).
"""

from datetime import datetime
from uuid import UUID

from accounts.models import User
from common.compiled import planned_cursor
from common.errors import NotVisible
from common.postgresql.arrays import array_of
from drives.services.blobs import Digests, Kept, digests_in_memory, mark_known, new_blob
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
    row, is_known = find(user, task_id, task_file_id, digests)
    if row.status in TaskFile.LANDED_STATUSES:
        return row
    require_receiving(row)
    require_size_at_once(row)
    check_content(row, digests)
    blob = mark_known([digests]).get(digests.sha256) if is_known else None
    if blob is None:
        with counting_our_failures(row):
            kept = Kept(new_blob(blob_storage().store(content), digests), is_new=True)
    else:
        kept = Kept(blob, is_new=False)
    return finish(row, kept, user, was_stored=not kept.is_new, started_at=started_at)


def find(user: User, task_id: UUID, task_file_id: UUID, digests: Digests) -> tuple[TaskFile, bool]:
    """The file, as far as taking bytes needs it, and whether its content is in the storage already.

    Raises NotVisible.
    """
    with planned_cursor() as cursor:
        cursor.execute(UNDER_WAY, [array_of([task_file_id]), task_id, user.pk, digests.sha256, digests.size])
        found = cursor.fetchone()
    if found is None:
        raise NotVisible
    return TaskFile.objects.from_under_way(user, task_id, [found])[task_file_id], found[-1]
