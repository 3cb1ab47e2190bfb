"""What uploads answers to questions from below."""

from typing import Any

from django.dispatch import receiver

from common.ids import as_uuid
from drives.models import Blob
from drives.signals import content_read, uploads_in_use
from drives.storage.buckets import SENT
from uploads.models import TaskFile, UploadPart, UploadTask
from uploads.services.taking_back import take_back_others


@receiver(uploads_in_use)
def needed_by_open_files(sender: Any, ids: set[str], **kwargs: Any) -> set[str]:
    """What files under way have sent: a paused upload may rest for weeks. A file that ends lets go of it.

    Staged bytes and multipart uploads by their id, objects that the client put into the bucket by their key.
    """
    sent = {key: as_uuid(key.rpartition("/")[2]) for key in ids if key.startswith(SENT)}
    coming = TaskFile.objects.filter(
        pk__in=[pk for pk in sent.values() if pk],
        status__in=TaskFile.OPEN_STATUSES,
        task__status__in=UploadTask.OPEN_STATUSES,
    )
    open_files = set(coming.values_list("pk", flat=True)) if sent else set()
    by_id = TaskFile.objects.filter(upload_id__in=ids).exclude(upload_id="")
    by_key = TaskFile.objects.filter(storage_key__in=ids).exclude(storage_key="")
    # One that came while its file landed by another door may have been left behind.
    apart = UploadPart.objects.filter(staging_id__in=ids).exclude(task_file__upload_id="")
    return {
        *(key for key, pk in sent.items() if pk in open_files),
        *by_id.values_list("upload_id", flat=True),
        *by_key.values_list("storage_key", flat=True),
        *apart.values_list("staging_id", flat=True),
    }


@receiver(content_read)
def hold_to_what_was_declared(sender: Any, blob: Blob, md5: str, **kwargs: Any) -> None:
    """Content that went straight into the bucket is held to its declared MD5 as soon as somebody knows it."""
    take_back_others(blob=blob, md5=md5)
