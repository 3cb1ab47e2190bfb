"""Shapes of drives on the wire."""

from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from drives.models import Drive, DriveUsageSample, Folder


class DriveSerializer(serializers.ModelSerializer):
    """A drive; `available_size` is -1 where there is no limit."""

    usage_percentage = serializers.SerializerMethodField()
    available_size = serializers.SerializerMethodField()
    file_count = serializers.IntegerField(read_only=True, default=0)
    drive_letter = serializers.SerializerMethodField()
    team_id = serializers.SerializerMethodField()
    is_team_drive = serializers.SerializerMethodField()

    class Meta:
        model = Drive
        fields = (
            "id", "name", "icon", "description", "total_size", "used_size", "reserved_size", "available_size",
            "usage_percentage", "file_count", "drive_letter", "user_id", "team_id", "is_team_drive", "is_active",
            "created_at", "updated_at",
        )  # fmt: skip

    @extend_schema_field(serializers.FloatField())
    def get_usage_percentage(self, drive: Drive) -> float:
        return round(100 * drive.used_size / drive.total_size, 2) if drive.total_size else 0.0

    @extend_schema_field(serializers.IntegerField())
    def get_available_size(self, drive: Drive) -> int:
        return -1 if drive.available_size is None else drive.available_size

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_drive_letter(self, drive: Drive) -> str | None:
        return None

    @extend_schema_field(serializers.UUIDField(allow_null=True))
    def get_team_id(self, drive: Drive) -> str | None:
        return None

    @extend_schema_field(serializers.BooleanField())
    def get_is_team_drive(self, drive: Drive) -> bool:
        return False


class UsageSampleSerializer(serializers.ModelSerializer):
    """How full a drive was on a day (UTC); sizes in bytes."""

    date = serializers.DateField(source="sample_date")

    class Meta:
        model = DriveUsageSample
        fields = ("date", "used_size", "reserved_size", "file_count")


class PathText(serializers.CharField):
    """A name or path as it came. `drives.paths` judges it, so that every fault of it is `bad_name`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, allow_blank=True, **options)
        self.validators = []


class DriveInputSerializer(serializers.Serializer):
    name = serializers.CharField(max_length=50)
    icon = serializers.CharField(max_length=50, required=False, allow_blank=True)
    description = serializers.CharField(max_length=255, required=False, allow_blank=True)
    total_size = serializers.IntegerField(min_value=0, max_value=2**60, required=False, allow_null=True)


class EntrySerializer(serializers.Serializer):
    """A file or folder under both spellings existing clients read (wire contract §1.4 and §1.5)."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    file_name = serializers.CharField()
    size = serializers.IntegerField()
    file_size = serializers.IntegerField()
    is_folder = serializers.BooleanField()
    drive_id = serializers.UUIDField()
    folder_path = serializers.CharField()
    mime_type = serializers.CharField()
    md5 = serializers.CharField()
    sha256 = serializers.CharField()
    download_url = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        folder = isinstance(instance, Folder)
        parent = (instance.path.rsplit("/", 1)[0] or "/") if folder else instance.folder_path
        size = 0 if folder else instance.size
        return {
            "id": instance.pk,
            "name": instance.name,
            "file_name": instance.name,
            "size": size,
            "file_size": size,
            "is_folder": folder,
            "drive_id": instance.drive_id,
            "folder_path": parent,
            "mime_type": "" if folder else instance.mime_type,
            "md5": "" if folder else instance.blob.md5,
            "sha256": "" if folder else instance.blob.sha256 or "",
            "download_url": None if folder else self.context["link"](instance),
            "created_at": instance.created_at,
            "updated_at": instance.updated_at,
        }


@extend_schema_serializer(many=False)  # also where the view's action is called list
class EntryPageSerializer(serializers.Serializer):
    files = EntrySerializer(many=True)
    total = serializers.IntegerField()
    skip = serializers.IntegerField()
    limit = serializers.IntegerField()


class NewEntrySerializer(serializers.Serializer):
    drive_id = serializers.UUIDField()
    folder_path = PathText(default="/")
    file_name = PathText()
    is_folder = serializers.BooleanField(default=True)


class RenameSerializer(serializers.Serializer):
    file_name = PathText()


class LinkSerializer(serializers.Serializer):
    download_url = serializers.CharField()
    filename = serializers.CharField()
    size = serializers.IntegerField()
    etag = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds.")


class DriveStatsSerializer(serializers.Serializer):
    total_drives = serializers.IntegerField()
    personal_drives = serializers.IntegerField()
    team_drives = serializers.IntegerField()
    total_size = serializers.IntegerField()
    used_size = serializers.IntegerField()
    available_size = serializers.IntegerField(help_text="-1 where there is no limit.")
    usage_percentage = serializers.FloatField()
