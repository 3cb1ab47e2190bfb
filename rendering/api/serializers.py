"""Shapes of rendering on the wire. A job is called a task there."""

from dataclasses import MISSING, fields
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.api.serializers import MoneyNumber
from drives.links import link_to
from rendering import frame_range
from rendering.api.outlook_fields import OutlookFields
from rendering.models import Attempt, Frame, FrameOutput, JobDependency, JobLog, RenderJob
from rendering.services.chunks import MAX_CHUNK
from rendering.services.creating import NewJob
from rendering.services.dependencies import Wait

DEFAULTS = {
    field.name: field.default if field.default_factory is MISSING else field.default_factory()
    for field in fields(NewJob)
}
FORMATS = ["", "PNG", "JPEG", "JPG", "EXR", "OPEN_EXR", "TIFF"]
MAX_PIXELS = 16384


class OptionsSerializer(serializers.Serializer):
    """Options of the engine: for Blender the number of samples, for the simulated one the seconds a frame takes."""

    samples = serializers.IntegerField(min_value=1, max_value=65536, required=False)
    seconds = serializers.FloatField(min_value=0, max_value=3600, required=False)


class WaitSerializer(serializers.Serializer):
    """A task to wait for: the whole of it, or each frame for that of its number."""

    task_id = serializers.UUIDField()
    kind = serializers.ChoiceField(JobDependency.Kind.choices, default=JobDependency.Kind.JOB)


def waits_of(found: list[dict[str, Any]]) -> list[Wait]:
    return [Wait(**each) for each in found]


def names(longest: int, most: int) -> serializers.ListField:
    """A list of names as a program has them, blanks at their ends included."""
    name = serializers.CharField(max_length=longest, trim_whitespace=False)
    return serializers.ListField(child=name, max_length=most, required=False, allow_null=True)


class NewTaskSerializer(serializers.Serializer):
    """The fields of old, and what the farm can do besides.

    `frames` is a range expression instead of start, end and step; each of `cameras` with each of `layers` renders all
    of them. `chunk_size` frames go into one run of the program; without it the farm chooses how many, by the time that
    they take. `test_frames` renders the first, the middle and the last frame and then waits for approval.
    """

    task_name = serializers.CharField(max_length=200)
    drive_id = serializers.UUIDField(required=False, allow_null=True)
    scene_file_id = serializers.UUIDField(required=False, allow_null=True)
    scene_file = serializers.CharField(max_length=500, required=False, allow_blank=True, allow_null=True)
    engine = serializers.CharField(
        max_length=20, required=False, allow_null=True, help_text="One of `GET /engines`."
    )
    engine_version = serializers.CharField(max_length=40, required=False, allow_blank=True, allow_null=True)
    engine_options = OptionsSerializer(required=False, allow_null=True)
    maya_version = serializers.CharField(max_length=20, required=False, allow_blank=True, allow_null=True)
    renderer = serializers.CharField(max_length=50, required=False, allow_blank=True, allow_null=True)
    priority = serializers.ChoiceField(RenderJob.Priority.choices, required=False, allow_null=True)
    frames = serializers.CharField(max_length=500, required=False, allow_blank=True, allow_null=True)
    start_frame = serializers.IntegerField(required=False, allow_null=True)
    end_frame = serializers.IntegerField(required=False, allow_null=True)
    frame_step = serializers.IntegerField(required=False, allow_null=True)
    chunk_size = serializers.IntegerField(min_value=1, max_value=MAX_CHUNK, required=False, allow_null=True)
    cameras = names(255, 100)
    layers = names(255, 100)
    min_cores = serializers.IntegerField(min_value=0, max_value=4096, required=False, allow_null=True)
    min_memory_size = serializers.IntegerField(min_value=0, max_value=2**50, required=False, allow_null=True)
    node_tags = names(50, 20)
    test_frames = serializers.BooleanField(required=False, allow_null=True)
    depends_on = serializers.ListField(
        child=WaitSerializer(), max_length=100, required=False, allow_null=True
    )
    width = serializers.IntegerField(min_value=1, max_value=MAX_PIXELS, required=False, allow_null=True)
    height = serializers.IntegerField(min_value=1, max_value=MAX_PIXELS, required=False, allow_null=True)
    output_path = serializers.CharField(max_length=500, required=False, allow_blank=True, allow_null=True)
    output_format = serializers.CharField(max_length=20, required=False, allow_blank=True, allow_null=True)
    allow_missing = serializers.BooleanField(required=False, allow_null=True)
    submit = serializers.BooleanField(required=False, allow_null=True)

    def validate_output_format(self, value: str | None) -> str:
        if (value or "").upper() not in FORMATS:
            known = ", ".join(filter(None, FORMATS))
            raise serializers.ValidationError(
                _("The output format is none of: %(known)s") % {"known": known}, code="output_format_unknown"
            )
        return (value or "").upper()

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        """Absent and null mean the same: the default."""
        said = {name: value for name, value in data.items() if value is not None}
        if "depends_on" in said:
            said["depends_on"] = waits_of(said["depends_on"])
        return said


class CloneSerializer(NewTaskSerializer):
    """What a clone has otherwise than its original; null stands for the default."""

    task_name = serializers.CharField(max_length=200, required=False)

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        return {name: DEFAULTS.get(name) for name in data} | super().validate(data)


class DraftSerializer(CloneSerializer):
    """What a draft shall ask for otherwise; null stands for the default."""

    depends_on = None  # type: ignore[assignment]  # has doors of its own
    submit = None  # type: ignore[assignment]


class PrioritySerializer(serializers.Serializer):
    priority = serializers.ChoiceField(RenderJob.Priority.choices)


class RetrySerializer(serializers.Serializer):
    """Which of the failed frames; all where nothing is said."""

    frames = serializers.CharField(max_length=500, required=False, allow_blank=True)
    step = serializers.CharField(max_length=520, required=False, allow_blank=True)


class FurtherFramesSerializer(serializers.Serializer):
    """A range expression, and the step that renders it; all do where none is named."""

    frames = serializers.CharField(max_length=500)
    step = serializers.CharField(max_length=520, required=False, allow_blank=True)


class DependenciesSerializer(serializers.Serializer):
    depends_on = serializers.ListField(child=WaitSerializer(), max_length=100)


class DependencySerializer(serializers.ModelSerializer):
    """A task that is waited for. Failed or cancelled, it is waited for on: retry it, or drop it."""

    task_id = serializers.UUIDField(source="on_id")
    task_name = serializers.CharField(source="on.task_name")
    status = serializers.IntegerField(source="on.status")
    status_name = serializers.CharField(source="on.status_name")

    class Meta:
        model = JobDependency
        fields = ("task_id", "task_name", "kind", "status", "status_name", "created_at")


class TaskSerializer(serializers.ModelSerializer):
    status_name = serializers.CharField(read_only=True)
    scene_file = serializers.CharField(source="scene_path")
    scene_file_id = serializers.UUIDField(read_only=True, allow_null=True)
    progress = serializers.IntegerField(read_only=True)
    start_frame = serializers.SerializerMethodField()
    end_frame = serializers.SerializerMethodField()
    frame_step = serializers.SerializerMethodField()
    frames = serializers.CharField(source="frame_range")
    test_frames = serializers.BooleanField(source="has_test_frames")
    actions = serializers.ListField(child=serializers.CharField(), read_only=True)
    price_unit = serializers.CharField()
    base_price = MoneyNumber(allow_null=True)
    price_multiplier = MoneyNumber()
    price_discount = MoneyNumber()
    unit_price = MoneyNumber(allow_null=True)
    estimated_cost = MoneyNumber(allow_null=True)
    actual_cost = MoneyNumber(allow_null=True)

    class Meta:
        model = RenderJob
        fields = (
            "id", "user_id", "drive_id", "task_name", "scene_file", "scene_file_id", "engine", "engine_version",
            "engine_options", "maya_version", "renderer", "status", "status_name", "pause_reason", "actions",
            "priority", "progress", "frames", "start_frame", "end_frame", "frame_step", "chunk_size", "cameras",
            "layers", "min_cores", "min_memory_size", "node_tags", "test_frames", "approved_at", "total_frames",
            "done_frames", "failed_frames", "width", "height", "output_path", "output_format", "output_folder",
            "allow_missing", "team_id", "price_rule_id", "price_version", "price_unit", "base_price",
            "price_multiplier", "price_discount", "unit_price", "estimated_cost", "actual_cost", "failure_code",
            "failure_data", "error_message", "created_at", "submitted_at", "started_at", "completed_at", "updated_at",
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


class OneTaskSerializer(OutlookFields, TaskSerializer):
    """A task with what only one at a time tells: running frames, its place in the queue, the time it will take, why it
    waits.
    """

    class Meta(TaskSerializer.Meta):
        fields = (*TaskSerializer.Meta.fields, "queue_position", "estimated_seconds", "running", "waiting")  # type: ignore[assignment]


class TaskLogSerializer(serializers.ModelSerializer):
    task_id = serializers.UUIDField(source="job_id")

    class Meta:
        model = JobLog
        fields = ("id", "task_id", "log_level", "message", "created_at")


class OutputSerializer(serializers.ModelSerializer):
    """A rendered picture with links; `file_id` is null once the file was removed from the drive for good.

    `layer` is the layer or pass that it shows, empty for the picture itself.
    """

    step = serializers.CharField(source="frame.step.name")
    frame = serializers.IntegerField(source="frame.number")
    file_id = serializers.UUIDField(allow_null=True)
    size = serializers.IntegerField(source="blob.size")
    sha256 = serializers.CharField(source="blob.sha256")
    download_url = serializers.SerializerMethodField()
    preview_url = serializers.SerializerMethodField()

    class Meta:
        model = FrameOutput
        fields = (
            "id", "step", "frame", "layer", "name", "file_id", "size", "sha256", "width", "height", "download_url",
            "preview_url", "created_at",
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
    """One run of the program. `log_url` is a link to the whole log, null while it runs; see also /attempts/{id}/log."""

    node = serializers.CharField(source="node.name", default=None)
    step = serializers.CharField(source="step.name")
    frames = serializers.SerializerMethodField()
    log_url = serializers.SerializerMethodField()

    class Meta:
        model = Attempt
        fields = (
            "id", "status", "node", "step", "frames", "progress", "exit_code", "failure_code", "message",
            "cpu_seconds", "peak_memory_size", "log_tail", "log_url", "created_at", "ended_at",
        )  # fmt: skip

    @extend_schema_field(serializers.ListField(child=serializers.IntegerField()))
    def get_frames(self, attempt: Attempt) -> list[int]:
        return sorted(frame.number for frame in attempt.frames.all())

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_log_url(self, attempt: Attempt) -> str | None:
        if attempt.log_blob_id is None:
            return None
        request = self.context.get("request")
        return link_to(attempt.log_blob_id, f"{attempt.pk}.txt", request=request, inline=True)


class EstimateSerializer(serializers.Serializer):
    """`frames` are those of all steps together.

    unit_price = base_price × priority_multiplier × (1 - discount). Where `unit` is an hour, `expected_hours` are those
    of all frames, and `basis` says what they rest on: frames of this `job`, of the `scene` in earlier tasks, or a
    `setting`.
    `available` is the money of who pays, `limit_left` what the caller may still spend of the team's this month.
    """

    frames = serializers.IntegerField()
    steps = serializers.ListField(child=serializers.CharField())
    unit = serializers.CharField()
    base_price = MoneyNumber()
    priority_multiplier = MoneyNumber()
    discount = MoneyNumber()
    unit_price = MoneyNumber()
    rule_id = serializers.UUIDField()
    rule_version = serializers.IntegerField()
    expected_hours = MoneyNumber(allow_null=True)
    basis = serializers.ChoiceField(choices=["frames", "job", "scene", "setting"])
    estimated_cost = MoneyNumber()
    currency = serializers.CharField()
    available = MoneyNumber()
    payer = serializers.CharField()
    team_id = serializers.UUIDField(allow_null=True)
    limit_left = MoneyNumber(allow_null=True)


class FrameCountsSerializer(serializers.Serializer):
    total = serializers.IntegerField()
    done = serializers.IntegerField()
    failed = serializers.IntegerField()
    open = serializers.IntegerField()


class FrameSecondsSerializer(serializers.Serializer):
    min = serializers.FloatField(allow_null=True)
    mean = serializers.FloatField(allow_null=True)
    max = serializers.FloatField(allow_null=True)


class SlowFrameSerializer(serializers.Serializer):
    step = serializers.CharField(source="step_name")
    number = serializers.IntegerField()
    seconds = serializers.FloatField()


class AttemptCountsSerializer(serializers.Serializer):
    total = serializers.IntegerField()
    running = serializers.IntegerField()
    succeeded = serializers.IntegerField()
    failed = serializers.IntegerField()
    lost = serializers.IntegerField()
    stopped = serializers.IntegerField()


class StatisticsSerializer(serializers.Serializer):
    """Seconds, bytes, CNY; see `rendering.statistics`."""

    frames = FrameCountsSerializer()
    frame_seconds = FrameSecondsSerializer()
    slowest_frames = SlowFrameSerializer(many=True)
    attempts = AttemptCountsSerializer()
    retries = serializers.IntegerField()
    wall_seconds = serializers.FloatField()
    core_seconds = serializers.FloatField()
    cpu_seconds = serializers.FloatField()
    peak_memory_size = serializers.IntegerField()
    elapsed_seconds = serializers.FloatField(allow_null=True)
    charged_frames = serializers.IntegerField()
    unit_price = MoneyNumber(allow_null=True)
    estimated_cost = MoneyNumber(allow_null=True)
    actual_cost = MoneyNumber(allow_null=True)


class EngineSerializer(serializers.Serializer):
    name = serializers.CharField()
    versions = serializers.ListField(child=serializers.CharField())


class EnginesSerializer(serializers.Serializer):
    engines = EngineSerializer(many=True)
