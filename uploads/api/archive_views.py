"""GET of a signed link to the archive of a task: a ZIP that is generated while it is read."""

from collections.abc import Sequence
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase, JsonResponse

from common.errors import DomainError, NotVisible
from drives.api.archive_views import serve_zip
from drives.api.downloads import LinkView
from drives.errors import NotVerifiedYet
from drives.models import File
from drives.zips import Member, Zip, member_names
from uploads.links import read_archive_link
from uploads.models import TaskFile, UploadTask
from uploads.selectors import downloadable, path_of


class ArchiveLinkView(LinkView):
    """Of a link to the archive of a task."""

    def get(self, request: HttpRequest, token: str, name: str) -> HttpResponseBase:
        try:
            task_id, etag = read_archive_link(token, name)
            task, archive = archive_of(task_id)
        except DomainError as error:
            return JsonResponse(error.body(), status=error.status)
        return serve_zip(request, archive, name, etag=etag, drive_id=task.drive_id)


def archive_of(task_id: UUID) -> tuple[UploadTask, Zip]:
    """A task, and those of its files that still exist. Raises NotVisible, NotVerifiedYet."""
    task = UploadTask.objects.filter(pk=task_id).first()
    found = downloadable(task) if task else []
    if task is None or not found:
        raise NotVisible
    return task, zip_of_files(found)


def zip_of_files(found: Sequence[tuple[TaskFile, File]]) -> Zip:
    """The files at their paths in the drive. Raises NotVerifiedYet."""
    names = member_names([path_of(row) for row, _file in found])
    return Zip([member(name, file) for name, (_row, file) in zip(names, found, strict=True)])


def member(name: str, file: File) -> Member:
    if file.blob.crc32 is None:  # content that went straight to the storage and was not read by us yet
        raise NotVerifiedYet
    return Member(name, file.size, file.blob.crc32, file.modified_at, file.blob.storage_key)
