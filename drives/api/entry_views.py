"""Doors of files and folders: /files, the file manager's calls."""

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from common.errors import Invalid, NotVisible
from common.paging import whole_number
from common.serializers import DoneSerializer
from common.views import done
from drives import errors, selectors
from drives.api import serializers as shapes
from drives.api.entries import MOVING, PAGE, PLACING, SORT, EntryPages
from drives.links import MAX_SECONDS, MIN_SECONDS, link_to, link_to_zip
from drives.models import File, Folder
from drives.paths import clean_path
from drives.services import archives, bulk, favourites, moving, operations, places, trash, tree, versions
from drives.services.moving import Entry
from drives.services.places import OnClash
from drives.zips import zip_name

EXPIRES_IN = OpenApiParameter("expires_in", OpenApiTypes.INT, description="Seconds, 60 to 86400.")
WRITING = (errors.DriveReadOnly,)
ZIPPING = (errors.NotVerifiedYet, errors.TooManyItems)


@extend_schema(tags=["files"])
class EntryViewSet(EntryPages):
    """Files and folders by id."""

    model = File
    serializer_class = shapes.EntrySerializer
    results_key = "files"
    open_to_guests = ("create", "update", "destroy", "archive_selection")
    refusals = {
        "list": (errors.BadName,),
        "create": PLACING,
        "update": PLACING,
        "destroy": WRITING,
        "move": MOVING,
        "copy": (*MOVING, errors.TooManyItems),
        "restore": (*PLACING, errors.PlaceGone, errors.QuotaExceeded),
        "purge": WRITING,
        "restore_version": (*WRITING, errors.QuotaExceeded),
        "bulk": (errors.BadName,),
        "archive": ZIPPING,
        "archive_selection": ZIPPING,
    }

    def narrow(self, rows: QuerySet) -> QuerySet:
        return rows.select_related("drive", "folder", "blob")

    def entry(self, *, in_trash: bool = False) -> Entry:
        """The file or folder of the path's id. Raises NotVisible."""
        found = bulk.visible_entries([self.kwargs["pk"]], self.actor).get(self.kwargs["pk"])
        if found is None or (not in_trash and not places.is_living(found)):
            raise NotVisible
        return found

    def shown(self, entry: Entry, code: int = status.HTTP_200_OK, **more: Any) -> Response:
        data = shapes.EntrySerializer(entry, context=self.entry_context()).data
        return Response({**data, **more}, status=code)

    @extend_schema(
        parameters=[
            OpenApiParameter("drive_id", OpenApiTypes.UUID),
            OpenApiParameter("folder_path", OpenApiTypes.STR, description="`/` by default."),
            OpenApiParameter(
                "keyword",
                OpenApiTypes.STR,
                description="Search the whole drive by name, at most 100 characters.",
            ),
            SORT,
            *PAGE,
        ],
        responses=shapes.EntryPageSerializer,
        filters=False,
    )
    def list(self, request: Request) -> Response:
        """Folders and files of a folder, or with `keyword` all of the drive whose names contain it.

        A search finds at most 2,000 of each; where there are more, of whichever come first, and says `truncated`.
        """
        drive = self.drive_of(request.query_params.get("drive_id"))
        keyword = request.query_params.get("keyword", "").strip()
        if keyword:
            if len(keyword) > 100 or "\0" in keyword:
                raise Invalid(field="keyword")
            return self.entry_page(*selectors.search(drive, keyword, self.actor))
        path = clean_path(request.query_params.get("folder_path", "/"), field="folder_path")
        return self.folder_page(drive, path)

    @extend_schema(request=shapes.NewEntrySerializer, responses={201: shapes.EntrySerializer})
    def create(self, request: Request) -> Response:
        """Create a folder. Files come by uploads."""
        data = self.valid(shapes.NewEntrySerializer, request)
        if not data["is_folder"]:
            raise Invalid(field="is_folder")
        folder = tree.create_folder(
            drive=self.drive_of(data["drive_id"]),
            actor=self.actor,
            parent_path=data["folder_path"],
            name=data["file_name"],
        )
        return self.shown(folder, status.HTTP_201_CREATED)

    @extend_schema(responses=shapes.EntryDetailSerializer)
    def retrieve(self, request: Request, pk: UUID) -> Response:
        """One file or folder, with the folders on the way to it."""
        entry = self.entry()
        path = entry.path if isinstance(entry, Folder) else entry.folder_path
        trail = selectors.breadcrumbs(entry.drive, path)
        return self.shown(entry, breadcrumbs=shapes.CrumbSerializer(trail, many=True).data)

    @extend_schema(request=shapes.RenameSerializer, responses=shapes.EntrySerializer)
    def update(self, request: Request, pk: UUID) -> Response:
        """Rename a file or folder."""
        name = self.valid(shapes.RenameSerializer, request)["file_name"]
        return self.shown(moving.rename(entry=self.entry(), actor=self.actor, name=name))

    @extend_schema(responses={200: DoneSerializer})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Put a file or folder into the trash."""
        trash.trash(entry=self.entry(), actor=self.actor)
        return done()

    @extend_schema(request=shapes.DestinationSerializer, responses=shapes.EntrySerializer)
    @action(detail=True, methods=["post"])
    def move(self, request: Request, pk: UUID) -> Response:
        """Move a file or folder into another folder, of the same drive or another."""
        entry = self.entry()
        to = self.destination(self.valid(shapes.DestinationSerializer, request), entry)
        return self.shown(moving.move(entry=entry, actor=self.actor, to=to))

    @extend_schema(request=shapes.DestinationSerializer, responses={201: shapes.EntrySerializer})
    @action(detail=True, methods=["post"])
    def copy(self, request: Request, pk: UUID) -> Response:
        """Copy a file or folder into a folder; no bytes are copied."""
        entry = self.entry()
        to = self.destination(self.valid(shapes.DestinationSerializer, request), entry)
        return self.shown(moving.copy(entry=entry, actor=self.actor, to=to), status.HTTP_201_CREATED)

    @extend_schema(request=shapes.RestoreSerializer, responses=shapes.EntrySerializer)
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, pk: UUID) -> Response:
        """Take a file or folder out of the trash, back to where it lay or into `folder_path`."""
        data = self.valid(shapes.RestoreSerializer, request)
        return self.shown(self.restored(self.entry(in_trash=True), data))

    def restored(self, entry: Entry, data: dict[str, Any]) -> Entry:
        path = data.get("folder_path")
        folder_path = None if path is None else clean_path(path, field="folder_path")
        on_clash = OnClash(data["on_clash"])
        return trash.restore(entry=entry, actor=self.actor, folder_path=folder_path, on_clash=on_clash)

    @extend_schema(request=None, responses=DoneSerializer)
    @action(detail=True, methods=["post"])
    def purge(self, request: Request, pk: UUID) -> Response:
        """Delete for good what lies in the trash."""
        trash.purge(entry=self.entry(in_trash=True), actor=self.actor)
        return done()

    @extend_schema(request=shapes.BulkSerializer, responses=shapes.BulkResultSerializer)
    @action(detail=False, methods=["post"])
    def bulk(self, request: Request) -> Response:
        """The same for up to 500 files and folders; each has its own result."""
        data = self.valid(shapes.BulkSerializer, request)
        act = {
            "move": lambda entry: moving.move(
                entry=entry, actor=self.actor, to=self.destination(data, entry)
            ),
            "copy": lambda entry: moving.copy(
                entry=entry, actor=self.actor, to=self.destination(data, entry)
            ),
            "trash": lambda entry: trash.trash(entry=entry, actor=self.actor),
            "restore": lambda entry: self.restored(entry, data),
            "purge": lambda entry: trash.purge(entry=entry, actor=self.actor),
        }[data["action"]]
        if data["action"] in ("move", "copy") and data.get("folder_path") is None:
            raise Invalid(field="folder_path")
        results = bulk.for_each(ids=data["ids"], actor=self.actor, act=act)
        shown = shapes.ItemResultSerializer(results, many=True, context=self.entry_context()).data
        return Response({"results": shown, "failed": sum(result.error is not None for result in results)})

    @extend_schema(responses=shapes.FolderSizeSerializer)
    @action(detail=True)
    def size(self, request: Request, pk: UUID) -> Response:
        """Bytes, files and folders in a folder, at any depth."""
        entry = self.entry()
        size = places.size_below(entry) if isinstance(entry, Folder) else places.FolderSize(entry.size, 1, 0)
        return Response(shapes.FolderSizeSerializer(size).data)

    @extend_schema(request=None, responses=DoneSerializer)
    @action(detail=True, methods=["put"])
    def favourite(self, request: Request, pk: UUID) -> Response:
        """Mark a file or folder."""
        favourites.mark(entry=self.entry(), user=self.actor)
        return done()

    @extend_schema(responses={200: DoneSerializer})
    @favourite.mapping.delete
    def unmark(self, request: Request, pk: UUID) -> Response:
        favourites.unmark(entry=self.entry(in_trash=True), user=self.actor)
        return done()

    @extend_schema(parameters=PAGE, responses=shapes.EntryPageSerializer, filters=False)
    @action(detail=False)
    def favourites(self, request: Request) -> Response:
        """Files and folders that the user marked, of all drives."""
        return self.entry_page(*selectors.favourites(self.actor))

    @extend_schema(responses=shapes.VersionSerializer(many=True))
    @action(detail=True, results_key="versions", serializer_class=shapes.VersionSerializer)
    def versions(self, request: Request, pk: UUID) -> Response:
        """What the file held before, the latest first."""
        file = cast(File, self.get_object())
        rows = file.versions.select_related("blob").order_by("-created_at", "-pk")
        return self.page(rows, link=lambda version: self.link_of_version(file, version.blob_id))

    def link_of_version(self, file: File, blob_id: UUID) -> str:
        return link_to(blob_id, file.name, request=self.request, drive_id=file.drive_id)

    @extend_schema(request=None, responses=shapes.EntrySerializer)
    @action(detail=True, methods=["post"], url_path="versions/<uuid:version_id>/restore")
    def restore_version(self, request: Request, pk: UUID, version_id: UUID) -> Response:
        """Bring back an earlier content; the present one becomes a version."""
        file = cast(File, self.get_object())
        return self.shown(versions.restore_version(file=file, version_id=version_id, actor=self.actor))

    def seconds(self) -> int:
        """How long a link is wanted for."""
        wanted = whole_number(self.request, "expires_in", settings.DOWNLOAD_LINK_SECONDS)
        return min(max(wanted, MIN_SECONDS), MAX_SECONDS)

    @extend_schema(parameters=[EXPIRES_IN], responses=shapes.LinkSerializer)
    @action(detail=True)
    def download(self, request: Request, pk: UUID) -> Response:
        """A signed link to the file's content; it serves ranges."""
        file = cast(File, self.get_object())
        seconds = self.seconds()
        operations.record(operations.Action.DOWNLOAD, file, actor=self.actor)
        return Response(
            {
                "download_url": link_to(
                    file.blob_id, file.name, request=request, seconds=seconds, drive_id=file.drive_id
                ),
                "filename": file.name,
                "size": file.size,
                "etag": file.blob.sha256,
                "expires_in": seconds,
            }
        )

    @extend_schema(parameters=[EXPIRES_IN], responses=shapes.LinkSerializer)
    @action(detail=True)
    def archive(self, request: Request, pk: UUID) -> Response:
        """A signed link to a ZIP of a folder with all below it, made as it is read; it serves ranges."""
        entry = self.entry()
        return self.zipped([entry], entry.name)

    @extend_schema(
        parameters=[EXPIRES_IN], request=shapes.ChosenArchiveSerializer, responses=shapes.LinkSerializer
    )
    @action(detail=False, methods=["post"], url_path="archive")
    def archive_selection(self, request: Request) -> Response:
        """The same for up to 500 files and folders; 404 where one of them is not there."""
        data = self.valid(shapes.ChosenArchiveSerializer, request)
        found = bulk.visible_entries(data["ids"], self.actor)
        if any(pk not in found or not places.is_living(found[pk]) for pk in data["ids"]):
            raise NotVisible
        chosen = list(found.values())
        name = data["archive_name"] or (chosen[0].name if len(chosen) == 1 else chosen[0].drive.name)
        return self.zipped(chosen, name)

    def zipped(self, entries: Sequence[Entry], name: str) -> Response:
        seconds, filename = self.seconds(), zip_name(name)
        archive, found = archives.order_archive(entries=entries, actor=self.actor, seconds=seconds)
        return Response(
            {
                "download_url": link_to_zip(archive, filename, request=self.request),
                "filename": filename,
                "size": found.size,
                "etag": found.etag,
                "expires_in": seconds,
            }
        )
