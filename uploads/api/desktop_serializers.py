"""Shapes of the /files and /logs calls of older clients: answers in camelCase for everybody; both spellings are
accepted.
"""

import base64
import binascii
from datetime import UTC
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from common.errors import TooLarge
from uploads.api.long_lists import MAX_SIZE, Md5Field, PlainText
from uploads.api.serializers import AnyCaseSerializer
from uploads.selectors import MAX_PARTS
from uploads.services import client_logs


class Base64Field(serializers.CharField):
    """Bytes in base64, at most `max_size` of them."""

    default_error_messages = {"base64": _("This is not base64.")}

    def __init__(self, *, max_size: int, **options: Any) -> None:
        super().__init__(**options)
        self.max_size = max_size

    def to_internal_value(self, data: Any) -> bytes:  # type: ignore[override]
        text = "".join(super().to_internal_value(data).split())
        try:
            found = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            self.fail("base64")
        if len(found) > self.max_size:
            raise TooLarge(limit=self.max_size)
        return found


class ChunkSerializer(AnyCaseSerializer):
    task_id = PlainText(max_length=100)
    chunk_index = serializers.IntegerField(min_value=0)
    total_chunks = serializers.IntegerField(min_value=1, max_value=MAX_PARTS)
    chunk_hash = Md5Field()


class ChunkDataSerializer(AnyCaseSerializer):
    chunk_data = Base64Field(max_size=5 * 2**20)


class ChunkResultSerializer(serializers.Serializer):
    success = serializers.BooleanField()
    message = serializers.CharField()
    chunkIndex = serializers.IntegerField()


class MergeSerializer(AnyCaseSerializer):
    task_id = PlainText(max_length=100)
    file_name = serializers.CharField(trim_whitespace=False)
    total_chunks = serializers.IntegerField(min_value=1, max_value=MAX_PARTS)
    file_size = serializers.IntegerField(min_value=0, max_value=MAX_SIZE)


class MergeResultSerializer(serializers.Serializer):
    success = serializers.BooleanField()
    message = serializers.CharField()
    objectKey = serializers.CharField()
    url = serializers.CharField()
    fileName = serializers.CharField()
    fileSize = serializers.IntegerField()
    fileId = serializers.UUIDField()


class SceneUploadSerializer(serializers.Serializer):
    filename = serializers.CharField()
    object_key = serializers.CharField()
    url = serializers.CharField()
    size = serializers.IntegerField()
    content_type = serializers.CharField()
    file_id = serializers.UUIDField()
    message = serializers.CharField()


class SceneLinkSerializer(serializers.Serializer):
    download_url = serializers.CharField()
    filename = serializers.CharField()
    object_key = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds.")


class UploadUrlSerializer(serializers.Serializer):
    upload_url = serializers.CharField()
    object_key = serializers.CharField()
    filename = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds.")


class ObjectInfoSerializer(serializers.Serializer):
    object_key = serializers.CharField()
    file_id = serializers.UUIDField()
    size = serializers.IntegerField()
    content_type = serializers.CharField()
    last_modified = serializers.IntegerField(help_text="Seconds since 1970.")
    etag = serializers.CharField()


class ObjectGoneSerializer(serializers.Serializer):
    success = serializers.BooleanField()
    message = serializers.CharField()
    object_key = serializers.CharField()


class NewLogSerializer(AnyCaseSerializer):
    file_name = serializers.CharField(trim_whitespace=False)
    file_size = serializers.IntegerField(min_value=0, required=False, allow_null=True, default=None)
    log_content = Base64Field(max_size=client_logs.MAX_SIZE)
    upload_time = serializers.DateTimeField(required=False, allow_null=True, default=None)


class StoredLogSerializer(serializers.Serializer):
    success = serializers.BooleanField()
    message = serializers.CharField()
    savedPath = serializers.CharField()
    fileName = serializers.CharField()


class LogSerializer(serializers.Serializer):
    date = serializers.DateField(source="log_date")
    fileName = serializers.CharField(source="file_name")
    filePath = serializers.SerializerMethodField()
    fileSize = serializers.IntegerField(source="size")
    uploadTime = serializers.DateTimeField(source="created_at", default_timezone=UTC)

    def get_filePath(self, log: Any) -> str:
        return client_logs.path_of(log)


@extend_schema_serializer(many=False)
class LogPageSerializer(serializers.Serializer):
    success = serializers.BooleanField()
    logs = LogSerializer(many=True)
    total = serializers.IntegerField()
    skip = serializers.IntegerField()
    limit = serializers.IntegerField()


class LogContentSerializer(serializers.Serializer):
    success = serializers.BooleanField()
    fileName = serializers.CharField()
    content = serializers.CharField(help_text="In base64.")
