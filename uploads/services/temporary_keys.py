"""A file that its client puts into the bucket with temporary keys, as one object below the prefix of its task.

Who has such keys can overwrite what lies there until they end. So a file is copied, inside the bucket, to a key of
ours that they do not reach, and only the copy becomes a blob (docs/adr/0011-sent-objects-are-copied-out.md).
"""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from django.conf import settings

from accounts.models import User
from common.errors import Invalid, NotVisible
from common.ids import as_uuid
from drives.errors import SizeMismatch
from drives.storage import StorageError, blob_storage, new_key
from drives.storage.buckets import SENT
from uploads.errors import (
    NotSupported,
    ObjectMissing,
    SentDirectly,
    SentInOrder,
    SentInParts,
    UploadClosed,
)
from uploads.models import TaskFile, UploadTask
from uploads.services.direct import asking_the_bucket, land_object
from uploads.services.files import counting_our_failures, note_upload, require_receiving
from uploads.services.tasks import reload, require_active

if TYPE_CHECKING:  # the SDKs are large: who keeps no content in OSS does without them
    from drives.storage.oss import OSSStorage
    from drives.storage.sts import TemporaryKeys

CALLBACK_PATH = "/api/v1/oss-callback/upload-complete"


def oss() -> OSSStorage:
    """The storage, if it gives temporary keys. Raises NotSupported."""
    storage = blob_storage()
    if not getattr(storage, "sts_role_arn", ""):
        raise NotSupported
    return cast("OSSStorage", storage)


def prefix_of(task: UploadTask) -> str:
    return f"{SENT}{task.pk}/"


def place_of(task_file: TaskFile) -> str:
    """The key under which the client stores the file."""
    return f"{SENT}{task_file.task_id}/{task_file.pk}"


def give_keys(*, task: UploadTask) -> TemporaryKeys:
    """Keys for an hour that reach what lies below the task's prefix, to put it there, and nothing else.

    Raises NotSupported, UploadClosed, UploadPaused, StorageFailed.
    """
    storage = oss()
    from drives.storage.sts import temporary_keys

    require_active(task)
    with asking_the_bucket():
        return temporary_keys(storage, prefix=prefix_of(task), session=f"yuntu-{task.pk.hex}")


def callback_parameter() -> str:
    """What a client sends along as `x-oss-callback`, so that OSS tells us; empty where it could not reach us."""
    if not settings.PUBLIC_URL:
        return ""
    parameter = {
        "callbackUrl": settings.PUBLIC_URL.rstrip("/") + CALLBACK_PATH,
        "callbackBody": "oss_key=${object}&size=${size}",
        "callbackBodyType": "application/x-www-form-urlencoded",
    }
    return base64.b64encode(json.dumps(parameter).encode()).decode()


def complete_sent(
    *, task_file: TaskFile, actor: User, object_name: str = "", file_size: int | None = None
) -> TaskFile:
    """Take a file that lies in the bucket into the drive; once, whoever comes first.

    The bucket says how large it is. `object_name` and `file_size`, where the client tells them, must be those of the
    file. Raises NotSupported, UploadClosed, UploadPaused, SentInParts, SentInOrder, SentDirectly; ObjectMissing,
    Invalid and SizeMismatch, after which the object can be sent again; StorageFailed, after which it can be completed
    again; NameTaken, after which the file is failed and can be retried.
    """
    storage = oss()
    place = place_of(task_file)
    if object_name and object_name != storage.name_of(place):
        raise Invalid(field="oss_key")
    if file_size is not None and file_size != task_file.file_size:
        raise SizeMismatch(expected=task_file.file_size, actual=file_size, field="file_size")
    if task_file.status in TaskFile.LANDED_STATUSES:
        return task_file
    require_receiving(task_file)
    with counting_our_failures(task_file):
        try:
            require_size(task_file, storage.size(place))
            task_file = claimed(task_file, place)
            if task_file.status not in TaskFile.LANDED_STATUSES:
                storage.copy_once(place, task_file.storage_key)
        except (FileNotFoundError, UploadClosed) as error:
            # Another request may have taken it, and ended the task with it, at this moment: its result is ours.
            task_file = reload(task_file)
            if task_file.status not in TaskFile.LANDED_STATUSES:
                raise error if isinstance(error, UploadClosed) else ObjectMissing from error
    if task_file.status in TaskFile.LANDED_STATUSES:
        return task_file
    row = land_object(task_file=task_file, actor=actor)
    with suppress(StorageError):  # then it is swept later
        storage.delete(place)
    return row


def require_size(task_file: TaskFile, size: int) -> None:
    """Raises SizeMismatch."""
    if size != task_file.file_size:
        raise SizeMismatch(expected=task_file.file_size, actual=size, field="file_size")


def claimed(task_file: TaskFile, place: str) -> TaskFile:
    """The file with the key its copy goes to, the same for all who complete it at once.

    Raises UploadClosed; SentInParts, SentInOrder, SentDirectly where it is on another way in.
    """
    if not task_file.upload_id:
        note_upload(task_file, upload_id=place, part_size=max(task_file.file_size, 1), storage_key=new_key())
        task_file = reload(task_file)
        if task_file.status in TaskFile.LANDED_STATUSES:
            return task_file
        require_receiving(task_file)
    if task_file.upload_id != place:
        if task_file.storage_key:
            raise SentDirectly
        raise SentInParts if task_file.part_size else SentInOrder
    return task_file


def complete_told(*, object_name: str) -> TaskFile:
    """The same for an object that OSS tells of, as if its owner had asked. Raises NotVisible, and what that raises."""
    storage = oss()
    file_id = as_uuid(object_name.rpartition("/")[2])
    rows = TaskFile.objects.select_related("task__user", "task__drive", "folder", "file__blob")
    task_file = rows.filter(pk=file_id).first() if file_id else None
    if task_file is None or storage.name_of(place_of(task_file)) != object_name:
        raise NotVisible
    return complete_sent(task_file=task_file, actor=task_file.task.user)
