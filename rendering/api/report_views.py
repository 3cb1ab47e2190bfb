"""Doors of the pre-flight: what a scene needs, and which files of the drive serve it."""

from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from common.errors import TransitionNotAllowed
from common.views import VisibleViewSet
from drives.errors import BadName
from rendering import errors
from rendering.models import RenderJob, SceneReport
from rendering.services import preflight

MAX_CHOICES = 20_000


class AssetSerializer(serializers.Serializer):
    """What became of a file that the scene, or one it links, names."""

    path = serializers.CharField(help_text="As the scene names it.")
    kind = serializers.CharField()
    named_by = serializers.CharField(help_text="The scene that names it, by its path in the drive.")
    expected_path = serializers.CharField(help_text="Where it would be found; empty where it was.")
    users = serializers.ListField(child=serializers.CharField())
    required = serializers.BooleanField()  # type: ignore[assignment]
    status = serializers.ChoiceField(["found", "mapped", "ignored", "missing", "ambiguous", "unreadable"])
    found = serializers.ListField(child=serializers.CharField(), help_text="Up to ten of its files.")
    found_count = serializers.IntegerField()
    candidates = serializers.ListField(child=serializers.CharField())
    missing_frames = serializers.CharField(help_text="Frames of the task that the sequence lacks: `1-3, 7`.")
    failure_code = serializers.CharField()
    chosen_by = serializers.CharField(help_text="The key of `choices` that counts for it.")


class ReportSerializer(serializers.Serializer):
    """The pre-flight of a scene, and what became of the files it names."""

    status = serializers.ChoiceField(SceneReport.Status.choices)
    engine = serializers.CharField()
    data = serializers.DictField()  # type: ignore[assignment]
    defaults = serializers.DictField(help_text="Settings that the scene does not say, and what applies.")
    missing = serializers.ListField(child=serializers.DictField())
    assets = AssetSerializer(many=True, help_text="At most 2,000, problems first.")
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="All assets by status.")
    choices = serializers.DictField()
    failure_code = serializers.CharField()
    message = serializers.CharField()
    updated_at = serializers.DateTimeField()


class ChoicesSerializer(serializers.Serializer):
    """By the name that the scene has: a path in the drive, or null for a file that is not needed.

    A name that ends with a slash stands for all names below that folder: `{"D:/old/tex/": "/library/tex"}`.
    """

    choices = serializers.DictField(child=serializers.CharField(max_length=1024, allow_null=True))

    def validate_choices(self, value: dict[str, str | None]) -> dict[str, str | None]:
        if len(value) > MAX_CHOICES:
            raise serializers.ValidationError("Too many.", code="too_many")
        return value


@extend_schema(tags=["tasks"])
class TaskReportViewSet(VisibleViewSet):
    model = RenderJob
    refusals = {
        "report": (errors.SceneMissing, errors.EngineUnavailable),
        "assets": (
            TransitionNotAllowed, errors.ReportPending, errors.SceneMissing, errors.EngineUnavailable,
            errors.InspectionFailed, errors.AssetUnknown, errors.AssetPathMissing, BadName,
        ),
    }  # fmt: skip

    def narrow(self, rows: QuerySet) -> QuerySet:
        return rows.select_related("drive", "user")

    @extend_schema(responses=ReportSerializer)
    @action(detail=True)
    def report(self, request: Request, pk: UUID) -> Response:
        """The pre-flight of the scene, and what becomes of the files it names at this moment."""
        return Response(ReportSerializer(preflight.report_of(self.get_object())).data)

    @extend_schema(request=ChoicesSerializer, responses=ReportSerializer)
    @action(detail=True, methods=["put"])
    def assets(self, request: Request, pk: UUID) -> Response:
        """Say which files of the drive are meant, or that some are not needed; replaces what was said before.

        Only while the task is a draft. Answers the report as it is then.
        """
        data = self.valid(ChoicesSerializer, request)
        job = preflight.choose_assets(job=self.get_object(), choices=data["choices"])
        return Response(ReportSerializer(preflight.report_of(job)).data)
