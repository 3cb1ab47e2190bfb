"""Earlier contents of files."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from accounts.models import User
from common.errors import NotVisible
from drives.models import Drive, File, FileVersion
from drives.permissions import Right, require
from drives.services.drives import require_room
from drives.services.operations import Action, record
from drives.services.places import lock_tree, require_living


def version_of(file: File) -> FileVersion:
    """A row, not saved yet, of what the file holds now."""
    return FileVersion(
        file=file,
        blob_id=file.blob_id,
        size=file.size,
        modified_at=file.modified_at,
        uploaded_by_id=file.uploaded_by_id,
    )


def keep_versions(versions: list[FileVersion]) -> None:
    """Save them; of each file the newest FILE_VERSIONS stay."""
    FileVersion.objects.bulk_create(versions, batch_size=2000)
    drop_surplus({version.file_id for version in versions})


def drop_surplus(file_ids: Collection[UUID]) -> None:
    """Delete what is beyond the newest FILE_VERSIONS of each file."""
    if not file_ids:
        return
    numbered = FileVersion.objects.filter(file__in=file_ids).annotate(
        number=Window(RowNumber(), partition_by=F("file"), order_by=[F("created_at").desc(), F("pk").desc()])
    )
    surplus = numbered.filter(number__gt=settings.FILE_VERSIONS).values("pk")
    FileVersion.objects.filter(pk__in=list(surplus.values_list("pk", flat=True))).delete()


def drop_old(*, now: datetime) -> int:
    """Delete versions older than FILE_VERSION_LIFETIME; how many."""
    old = FileVersion.objects.filter(created_at__lt=now - settings.FILE_VERSION_LIFETIME)
    return old.delete()[0]


def restore_version(*, file: File, version_id: UUID, actor: User) -> File:
    """Give the file the content of an earlier version; what it held becomes a version itself.

    Raises NotVisible (file, version), QuotaExceeded, DriveReadOnly.
    """
    require(actor, Right.WRITE, file.drive)
    with transaction.atomic():
        lock_tree(file.drive)
        file = require_living(File.objects.select_related("drive", "folder"), file)
        version = FileVersion.objects.filter(file=file, pk=version_id).select_related("blob").first()
        if version is None:
            raise NotVisible
        grown = version.size - file.size
        require_room(drive=file.drive, size=grown)
        keep = version_of(file)
        file.blob, file.size, file.modified_at = version.blob, version.size, version.modified_at
        file.uploaded_by_id, file.updated_at = version.uploaded_by_id, timezone.now()
        file.save(update_fields=["blob", "size", "modified_at", "uploaded_by", "updated_at"])
        version.delete()
        keep_versions([keep])
        Drive.objects.filter(pk=file.drive_id).update(used_size=F("used_size") + grown)
        record(Action.REVERT, file, actor=actor)
    return file
