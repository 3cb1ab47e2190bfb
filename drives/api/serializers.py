"""Shapes of drives on the wire."""

from typing import Any, cast

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from drives.models import (
    BlobPreview,
    Drive,
    DriveMember,
    DriveUsageSample,
    File,
    FileOperation,
    FileVersion,
    Folder,
)
from drives.paths import split
from drives.permissions import Right
from drives.services.operations import path_of_entry
from drives.services.places import OnClash
from drives.services.previews import PREVIEW_ENDINGS


class DriveSerializer(serializers.ModelSerializer):
    """A drive; `available_size` is -1 where there is no limit. `rights` are those of who asks, told by the view."""

    usage_percentage = serializers.SerializerMethodField()
    available_size = serializers.SerializerMethodField()
    file_count = serializers.IntegerField(read_only=True, default=0)
    drive_letter = serializers.SerializerMethodField()
    is_team_drive = serializers.SerializerMethodField()
    owner_name = serializers.SerializerMethodField()
    rights = serializers.SerializerMethodField()

    class Meta:
        model = Drive
        fields = (
            "id", "name", "icon", "description", "total_size", "used_size", "reserved_size", "available_size",
            "usage_percentage", "file_count", "drive_letter", "user_id", "team_id", "is_team_drive", "is_active",
            "is_default", "owner_name", "rights", "created_at", "updated_at",
        )  # fmt: skip

    @extend_schema_field(serializers.FloatField())
    def get_usage_percentage(self, drive: Drive) -> float:
        return round(100 * drive.used_size / drive.total_size, 2) if drive.total_size else 0.0

    @extend_schema_field(serializers.IntegerField())
    def get_available_size(self, drive: Drive) -> int:
        return -1 if drive.available_size is None else drive.available_size

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_drive_letter(self, drive: Drive) -> str | None:
        return f"{drive.letter}:" if drive.letter else None

    @extend_schema_field(serializers.BooleanField())
    def get_is_team_drive(self, drive: Drive) -> bool:
        return drive.team_id is not None

    @extend_schema_field(serializers.CharField(help_text="Of the person or the team whose drive it is."))
    def get_owner_name(self, drive: Drive) -> str:
        return drive.user.public_name if drive.user else drive.team.name if drive.team else ""

    @extend_schema_field(serializers.ListField(child=serializers.ChoiceField(choices=[*Right])))
    def get_rights(self, drive: Drive) -> list[str]:
        rights = self.context["rights"][drive.pk]
        return [right.value for right in Right if right in rights]


class UsageSampleSerializer(serializers.ModelSerializer):
    """How full a drive was on a day (UTC); sizes in bytes."""

    date = serializers.DateField(source="sample_date")

    class Meta:
        model = DriveUsageSample
        fields = ("date", "used_size", "reserved_size", "file_count")


class PathText(serializers.CharField):
    """A name or path, unchanged: `drives.paths` checks it, so that every fault of it is `bad_name`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, allow_blank=True, **options)
        self.validators = []


class DriveInputSerializer(serializers.Serializer):
    name = serializers.CharField(max_length=50)
    icon = serializers.CharField(max_length=50, required=False, allow_blank=True)
    description = serializers.CharField(max_length=255, required=False, allow_blank=True)
    total_size = serializers.IntegerField(min_value=0, max_value=2**60, required=False, allow_null=True)
    letter = serializers.RegexField("^[D-Z]?$", required=False, allow_blank=True)


class ChangedDriveSerializer(DriveInputSerializer):
    is_default = serializers.BooleanField(
        required=False, help_text="Whether its owner means this drive where they name none."
    )


class NewDriveSerializer(DriveInputSerializer):
    is_team_drive = serializers.BooleanField(default=False)
    team_id = serializers.UUIDField(required=False, allow_null=True)


def preview_url(file: File) -> str | None:
    """Where to ask for a preview of a file, for files that may have one; without a query."""
    return f"/api/v1/files/{file.pk}/preview" if file.extension in PREVIEW_ENDINGS else None


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
    preview_url = serializers.CharField(
        allow_null=True,
        help_text="The door to its preview, by the ending of the name; null where there is none.",
    )
    is_favourite = serializers.BooleanField(help_text="In lists; false elsewhere.")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    modified_at = serializers.DateTimeField()
    trashed_at = serializers.DateTimeField(allow_null=True)

    def to_representation(self, instance: Any) -> dict[str, Any]:
        folder = isinstance(instance, Folder)
        # What is in the trash is shown with the place it had.
        parent = split(instance.place if folder else path_of_entry(instance))[0]
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
            "preview_url": None if folder else preview_url(instance),
            "is_favourite": getattr(instance, "is_favourite", False),
            "created_at": instance.created_at,
            "updated_at": instance.updated_at,
            "modified_at": instance.updated_at if folder else instance.modified_at,
            "trashed_at": instance.trashed_at,
        }


class CrumbSerializer(serializers.Serializer):
    """A folder on the way."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    path = serializers.CharField()


class EntryDetailSerializer(EntrySerializer):
    breadcrumbs = CrumbSerializer(many=True)


class TreeFolderSerializer(CrumbSerializer):
    parent_id = serializers.UUIDField(allow_null=True)
    has_children = serializers.BooleanField()


class TreeSerializer(serializers.Serializer):
    folders = TreeFolderSerializer(many=True)
    truncated = serializers.BooleanField()


@extend_schema_serializer(many=False)  # also where the view's action is called list
class EntryPageSerializer(serializers.Serializer):
    files = EntrySerializer(many=True)
    breadcrumbs = CrumbSerializer(many=True, help_text="The way to the folder that is listed.")
    total = serializers.IntegerField()
    skip = serializers.IntegerField()
    limit = serializers.IntegerField()
    truncated = serializers.BooleanField(help_text="Whether a search found more than `total` says.")


class NewEntrySerializer(serializers.Serializer):
    drive_id = serializers.UUIDField()
    folder_path = PathText(default="/")
    file_name = PathText()
    is_folder = serializers.BooleanField(default=True)


class RenameSerializer(serializers.Serializer):
    file_name = PathText()


class OnClashField(serializers.ChoiceField):
    def __init__(self, **options: Any) -> None:
        options.pop("choices", None)
        super().__init__(choices=OnClash.choices, default=OnClash.REFUSE, **options)


class DestinationSerializer(serializers.Serializer):
    drive_id = serializers.UUIDField(required=False, allow_null=True, help_text="Its own drive by default.")
    folder_path = PathText()
    on_clash = OnClashField()


class RestoreSerializer(serializers.Serializer):
    folder_path = PathText(required=False, allow_null=True, help_text="Where it lay by default.")
    on_clash = OnClashField()


class BulkSerializer(RestoreSerializer):
    action = serializers.ChoiceField(choices=["move", "copy", "trash", "restore", "purge"])
    ids = serializers.ListField(child=serializers.UUIDField(), min_length=1, max_length=500)
    drive_id = serializers.UUIDField(required=False, allow_null=True, help_text="For move and copy.")


class ChosenArchiveSerializer(serializers.Serializer):
    ids = serializers.ListField(child=serializers.UUIDField(), min_length=1, max_length=500)
    archive_name = serializers.CharField(max_length=200, default="", allow_blank=True)


class ItemResultSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    success = serializers.BooleanField()
    code = serializers.CharField(help_text="Empty, or the code of the refusal.")
    detail = serializers.CharField()
    entry = EntrySerializer(allow_null=True)

    def to_representation(self, instance: Any) -> dict[str, Any]:
        shown = instance.entry and EntrySerializer(instance.entry, context=self.context).data
        return {
            "id": instance.id,
            "success": instance.error is None,
            "code": instance.error.code if instance.error else "",
            "detail": str(instance.error or ""),
            "entry": shown,
        }


class BulkResultSerializer(serializers.Serializer):
    results = ItemResultSerializer(many=True)
    failed = serializers.IntegerField()


class FolderSizeSerializer(serializers.Serializer):
    size = serializers.IntegerField()
    file_count = serializers.IntegerField()
    folder_count = serializers.IntegerField()


class UsageByTypeSerializer(serializers.Serializer):
    type = serializers.CharField(source="kind")
    total_size = serializers.IntegerField()
    file_count = serializers.IntegerField()


class UsageByFolderSerializer(serializers.Serializer):
    name = serializers.CharField(source="top")
    total_size = serializers.IntegerField()
    file_count = serializers.IntegerField()


class BreakdownSerializer(serializers.Serializer):
    by_type = UsageByTypeSerializer(many=True)
    by_folder = UsageByFolderSerializer(many=True)


class CountSerializer(serializers.Serializer):
    success = serializers.BooleanField()
    count = serializers.IntegerField()


class OperationSerializer(serializers.ModelSerializer):
    actor_name = serializers.CharField(source="actor.public_name", default="")

    class Meta:
        model = FileOperation
        fields = (
            "id", "drive_id", "actor_id", "actor_name", "action", "target_id", "is_folder", "path", "new_path",
            "size", "device", "created_at",
        )  # fmt: skip


class DriveRoleSerializer(serializers.Serializer):
    role = serializers.ChoiceField(choices=DriveMember.Role.choices)


class NewDriveMemberSerializer(DriveRoleSerializer):
    username = serializers.CharField(max_length=150)


class DriveMemberSerializer(serializers.ModelSerializer):
    username = serializers.CharField(source="user.public_name")

    class Meta:
        model = DriveMember
        fields = ("user_id", "username", "role", "created_at")


class VersionSerializer(serializers.ModelSerializer):
    """`created_at` is when the content was replaced."""

    md5 = serializers.CharField(source="blob.md5")
    download_url = serializers.SerializerMethodField()

    class Meta:
        model = FileVersion
        fields = ("id", "size", "md5", "modified_at", "created_at", "uploaded_by_id", "download_url")

    def get_download_url(self, version: FileVersion) -> str:
        return cast(str, self.context["link"](version))


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


class PreviewSerializer(serializers.Serializer):
    """A preview: `ready` with a link, `making`, or for good `broken` (the content is not whole) or `unsupported`."""

    state = serializers.ChoiceField(choices=BlobPreview.State.choices)
    size = serializers.IntegerField(help_text="Most pixels of the longer side.")
    preview_url = serializers.CharField(allow_null=True, help_text="A signed link to a picture (WebP).")
