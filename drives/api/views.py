"""Doors of drives: /drives and the file manager calls at /files."""

from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.db.models import Count, QuerySet, Sum
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.mixins import RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from common.errors import Invalid, NotVisible
from common.ids import as_uuid
from common.paging import whole_number
from common.serializers import DoneSerializer
from common.views import VisibleViewSet, done
from drives.api import serializers as shapes
from drives.errors import BadName, DriveReadOnly, NameTaken, TooManyDrives
from drives.links import link_to
from drives.models import Drive, DriveQuerySet, File, Folder
from drives.paths import clean_path
from drives.services import drives, tree

PATH = OpenApiParameter("path", OpenApiTypes.STR, description="Folder, `/` by default.")
# Pages of folders and files together are not those of one model, so they are described here.
PAGE = [
    OpenApiParameter("skip", {"type": "integer", "minimum": 0}),
    OpenApiParameter(
        "limit", {"type": "integer", "minimum": 1, "maximum": 1000}, description="1000 by default."
    ),
]


class EntryMixin:
    """Pages of folders and files together, folders first."""

    def entry_context(self, request: Request) -> dict[str, Any]:
        return {"link": lambda file: link_to(file.blob_id, file.name, request=request, inline=True)}

    def entry_page(self, request: Request, drive: Drive, path: str) -> Response:
        folders, files = tree.listing(drive, path)
        skip = whole_number(request, "skip", 0)
        limit = min(max(whole_number(request, "limit", 1000), 1), 1000)
        folder_count = folders.count()
        total = folder_count + files.count()
        entries: list[Any] = list(folders[skip : skip + limit])
        first_file = max(skip - folder_count, 0)
        entries += files[first_file : first_file + limit - len(entries)]
        shown = shapes.EntrySerializer(entries, many=True, context=self.entry_context(request)).data
        return Response({"files": shown, "total": total, "skip": skip, "limit": limit})


@extend_schema(tags=["drives"])
class DriveViewSet(EntryMixin, RetrieveModelMixin, VisibleViewSet):
    """Drives of the user, newest first."""

    model = Drive
    serializer_class = shapes.DriveSerializer
    results_key = "drives"
    default_limit = 100
    open_to_guests = ("update",)
    refusals = {
        "create": (TooManyDrives,),
        "update": (DriveReadOnly,),
        "destroy": (DriveReadOnly,),
        "files": (BadName,),
    }

    def narrow(self, rows: QuerySet) -> QuerySet:
        # Counting the files is for answers that show the drive, not for those that only look into it.
        ordered = cast(DriveQuerySet, rows).order_by("-created_at", "-pk")
        return ordered.with_file_count() if self.action in ("list", "retrieve") else ordered

    def shown(self, drive: Drive, code: int = status.HTTP_200_OK) -> Response:
        fresh = Drive.objects.with_file_count().get(pk=drive.pk)
        return Response(shapes.DriveSerializer(fresh).data, status=code)

    def list(self, request: Request) -> Response:
        return self.page(self.get_queryset())

    @extend_schema(request=shapes.DriveInputSerializer, responses={201: shapes.DriveSerializer})
    def create(self, request: Request) -> Response:
        data = self.valid(shapes.DriveInputSerializer, request)
        return self.shown(drives.create_drive(user=cast(User, request.user), **data), status.HTTP_201_CREATED)

    @extend_schema(request=shapes.DriveInputSerializer, responses=shapes.DriveSerializer)
    def update(self, request: Request, pk: UUID) -> Response:
        data = self.valid(shapes.DriveInputSerializer, request, partial=True)
        return self.shown(
            drives.update_drive(drive=self.get_object(), actor=cast(User, request.user), **data)
        )

    @extend_schema(responses={200: DoneSerializer})
    def destroy(self, request: Request, pk: UUID) -> Response:
        drives.delete_drive(drive=self.get_object(), actor=cast(User, request.user))
        return done()

    @extend_schema(responses=shapes.DriveSerializer)
    @action(detail=False)
    def default(self, request: Request) -> Response:
        """The oldest drive, created where there is none."""
        return self.shown(drives.default_drive(user=cast(User, request.user)))

    @extend_schema(responses=shapes.DriveStatsSerializer, filters=False)
    @action(detail=False, pagination_class=None)
    def stats(self, request: Request) -> Response:
        """Sums over all drives."""
        sums = Drive.objects.visible_to(cast(User, request.user)).aggregate(
            count=Count("pk"), total=Sum("total_size", default=0), used=Sum("used_size", default=0),
            reserved=Sum("reserved_size", default=0),
        )  # fmt: skip
        total, used = sums["total"], sums["used"]
        body = {
            "total_drives": sums["count"],
            "personal_drives": sums["count"],
            "team_drives": 0,
            "total_size": total,
            "used_size": used,
            "available_size": max(total - used - sums["reserved"], 0) if total else -1,
            "usage_percentage": round(100 * used / total, 2) if total else 0.0,
        }
        return Response(body)

    @extend_schema(parameters=[PATH, *PAGE], responses=shapes.EntryPageSerializer, filters=False)
    @action(detail=True)
    def files(self, request: Request, pk: UUID) -> Response:
        """Folders and files directly in `path`."""
        return self.entry_page(request, self.get_object(), clean_path(request.query_params.get("path", "/")))

    @extend_schema(responses=shapes.UsageSampleSerializer(many=True), filters=False)
    @action(detail=True, results_key="usage", serializer_class=shapes.UsageSampleSerializer)
    def usage(self, request: Request, pk: UUID) -> Response:
        """How full the drive was, a sample a day, the newest first."""
        return self.page(self.get_object().usage_samples.order_by("-sample_date"))


@extend_schema(tags=["files"])
class EntryViewSet(EntryMixin, VisibleViewSet):
    """Files and folders by id; the file manager's list, create, rename and delete."""

    model = File
    serializer_class = shapes.EntrySerializer
    results_key = "files"
    open_to_guests = ("create", "update", "destroy")
    refusals = {
        "list": (BadName,),
        "create": (BadName, NameTaken, DriveReadOnly),
        "update": (BadName, NameTaken, DriveReadOnly),
        "destroy": (DriveReadOnly,),
    }

    def narrow(self, rows: QuerySet) -> QuerySet:
        return rows.select_related("drive", "folder", "blob")

    def drive_of(self, text: str | UUID | None) -> Drive:
        user = cast(User, self.request.user)
        if text in (None, ""):
            return drives.default_drive(user=user)
        drive_id = as_uuid(text)
        drive = Drive.objects.visible_to(user).filter(pk=drive_id).first() if drive_id else None
        if drive is None:
            raise NotVisible
        return drive

    def entry(self) -> File | Folder:
        file = self.get_queryset().filter(pk=self.kwargs["pk"]).first()
        if file is not None:
            return cast(File, file)
        folders = Folder.objects.visible_to(cast(User, self.request.user)).select_related("drive")
        folder = folders.filter(pk=self.kwargs["pk"]).first()
        if folder is None:
            raise NotVisible
        return folder

    def shown(self, entry: File | Folder, code: int = status.HTTP_200_OK) -> Response:
        context = self.entry_context(self.request)
        return Response(shapes.EntrySerializer(entry, context=context).data, status=code)

    @extend_schema(
        parameters=[
            OpenApiParameter("drive_id", OpenApiTypes.UUID),
            OpenApiParameter("folder_path", OpenApiTypes.STR, description="`/` by default."),
            *PAGE,
        ],
        responses=shapes.EntryPageSerializer,
        filters=False,
    )
    def list(self, request: Request) -> Response:
        """Folders and files of a folder."""
        drive = self.drive_of(request.query_params.get("drive_id"))
        return self.entry_page(
            request, drive, clean_path(request.query_params.get("folder_path", "/"), field="folder_path")
        )

    @extend_schema(request=shapes.NewEntrySerializer, responses={201: shapes.EntrySerializer})
    def create(self, request: Request) -> Response:
        """Create a folder. Files come by uploads."""
        data = self.valid(shapes.NewEntrySerializer, request)
        if not data["is_folder"]:
            raise Invalid(field="is_folder")
        folder = tree.create_folder(
            drive=self.drive_of(data["drive_id"]),
            actor=cast(User, request.user),
            parent_path=data["folder_path"],
            name=data["file_name"],
        )
        return self.shown(folder, status.HTTP_201_CREATED)

    @extend_schema(responses=shapes.EntrySerializer)
    def retrieve(self, request: Request, pk: UUID) -> Response:
        return self.shown(self.entry())

    @extend_schema(request=shapes.RenameSerializer, responses=shapes.EntrySerializer)
    def update(self, request: Request, pk: UUID) -> Response:
        """Rename a file or folder."""
        name = self.valid(shapes.RenameSerializer, request)["file_name"]
        entry, actor = self.entry(), cast(User, request.user)
        if isinstance(entry, File):
            return self.shown(tree.rename_file(file=entry, actor=actor, name=name))
        return self.shown(tree.rename_folder(folder=entry, actor=actor, name=name))

    @extend_schema(responses={200: DoneSerializer})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Put a file or folder into the trash."""
        entry, actor = self.entry(), cast(User, request.user)
        if isinstance(entry, File):
            tree.trash_file(file=entry, actor=actor)
        else:
            tree.trash_folder(folder=entry, actor=actor)
        return done()

    @extend_schema(
        parameters=[OpenApiParameter("expires_in", OpenApiTypes.INT, description="Seconds, 60 to 86400.")],
        responses=shapes.LinkSerializer,
    )
    @action(detail=True)
    def download(self, request: Request, pk: UUID) -> Response:
        """A signed link to the file's content; it serves ranges."""
        file = cast(File, self.get_object())
        seconds = min(max(whole_number(request, "expires_in", settings.DOWNLOAD_LINK_SECONDS), 60), 86400)
        return Response(
            {
                "download_url": link_to(file.blob_id, file.name, request=request, seconds=seconds),
                "filename": file.name,
                "size": file.size,
                "etag": file.blob.sha256,
                "expires_in": seconds,
            }
        )
