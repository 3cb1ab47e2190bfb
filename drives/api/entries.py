"""Pages of folders and files together, folders first."""

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from common.errors import Invalid, NotVisible
from common.ids import as_uuid
from common.paging import whole_number
from common.views import VisibleViewSet
from drives import errors, selectors
from drives.api import serializers as shapes
from drives.links import link_to
from drives.models import Drive, File, FileQuerySet, Folder, FolderQuerySet
from drives.paths import clean_path
from drives.selectors import Hits
from drives.services import drives
from drives.services.moving import Destination, Entry
from drives.services.places import OnClash

PLACING = (errors.BadName, errors.NameTaken, errors.DriveReadOnly)
MOVING = (*PLACING, errors.IntoItself, errors.QuotaExceeded)
PATH = OpenApiParameter("path", OpenApiTypes.STR, description="Folder, `/` by default.")
SORT = OpenApiParameter(
    "sort",
    OpenApiTypes.STR,
    description=f"One of {', '.join(selectors.SORTS)}; `-` in front turns it round. `name` by default.",
)
# Pages of folders and files together are not those of one model, so they are described here.
PAGE = [
    OpenApiParameter("skip", {"type": "integer", "minimum": 0}),
    OpenApiParameter(
        "limit", {"type": "integer", "minimum": 1, "maximum": 1000}, description="1000 by default."
    ),
]


def sort_of(request: Request) -> str:
    """The order that the query asks for. Raises Invalid."""
    sort = request.query_params.get("sort") or "name"
    if sort.removeprefix("-") not in selectors.SORTS:
        raise Invalid(field="sort")
    return sort


class EntryPages(VisibleViewSet):
    """What the views of folders and files share."""

    @property
    def actor(self) -> User:
        return cast(User, self.request.user)

    def drive_of(self, text: str | UUID | None) -> Drive:
        """The drive with this id, if the user may read it; without an id the default drive. Raises NotVisible."""
        if text in (None, ""):
            return drives.default_drive(user=self.actor)
        drive_id = as_uuid(text)
        drive = Drive.objects.visible_to(self.actor).filter(pk=drive_id).first() if drive_id else None
        if drive is None:
            raise NotVisible
        return drive

    def destination(self, data: dict[str, Any], default: Entry | None = None) -> Destination:
        """Where the body says it shall go; in the drive of `default` where it names none."""
        drive = default.drive if default and not data.get("drive_id") else self.drive_of(data.get("drive_id"))
        path = clean_path(data["folder_path"], field="folder_path")
        return Destination(drive, path, OnClash(data["on_clash"]))

    def entry_context(self) -> dict[str, Any]:
        def link(file: File) -> str:
            return link_to(file.blob_id, file.name, request=self.request, inline=True, drive_id=file.drive_id)

        return {"link": link}

    def folder_page(self, drive: Drive, path: str) -> Response:
        """What lies directly in the folder at a clean path, with the way to it. Raises NotVisible, Invalid."""
        trail = selectors.breadcrumbs(drive, path) if path != "/" else []
        folder = trail[-1] if trail else None
        if path != (folder.path if folder else "/"):
            raise NotVisible
        folders, files = selectors.listing(drive, folder, self.actor, sort_of(self.request))
        return self.entry_page(folders, files, trail)

    def entry_page(
        self, folders: FolderQuerySet | Hits, files: FileQuerySet | Hits, trail: Sequence[Folder] = ()
    ) -> Response:
        entries, page = page_of(self.request, folders, files)
        shown = shapes.EntrySerializer(entries, many=True, context=self.entry_context()).data
        crumbs = shapes.CrumbSerializer(trail, many=True).data
        truncated = any(isinstance(rows, Hits) and rows.is_cut for rows in (folders, files))
        return Response({"files": shown, "breadcrumbs": crumbs, **page, "truncated": truncated})


def page_of(
    request: Request, folders: FolderQuerySet | Hits, files: FileQuerySet | Hits
) -> tuple[list[Folder | File], dict[str, int]]:
    """The entries of the page that is asked for, folders first, and what it says of itself."""
    skip = whole_number(request, "skip", 0)
    limit = min(max(whole_number(request, "limit", 1000), 1), 1000)
    folder_count, file_count = folders.count(), files.count()
    entries: list[Folder | File] = list(folders.part(skip, min(folder_count - skip, limit)))
    entries += files.part(max(skip - folder_count, 0), limit - len(entries))
    return entries, {"total": folder_count + file_count, "skip": skip, "limit": limit}
