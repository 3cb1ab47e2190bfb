"""Shapes of uploads on the wire."""

from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from common.parsers import snake
from drives.links import link_to
from drives.services.places import OnClash
from uploads.api.long_lists import CheckedFiles, ManifestFiles, Md5Field, PlainText
from uploads.models import TaskFile, UploadTask
from uploads.selectors import is_there, path_of, percentage


class ClientInfoSerializer(serializers.Serializer):
    """What the client says about itself; anything else in it is left out."""

    platform = PlainText(max_length=100, required=False, allow_blank=True)
    version = PlainText(max_length=100, required=False, allow_blank=True)
    ip = PlainText(max_length=100, required=False, allow_blank=True)


class ManifestSerializer(serializers.Serializer):
    task_name = serializers.CharField(max_length=255)
    task_description = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")
    drive_id = serializers.UUIDField(required=False, allow_null=True, default=None)
    priority = serializers.IntegerField(min_value=0, max_value=10, default=5)
    total_files = serializers.IntegerField(min_value=0, required=False, allow_null=True, default=None)
    total_size = serializers.IntegerField(min_value=0, required=False, allow_null=True, default=None)
    client_info = ClientInfoSerializer(required=False, allow_null=True, default=None)
    on_clash = serializers.ChoiceField(
        choices=OnClash.choices,
        default=OnClash.REPLACE,
        help_text="What becomes of files whose names are taken: refused (`name_taken` with their `paths`), put beside "
        "what is there under free names, or in its place, whose content becomes a version.",
    )
    files = ManifestFiles()

    def validate_on_clash(self, value: str) -> OnClash:
        return OnClash(value)


# Named apart from the render tasks in the OpenAPI document.
@extend_schema_serializer(component_name="NewUploadTask")
class NewTaskSerializer(serializers.Serializer):
    upload_manifest = ManifestSerializer()


@extend_schema_serializer(component_name="UploadTask")
class TaskSerializer(serializers.ModelSerializer):
    progress_percentage = serializers.SerializerMethodField()
    size_progress_percentage = serializers.SerializerMethodField()
    remaining_files = serializers.SerializerMethodField()
    remaining_size = serializers.SerializerMethodField()
    is_completed = serializers.SerializerMethodField()
    is_in_progress = serializers.SerializerMethodField()

    class Meta:
        model = UploadTask
        fields: tuple[str, ...] = (
            "id", "user_id", "drive_id", "task_name", "task_description", "status", "priority", "total_files",
            "uploaded_files", "failed_files", "total_size", "uploaded_size", "error_message", "created_at",
            "updated_at", "completed_at", "paused_at", "expires_at", "progress_percentage",
            "size_progress_percentage", "remaining_files", "remaining_size", "is_completed", "is_in_progress",
        )  # fmt: skip

    def get_progress_percentage(self, task: UploadTask) -> float:
        return percentage(task.uploaded_files, task.total_files)

    def get_size_progress_percentage(self, task: UploadTask) -> float:
        return percentage(task.uploaded_size, task.total_size)

    def get_remaining_files(self, task: UploadTask) -> int:
        return task.total_files - task.uploaded_files

    def get_remaining_size(self, task: UploadTask) -> int:
        return task.total_size - task.uploaded_size

    def get_is_completed(self, task: UploadTask) -> bool:
        return task.status == UploadTask.Status.COMPLETED

    def get_is_in_progress(self, task: UploadTask) -> bool:
        return task.status in UploadTask.OPEN_STATUSES


@extend_schema_serializer(component_name="AnnouncedUploadTask")
@extend_schema_serializer(component_name="AnnouncedUploadTask")
class AnnouncedTaskSerializer(TaskSerializer):
    file_ids = serializers.ListField(
        child=serializers.UUIDField(), help_text="The files' ids in the order of the manifest."
    )

    class Meta(TaskSerializer.Meta):
        fields: tuple[str, ...] = (*TaskSerializer.Meta.fields, "file_ids")


class TaskFileSerializer(serializers.ModelSerializer):
    """`oss_key` and `oss_url` are kept for existing clients: of a file that is there, its path and a signed link.

    `duplicated_from` is always null: content has no first owner here.
    """

    upload_progress = serializers.SerializerMethodField()
    oss_key = serializers.SerializerMethodField()
    oss_url = serializers.SerializerMethodField()
    duplicated_from = serializers.SerializerMethodField()
    is_completed = serializers.SerializerMethodField()
    is_failed = serializers.SerializerMethodField()
    can_retry = serializers.SerializerMethodField()

    class Meta:
        model = TaskFile
        fields = (
            "id", "task_id", "file_id", "local_path", "target_folder_path", "file_name", "virtual_path", "file_size",
            "md5", "mime_type", "status", "upload_progress", "oss_key", "oss_url", "is_duplicated", "duplicated_from",
            "error_message", "retry_count",
            "created_at", "updated_at", "completed_at", "is_completed", "is_failed", "can_retry",
        )  # fmt: skip

    @extend_schema_field(serializers.FloatField())
    def get_upload_progress(self, row: Any) -> float:
        if row.status in TaskFile.LANDED_STATUSES:
            return 100.0
        received = getattr(row, "received_size", 0) or 0
        return percentage(received, row.file_size) if received else 0.0

    def get_oss_key(self, row: TaskFile) -> str:
        return path_of(row) if is_there(row) else ""

    def get_oss_url(self, row: TaskFile) -> str:
        if row.file is None or not is_there(row):
            return ""
        return link_to(
            row.file.blob_id, row.file.name, request=self.context["request"], drive_id=row.file.drive_id
        )

    @extend_schema_field(serializers.UUIDField(allow_null=True))
    def get_duplicated_from(self, row: TaskFile) -> None:
        return None

    def get_is_completed(self, row: TaskFile) -> bool:
        return row.status in TaskFile.LANDED_STATUSES

    def get_is_failed(self, row: TaskFile) -> bool:
        return row.status == TaskFile.Status.FAILED

    def get_can_retry(self, row: TaskFile) -> bool:
        return row.status == TaskFile.Status.FAILED and row.retry_count < TaskFile.MAX_RETRIES


class ProgressSerializer(serializers.Serializer):
    task_id = serializers.UUIDField()
    status = serializers.ChoiceField(UploadTask.Status.choices)
    progress_percentage = serializers.FloatField()
    size_progress_percentage = serializers.FloatField()
    uploaded_files = serializers.IntegerField()
    total_files = serializers.IntegerField()
    uploaded_size = serializers.IntegerField()
    total_size = serializers.IntegerField()
    remaining_files = serializers.IntegerField()
    remaining_size = serializers.IntegerField()
    paused_at = serializers.DateTimeField(allow_null=True)
    updated_at = serializers.DateTimeField()


class CheckSerializer(serializers.Serializer):
    files = CheckedFiles(required=False, default=None)


class ExistingFileSerializer(serializers.Serializer):
    task_file_id = serializers.UUIDField()
    md5 = serializers.CharField()
    existing_file_id = serializers.UUIDField()
    file_size = serializers.IntegerField()


class CheckResultSerializer(serializers.Serializer):
    existing_files = ExistingFileSerializer(many=True)
    new_files_count = serializers.IntegerField()
    storage_saved = serializers.IntegerField(help_text="Bytes that need not be sent.")


class UploadResultSerializer(serializers.Serializer):
    """`oss_key` and `oss_url` are kept for existing clients: the path in the drive and a signed link."""

    task_file_id = serializers.UUIDField()
    file_id = serializers.UUIDField()
    file_size = serializers.IntegerField()
    md5 = serializers.CharField()
    sha256 = serializers.CharField(allow_blank=True, help_text="Empty until the content was read.")
    oss_key = serializers.CharField()
    oss_url = serializers.CharField()
    is_duplicated = serializers.BooleanField()
    instant_upload = serializers.BooleanField()
    upload_duration = serializers.FloatField(help_text="Seconds.")


class BatchErrorSerializer(serializers.Serializer):
    code = serializers.CharField()
    detail = serializers.CharField()


class BatchFileSerializer(serializers.Serializer):
    """`completed` or `skipped`, or `refused` with the error that the file alone would have got."""

    task_file_id = serializers.CharField()
    status = serializers.ChoiceField(["completed", "skipped", "refused"])
    file_id = serializers.UUIDField(required=False)
    file_size = serializers.IntegerField(required=False)
    md5 = serializers.CharField(required=False)
    sha256 = serializers.CharField(required=False)
    is_duplicated = serializers.BooleanField(required=False)
    error = BatchErrorSerializer(required=False)


class BatchResultSerializer(serializers.Serializer):
    results = BatchFileSerializer(many=True)
    landed = serializers.IntegerField()
    refused = serializers.IntegerField()


class MultipartStartedSerializer(serializers.Serializer):
    task_file_id = serializers.UUIDField()
    upload_id = serializers.CharField()
    chunk_size = serializers.IntegerField()
    total_chunks = serializers.IntegerField()
    uploaded_chunks = serializers.ListField(child=serializers.IntegerField())


class IndexBaseField(serializers.ChoiceField):
    """The number of the first part: 1, unless the client says that it counts from 0."""

    def __init__(self, **options: Any) -> None:
        super().__init__([0, 1], default=1, **options)


class AnyCaseSerializer(serializers.Serializer):
    """Fields may be spelt in camelCase, too, whoever the client is: a form, or JSON of the desktop client."""

    def to_internal_value(self, data: Any) -> Any:
        return super().to_internal_value({snake(name): value for name, value in data.items()})


class PartSerializer(AnyCaseSerializer):
    """The digest of the part under either name."""

    chunk_index = serializers.IntegerField()
    index_base = IndexBaseField()
    chunk_md5 = Md5Field()
    chunk_hash = Md5Field()


class PartResultSerializer(serializers.Serializer):
    chunk_index = serializers.IntegerField()
    etag = serializers.CharField()
    chunk_etag = serializers.CharField()
    uploaded_chunks = serializers.IntegerField()
    total_chunks = serializers.IntegerField()
    progress_percentage = serializers.FloatField()


class CompleteSerializer(serializers.Serializer):
    """`chunk_etags` as a map of number to etag, as a list of {part_number, etag?}, or left out."""

    chunk_etags = serializers.JSONField(required=False, allow_null=True, default=None)
    index_base = IndexBaseField()

    def validate_chunk_etags(self, value: Any) -> dict[int, str]:
        try:
            if isinstance(value, dict):
                return {int(number): str(etag or "") for number, etag in value.items()}
            if isinstance(value, list):
                return {int(item["part_number"]): str(item.get("etag") or "") for item in value}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise serializers.ValidationError("Not a list of parts.") from error
        if value is None:
            return {}
        raise serializers.ValidationError("Not a list of parts.")


class AbortSerializer(serializers.Serializer):
    reason = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")


class RetrySerializer(serializers.Serializer):
    task_file_id = serializers.UUIDField()
    status = serializers.CharField()
    retry_count = serializers.IntegerField()
    message = serializers.CharField()
