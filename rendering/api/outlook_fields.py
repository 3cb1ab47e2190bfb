"""Fields that only the answer for a single task has, not a list of tasks."""

from typing import Any

from rest_framework import serializers

from rendering.models import RenderJob
from rendering.outlook import outlook
from rendering.selectors import waiting_reason


class RunningFrameSerializer(serializers.Serializer):
    """A frame that is being rendered; progress in per cent."""

    step = serializers.CharField()
    number = serializers.IntegerField()
    progress = serializers.FloatField()


class WaitingSerializer(serializers.Serializer):
    """Why nothing of a task is being rendered; codes are those of `rendering.selectors.waiting_reason`."""

    code = serializers.CharField()
    message = serializers.CharField()
    until = serializers.DateTimeField(allow_null=True)


class OutlookFields(serializers.Serializer):
    """Mix into the serializer of one task, before its base: some statements for each, too many for a list.

    `progress` counts running frames with their part. `queue_position` and `estimated_seconds` are guesses, null where
    nothing is known (rendering/outlook.py). `waiting` is null where a frame is being rendered or none is to be.
    """

    queue_position = serializers.IntegerField(read_only=True, allow_null=True)
    estimated_seconds = serializers.IntegerField(read_only=True, allow_null=True)
    running = RunningFrameSerializer(many=True, read_only=True)
    waiting = WaitingSerializer(read_only=True, allow_null=True)

    def to_representation(self, instance: RenderJob) -> dict[str, Any]:
        seen = outlook(instance)
        for name in ("queue_position", "estimated_seconds", "running"):
            setattr(instance, name, getattr(seen, name))
        vars(instance)["waiting"] = None if seen.running else waiting_reason(instance)
        body: dict[str, Any] = super().to_representation(instance)
        return {**body, "progress": seen.progress}
