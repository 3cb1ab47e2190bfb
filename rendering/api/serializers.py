"""Shapes of rendering on the wire. A job is called a task there."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.api.serializers import MoneyNumber
from drives.links import link_to
from rendering import frame_range
from rendering.engines import ENGINES
from rendering.models import Attempt, Frame, FrameOutput, JobLog, RenderJob

FORMATS = ["", "PNG", "JPEG", "JPG", "EXR", "OPEN_EXR", "TIFF"]
MAX_PIXELS = 16384


class OptionsSerializer(serializers.Serializer):
    """Options of the engine: for Blender the number of samples, for the simulated one the seconds a frame takes."""

    samples = serializers.IntegerField(min_value=1, max_value=65536, required=False)
    seconds = serializers.FloatField(min_value=0, max_value=3600, required=False)


class NewTaskSerializer(serializers.Serializer):
    """The fields of old, and scene_file_id, engine, engine_options, frames, allow_missing, submit besides."""

    task_name = serializers.CharField(max_length=200)
    drive_id = serializers.UUIDField(required=False, allow_null=True)
    scene_file_id = serializers.UUIDField(required=False, allow_null=True)
    scene_file = serializers.CharField(max_length=500, required=False, allow_blank=True, allow_null=True)
    engine = serializers.ChoiceField(list(ENGINES), required=False, allow_null=True)
    engine_options = OptionsSerializer(required=False, allow_null=True)
    maya_version = serializers.CharField(max_length=20, required=False, allow_blank=True, allow_null=True)
    renderer = serializers.CharField(max_length=50, required=False, allow_blank=True, allow_null=True)
    priority = serializers.ChoiceField(RenderJob.Priority.choices, required=False, allow_null=True)
    frames = serializers.CharField(max_length=500, required=False, allow_blank=True, allow_null=True)
    start_frame = serializers.IntegerField(required=False, allow_null=True)
    end_frame = serializers.IntegerField(required=False, allow_null=True)
    frame_step = serializers.IntegerField(required=False, allow_null=True)
    width = serializers.IntegerField(min_value=1, max_value=MAX_PIXELS, required=False, allow_null=True)
    height = serializers.IntegerField(min_value=1, max_value=MAX_PIXELS, required=False, allow_null=True)
    output_path = serializers.CharField(max_length=500, required=False, allow_blank=True, allow_null=True)
    output_format = serializers.CharField(max_length=20, required=False, allow_blank=True, allow_null=True)
    allow_missing = serializers.BooleanField(required=False, allow_null=True)
    submit = serializers.BooleanField(required=False, allow_null=True)

    def validate_output_format(self, value: str | None) -> str:
        if (value or "").upper() not in FORMATS:
            raise serializers.ValidationError("Unknown format.", code="output_format_unknown")
        return (value or "").upper()

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        """Absent and null mean the same: the default."""
        return {name: value for name, value in data.items() if value is not None}


class TaskSerializer(serializers.ModelSerializer):
    status_name = serializers.CharField(read_only=True)
    scene_file = serializers.CharField(source="scene_path")
    scene_file_id = serializers.UUIDField(read_only=True, allow_null=True)
    progress = serializers.IntegerField(read_only=True)
    start_frame = serializers.SerializerMethodField()
    end_frame = serializers.SerializerMethodField()
    frame_step = serializers.SerializerMethodField()
    frames = serializers.CharField(source="frame_range")
    unit_price = MoneyNumber(allow_null=True)
    estimated_cost = MoneyNumber(allow_null=True)
    actual_cost = MoneyNumber(allow_null=True)

    class Meta:
        model = RenderJob
        fields = (
            "id", "user_id", "drive_id", "task_name", "scene_file", "scene_file_id", "engine", "engine_options",
            "maya_version", "renderer", "status", "status_name", "pause_reason", "priority", "progress", "frames",
            "start_frame", "end_frame", "frame_step", "total_frames", "done_frames", "failed_frames", "width",
            "height", "output_path", "output_format", "output_folder", "allow_missing", "unit_price",
            "estimated_cost", "actual_cost", "failure_code", "failure_data", "error_message", "created_at",
            "submitted_at", "started_at", "completed_at", "updated_at",
        )  # fmt: skip

    def bounds(self, job: RenderJob) -> tuple[int | None, int | None, int]:
        """First, last and step of the range, as far as those three can say it."""
        if not job.frame_range:
            return None, None, 1
        return frame_range.bounds(job.frame_range)

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_start_frame(self, job: RenderJob) -> int | None:
        return self.bounds(job)[0]

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_end_frame(self, job: RenderJob) -> int | None:
        return self.bounds(job)[1]

    @extend_schema_field(serializers.IntegerField())
    def get_frame_step(self, job: RenderJob) -> int:
        return self.bounds(job)[2]


class TaskLogSerializer(serializers.ModelSerializer):
    task_id = serializers.UUIDField(source="job_id")

    class Meta:
        model = JobLog
        fields = ("id", "task_id", "log_level", "message", "created_at")


class OutputSerializer(serializers.ModelSerializer):
    """A rendered picture with links; `file_id` is null once the file was removed from the drive for good."""

    frame = serializers.IntegerField(source="frame.number")
    file_id = serializers.UUIDField(allow_null=True)
    size = serializers.IntegerField(source="blob.size")
    sha256 = serializers.CharField(source="blob.sha256")
    download_url = serializers.SerializerMethodField()
    preview_url = serializers.SerializerMethodField()

    class Meta:
        model = FrameOutput
        fields = (
            "id", "frame", "name", "file_id", "size", "sha256", "width", "height", "download_url", "preview_url",
            "created_at",
        )  # fmt: skip

    def get_download_url(self, output: FrameOutput) -> str:
        return link_to(output.blob_id, output.name, request=self.context.get("request"))

    def get_preview_url(self, output: FrameOutput) -> str | None:
        if output.preview_id is None:
            return None
        return link_to(output.preview_id, "preview.png", request=self.context.get("request"), inline=True)


class FrameSerializer(serializers.ModelSerializer):
    """A frame; `progress` is that of the attempt under way, in per cent."""

    step = serializers.CharField(source="step.name")
    progress = serializers.SerializerMethodField()

    class Meta:
        model = Frame
        fields = (
            "id",
            "step",
            "number",
            "status",
            "progress",
            "failures",
            "losses",
            "failure_code",
            "seconds",
            "updated_at",
        )

    @extend_schema_field(serializers.FloatField())
    def get_progress(self, frame: Frame) -> float:
        if frame.status == Frame.Status.DONE:
            return 100.0
        return frame.attempt.progress if frame.attempt and frame.status == Frame.Status.RUNNING else 0.0


class AttemptSerializer(serializers.ModelSerializer):
    node = serializers.CharField(source="node.name", default=None)

    class Meta:
        model = Attempt
        fields = (
            "id", "status", "node", "progress", "exit_code", "failure_code", "message", "cpu_seconds",
            "peak_memory_size", "log_tail", "created_at", "ended_at",
        )  # fmt: skip


class EstimateSerializer(serializers.Serializer):
    frames = serializers.IntegerField()
    unit_price = MoneyNumber()
    estimated_cost = MoneyNumber()
    currency = serializers.CharField()
    available = MoneyNumber()


class EngineSerializer(serializers.Serializer):
    name = serializers.CharField()
    versions = serializers.ListField(child=serializers.CharField())


class EnginesSerializer(serializers.Serializer):
    engines = EngineSerializer(many=True)
