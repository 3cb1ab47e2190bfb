"""Doors of drives: /drives."""

from collections.abc import Sequence
from typing import cast
from uuid import UUID

from django.db.models import Count, F, Q, QuerySet, Sum
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from accounts.models import User
from common.errors import Forbidden, Invalid
from common.ids import as_uuid
from common.paging import whole_number
from common.serializers import DoneSerializer
from common.views import done
from drives import errors, selectors
from drives.api import serializers as shapes
from drives.api.entries import PAGE, PATH, SORT, EntryPages
from drives.models import Drive, DriveQuerySet, FileOperation
from drives.paths import clean_path
from drives.permissions import rights_in_each
from drives.services import drives, members, trash

TREE_LIMIT = 5000


@extend_schema(tags=["drives"])
class DriveViewSet(EntryPages):
    """The user's own drives, those of their teams and those shared with them, newest first."""

    model = Drive
    serializer_class = shapes.DriveSerializer
    results_key = "drives"
    default_limit = 100
    open_to_guests = ("update",)
    refusals = {
        "create": (Forbidden, errors.TooManyDrives, errors.LetterTaken),
        "update": (Forbidden, errors.LetterTaken),
        "destroy": (Forbidden,),
        "files": (errors.BadName,),
        "tree": (errors.BadName,),
        "breakdown": (errors.BadName,),
        "empty_trash": (errors.DriveReadOnly,),
        "add_member": (Forbidden, errors.AlreadyMember),
        "member": (Forbidden,),
        "remove_member": (Forbidden,),
    }

    def narrow(self, rows: QuerySet) -> QuerySet:
        # Counting the files is for answers that show the drive, not for those that only look into it.
        ordered = cast(DriveQuerySet, rows).order_by("-created_at", "-pk")
        if self.action not in ("list", "retrieve"):
            return ordered
        return ordered.with_file_count().select_related("user", "team")

    def shown(self, drive: Drive, code: int = status.HTTP_200_OK) -> Response:
        fresh = Drive.objects.with_file_count().select_related("user", "team").get(pk=drive.pk)
        return Response(self.shape([fresh]).data[0], status=code)

    def shape(self, rows: Sequence[Drive]) -> BaseSerializer:
        """The drives with what the user may do in each."""
        rights = rights_in_each(self.actor, rows)
        return shapes.DriveSerializer(rows, many=True, context={"rights": rights})

    def list(self, request: Request) -> Response:
        found = cast(list[Drive], self.paginate_queryset(self.get_queryset()))
        return self.get_paginated_response(self.shape(found).data)

    def retrieve(self, request: Request, pk: UUID) -> Response:
        return Response(self.shape([self.get_object()]).data[0])

    @extend_schema(request=shapes.NewDriveSerializer, responses={201: shapes.DriveSerializer})
    def create(self, request: Request) -> Response:
        """A new drive of the user, or with `team_id` of a team whose drives the user manages."""
        data = self.valid(shapes.NewDriveSerializer, request)
        if data.pop("is_team_drive") and not data.get("team_id"):
            raise Invalid(field="team_id")
        return self.shown(drives.create_drive(user=self.actor, **data), status.HTTP_201_CREATED)

    @extend_schema(request=shapes.ChangedDriveSerializer, responses=shapes.DriveSerializer)
    def update(self, request: Request, pk: UUID) -> Response:
        data = self.valid(shapes.ChangedDriveSerializer, request, partial=True)
        return self.shown(drives.update_drive(drive=self.get_object(), actor=self.actor, **data))

    @extend_schema(responses={200: DoneSerializer})
    def destroy(self, request: Request, pk: UUID) -> Response:
        drives.delete_drive(drive=self.get_object(), actor=self.actor)
        return done()

    @extend_schema(responses=shapes.DriveSerializer)
    @action(detail=False)
    def default(self, request: Request) -> Response:
        """The drive that the user chose (`is_default`), else their oldest, created where there is none."""
        return self.shown(drives.default_drive(user=self.actor))

    @extend_schema(responses=shapes.DriveStatsSerializer, filters=False)
    @action(detail=False, pagination_class=None)
    def stats(self, request: Request) -> Response:
        """Sums over all drives of the list."""
        sums = Drive.objects.visible_to(cast(User, request.user)).aggregate(
            count=Count("pk"), teams=Count("pk", filter=Q(team__isnull=False)),
            total=Sum("total_size", default=0), used=Sum("used_size", default=0),
            reserved=Sum("reserved_size", default=0),
        )  # fmt: skip
        total, used = sums["total"], sums["used"]
        body = {
            "total_drives": sums["count"],
            "personal_drives": sums["count"] - sums["teams"],
            "team_drives": sums["teams"],
            "total_size": total,
            "used_size": used,
            "available_size": max(total - used - sums["reserved"], 0) if total else -1,
            "usage_percentage": round(100 * used / total, 2) if total else 0.0,
        }
        return Response(body)

    @extend_schema(parameters=[PATH, SORT, *PAGE], responses=shapes.EntryPageSerializer, filters=False)
    @action(detail=True)
    def files(self, request: Request, pk: UUID) -> Response:
        """Folders and files directly in `path`."""
        return self.folder_page(self.get_object(), clean_path(request.query_params.get("path", "/")))

    @extend_schema(responses=shapes.UsageSampleSerializer(many=True), filters=False)
    @action(detail=True, results_key="usage", serializer_class=shapes.UsageSampleSerializer)
    def usage(self, request: Request, pk: UUID) -> Response:
        """How full the drive was, a sample a day, the newest first."""
        return self.page(self.get_object().usage_samples.order_by("-sample_date"))

    @extend_schema(
        parameters=[
            PATH,
            OpenApiParameter(
                "depth", {"type": "integer", "minimum": 1, "maximum": 10}, description="1 by default."
            ),
        ],
        responses=shapes.TreeSerializer,
        filters=False,
    )
    @action(detail=True)
    def tree(self, request: Request, pk: UUID) -> Response:
        """Folders below `path` by their paths, as many levels as `depth` says, at most 5000."""
        depth = min(max(whole_number(request, "depth", 1), 1), 10)
        path = clean_path(request.query_params.get("path", "/"))
        folders = selectors.folder_tree(self.get_object(), path, depth)[: TREE_LIMIT + 1]
        shown = shapes.TreeFolderSerializer(folders[:TREE_LIMIT], many=True).data
        return Response({"folders": shown, "truncated": len(folders) > TREE_LIMIT})

    @extend_schema(parameters=[PATH], responses=shapes.BreakdownSerializer, filters=False)
    @action(detail=True)
    def breakdown(self, request: Request, pk: UUID) -> Response:
        """What takes the room: by type in the whole drive, and by the folders of `path`."""
        drive, path = self.get_object(), clean_path(request.query_params.get("path", "/"))
        body = {
            "by_type": selectors.usage_by_type(drive),
            "by_folder": selectors.usage_by_folder(drive, path),
        }
        return Response(shapes.BreakdownSerializer(body).data)

    @extend_schema(parameters=PAGE, responses=shapes.EntryPageSerializer, filters=False)
    @action(detail=True)
    def trash(self, request: Request, pk: UUID) -> Response:
        """What was put into the trash, folders first, the latest first."""
        return self.entry_page(*trash.trashed(self.get_object()))

    @extend_schema(responses={200: shapes.CountSerializer})
    @trash.mapping.delete
    def empty_trash(self, request: Request, pk: UUID) -> Response:
        """Delete for good everything in the trash."""
        return done(count=trash.empty_trash(drive=self.get_object(), actor=self.actor))

    @extend_schema(
        parameters=[
            OpenApiParameter("target_id", OpenApiTypes.UUID, description="Of one file or folder."),
            OpenApiParameter("actor_id", OpenApiTypes.UUID, description="Of one person."),
            OpenApiParameter("action", OpenApiTypes.STR, enum=FileOperation.Action.values),
        ],
        responses=shapes.OperationSerializer(many=True),
    )
    @action(detail=True, results_key="operations", serializer_class=shapes.OperationSerializer)
    def operations(self, request: Request, pk: UUID) -> Response:
        """What was done in the drive, the latest first."""
        rows = self.get_object().operations.select_related("actor").order_by("-created_at", "-pk")
        for name in ("target_id", "actor_id"):
            if text := request.query_params.get(name):
                rows = rows.filter(**{name: as_uuid(text)})
        if wanted := request.query_params.get("action"):
            rows = rows.filter(action=wanted)
        return self.page(rows)

    @extend_schema(responses=shapes.DriveMemberSerializer(many=True))
    @action(detail=True, results_key="members", serializer_class=shapes.DriveMemberSerializer)
    def members(self, request: Request, pk: UUID) -> Response:
        """Whom the drive was shared with, besides its owner and the members of its team."""
        rows = self.get_object().members.select_related("user")
        return self.page(rows.order_by(F("user__username").asc(), "pk"))

    @extend_schema(request=shapes.NewDriveMemberSerializer, responses={201: shapes.DriveMemberSerializer})
    @members.mapping.post
    def add_member(self, request: Request, pk: UUID) -> Response:
        """Let a person into the drive as viewer, editor or manager."""
        data = self.valid(shapes.NewDriveMemberSerializer, request)
        member = members.add_member(drive=self.get_object(), actor=self.actor, **data)
        return Response(shapes.DriveMemberSerializer(member).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=shapes.DriveRoleSerializer, responses=shapes.DriveMemberSerializer)
    @action(detail=True, methods=["put"], url_path="members/<uuid:user_id>")
    def member(self, request: Request, pk: UUID, user_id: UUID) -> Response:
        """Give a person another role."""
        role = self.valid(shapes.DriveRoleSerializer, request)["role"]
        member = members.change_member(drive=self.get_object(), actor=self.actor, user_id=user_id, role=role)
        return Response(shapes.DriveMemberSerializer(member).data)

    @extend_schema(responses={200: DoneSerializer})
    @member.mapping.delete
    def remove_member(self, request: Request, pk: UUID, user_id: UUID) -> Response:
        """Take a person out of the drive; everybody may leave."""
        members.remove_member(drive=self.get_object(), actor=self.actor, user_id=user_id)
        return done()
