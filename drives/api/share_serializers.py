"""Shapes of share links on the wire."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from drives.api.serializers import DestinationSerializer, PathText
from drives.models import File, Folder, ShareLink
from drives.services.operations import path_of_entry
from drives.services.previews import PREVIEW_ENDINGS
from drives.services.shares import shared_entry


class NewShareSerializer(serializers.Serializer):
    entry_id = serializers.UUIDField(help_text="Of a file or folder.")
    password = serializers.CharField(
        max_length=128, default="", allow_blank=True, trim_whitespace=False, help_text="None by default."
    )
    expires_in_days = serializers.IntegerField(
        min_value=1, max_value=3650, required=False, allow_null=True, help_text="Never by default."
    )
    max_downloads = serializers.IntegerField(
        min_value=1, max_value=1_000_000, required=False, allow_null=True, help_text="No limit by default."
    )


class ShareChangeSerializer(serializers.Serializer):
    """What is left out stays as it is."""

    password = serializers.CharField(
        max_length=128, required=False, allow_blank=True, trim_whitespace=False, help_text="Empty for none."
    )
    expires_in_days = serializers.IntegerField(
        min_value=1, max_value=3650, required=False, allow_null=True, help_text="From now on; null for never."
    )
    max_downloads = serializers.IntegerField(
        min_value=1,
        max_value=1_000_000,
        required=False,
        allow_null=True,
        help_text="In all; null for no limit.",
    )


class ShareSerializer(serializers.ModelSerializer):
    """A link, without its address, which nobody knows any more."""

    entry_id = serializers.SerializerMethodField()
    is_folder = serializers.SerializerMethodField()
    path = serializers.SerializerMethodField()
    has_password = serializers.BooleanField()
    creator_name = serializers.CharField(source="creator.public_name", default="")

    class Meta:
        model = ShareLink
        fields = (
            "id", "drive_id", "entry_id", "is_folder", "path", "has_password", "expires_at", "max_downloads",
            "download_count", "revoked_at", "creator_id", "creator_name", "created_at",
        )  # fmt: skip

    @extend_schema_field(serializers.UUIDField())
    def get_entry_id(self, share: ShareLink) -> str:
        return str(share.file_id or share.folder_id)

    def get_is_folder(self, share: ShareLink) -> bool:
        return share.folder_id is not None

    def get_path(self, share: ShareLink) -> str:
        return path_of_entry(shared_entry(share))


class MadeShareSerializer(ShareSerializer):
    url = serializers.CharField(help_text="Shown this once.")

    class Meta(ShareSerializer.Meta):
        fields = (*ShareSerializer.Meta.fields, "url")  # type: ignore[assignment]


class SharedEntrySerializer(serializers.Serializer):
    """What strangers learn of a file or folder."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    is_folder = serializers.BooleanField()
    size = serializers.IntegerField()
    mime_type = serializers.CharField()
    modified_at = serializers.DateTimeField()
    preview_url = serializers.CharField(
        allow_null=True,
        help_text="The door to its preview, by the ending of the name; null where there is none.",
    )

    def to_representation(self, instance: Any) -> dict[str, Any]:
        folder = isinstance(instance, Folder)
        return {
            "id": instance.pk,
            "name": instance.name,
            "is_folder": folder,
            "size": 0 if folder else instance.size,
            "mime_type": "" if folder else instance.mime_type,
            "modified_at": instance.updated_at if folder else instance.modified_at,
            "preview_url": None if folder else preview_url(instance, self.context["token"]),
        }


def preview_url(file: File, token: str) -> str | None:
    """Where a stranger asks for a preview of a file, for files that may have one; without a query."""
    has_one = file.extension in PREVIEW_ENDINGS
    return f"/api/v1/shared/{token}/files/{file.pk}/preview" if has_one else None


class SharedSerializer(serializers.Serializer):
    needs_password = serializers.BooleanField(help_text="Whether it asks for one before it shows anything.")
    entry = SharedEntrySerializer(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    downloads_left = serializers.IntegerField(allow_null=True, help_text="Null where there is no limit.")


class SharedPageSerializer(serializers.Serializer):
    files = SharedEntrySerializer(many=True)
    total = serializers.IntegerField()
    skip = serializers.IntegerField()
    limit = serializers.IntegerField()


class UnlockSerializer(serializers.Serializer):
    password = serializers.CharField(max_length=128, trim_whitespace=False)


class KeySerializer(serializers.Serializer):
    key = serializers.CharField(help_text="The bearer token of the other doors of this link.")
    expires_in = serializers.IntegerField(help_text="Seconds.")


class SharedDownloadSerializer(serializers.Serializer):
    id = serializers.UUIDField(
        required=False, allow_null=True, help_text="A file or folder of the share; all of it by default."
    )


class SaveSharedSerializer(DestinationSerializer):
    id = serializers.UUIDField(
        required=False, allow_null=True, help_text="A file or folder of the share; all of it by default."
    )
    key = serializers.CharField(
        max_length=200,
        default="",
        allow_blank=True,
        help_text="What `unlock` gave; for a link with a password.",
    )
    drive_id = serializers.UUIDField(
        required=False, allow_null=True, help_text="The default drive by default."
    )
    folder_path = PathText(default="/")
