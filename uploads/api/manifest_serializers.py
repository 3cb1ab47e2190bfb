"""Shapes of what a task announced and what became of it. uploads.selectors builds them; this describes them."""

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from uploads.api.long_lists import ManifestFileSerializer
from uploads.api.serializers import TaskSerializer
from uploads.models import TaskFile, UploadTask


class TaskSizesSerializer(serializers.Serializer):
    """Bytes of files that have landed."""

    sent_size = serializers.IntegerField(help_text="Came over the wire.")
    not_sent_size = serializers.IntegerField(help_text="Linked at once instead (instant upload).")
    not_stored_size = serializers.IntegerField(help_text="Was there already, whether it was sent or not.")


class TaskCountsSerializer(serializers.Serializer):
    pending = serializers.IntegerField()
    uploading = serializers.IntegerField()
    completed = serializers.IntegerField()
    failed = serializers.IntegerField()
    cancelled = serializers.IntegerField()


class TaskFileCountsSerializer(serializers.Serializer):
    pending = serializers.IntegerField()
    uploading = serializers.IntegerField()
    completed = serializers.IntegerField()
    failed = serializers.IntegerField()
    skipped = serializers.IntegerField()


class UploadStatsSerializer(TaskSizesSerializer):
    total_tasks = serializers.IntegerField()
    paused_tasks = serializers.IntegerField()
    tasks_by_status = TaskCountsSerializer()
    files_by_status = TaskFileCountsSerializer()
    total_files = serializers.IntegerField()
    uploaded_files = serializers.IntegerField()
    total_size = serializers.IntegerField()
    uploaded_size = serializers.IntegerField()


class UploadManifestSerializer(serializers.Serializer):
    task_name = serializers.CharField()
    drive_id = serializers.UUIDField()
    priority = serializers.IntegerField()
    total_files = serializers.IntegerField()
    total_size = serializers.IntegerField()
    client_info = serializers.DictField()
    files = ManifestFileSerializer(many=True)


class StoredFileSerializer(serializers.Serializer):
    file_id = serializers.UUIDField(allow_null=True)
    task_file_id = serializers.UUIDField()
    file_name = serializers.CharField()
    local_path = serializers.CharField()
    virtual_path = serializers.CharField(help_text="Where it lies now, or is meant to.")
    folder_id = serializers.UUIDField(allow_null=True)
    oss_key = serializers.CharField()
    oss_url = serializers.CharField()
    file_size = serializers.IntegerField()
    md5 = serializers.CharField()
    upload_status = serializers.ChoiceField(TaskFile.Status.choices)
    is_duplicated = serializers.BooleanField()
    upload_duration = serializers.FloatField(allow_null=True, help_text="Seconds.")


class StorageSummarySerializer(serializers.Serializer):
    total_files = serializers.IntegerField()
    uploaded_files = serializers.IntegerField()
    failed_files = serializers.IntegerField()
    skipped_files = serializers.IntegerField()
    total_size = serializers.IntegerField()
    storage_saved = serializers.IntegerField()


class StorageMappingsSerializer(serializers.Serializer):
    local_to_oss = serializers.DictField(child=serializers.CharField())
    local_to_virtual = serializers.DictField(child=serializers.CharField())
    oss_to_file_id = serializers.DictField(child=serializers.UUIDField())


class StorageManifestSerializer(serializers.Serializer):
    task_id = serializers.UUIDField()
    task_name = serializers.CharField()
    user_id = serializers.UUIDField()
    drive_id = serializers.UUIDField()
    drive_name = serializers.CharField()
    status = serializers.ChoiceField(UploadTask.Status.choices)
    summary = StorageSummarySerializer()
    completed_at = serializers.DateTimeField(allow_null=True)
    files = StoredFileSerializer(many=True)
    mappings = StorageMappingsSerializer()


@extend_schema_serializer(component_name="UploadTaskDetail")
class TaskDetailSerializer(TaskSerializer):
    """A task by itself. `storage_manifest` is null until it is completed; lists hold neither manifest."""

    statistics = TaskSizesSerializer()
    upload_manifest = UploadManifestSerializer()
    storage_manifest = StorageManifestSerializer(allow_null=True)

    class Meta(TaskSerializer.Meta):
        fields: tuple[str, ...] = (
            *TaskSerializer.Meta.fields,
            "statistics",
            "upload_manifest",
            "storage_manifest",
        )


class TaskDownloadFileSerializer(serializers.Serializer):
    task_file_id = serializers.UUIDField()
    file_id = serializers.UUIDField()
    file_name = serializers.CharField()
    virtual_path = serializers.CharField()
    file_size = serializers.IntegerField()
    download_url = serializers.CharField()


class TaskDownloadSerializer(serializers.Serializer):
    """`download_url` is that of the only file, or of an archive of all."""

    download_url = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds.")
    file_count = serializers.IntegerField()
    total_size = serializers.IntegerField()
    files = TaskDownloadFileSerializer(many=True)


class NewArchiveSerializer(serializers.Serializer):
    format = serializers.ChoiceField(["zip"], default="zip")
    archive_name = serializers.CharField(max_length=255, required=False, allow_blank=True, default="")


class ArchiveSerializer(serializers.Serializer):
    archive_id = serializers.UUIDField()
    status = serializers.CharField(help_text="completed: it is made as it is read.")
    download_url = serializers.CharField()
    expires_at = serializers.DateTimeField()
