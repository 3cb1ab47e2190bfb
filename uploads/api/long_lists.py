"""Lists of ten thousand objects, of which the obviously valid ones are accepted without validators.

DRF builds and runs some ten validators for each object: a second for the 10,000 files of a manifest. Here `glance`
accepts what is obviously valid. Anything else goes through the serializer, which decides and reports the errors.
"""

import re
from typing import Any, TypeGuard, cast

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.ids import as_uuid
from drives.api.serializers import PathText
from uploads.services.instant import CheckedFile
from uploads.services.manifests import ManifestFile

MD5 = re.compile(r"[0-9a-fA-F]{32}")
PRINTABLE = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]*")
MAX_SIZE = 10_000 * 64 * 2**20
MAX_ERRORS = 100


def is_text(value: Any, length: int) -> TypeGuard[str]:
    return isinstance(value, str) and len(value) <= length and bool(PRINTABLE.fullmatch(value))


def is_size(value: Any) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= MAX_SIZE


def is_md5(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and bool(MD5.fullmatch(value))


class PlainText(serializers.RegexField):
    """Text without control characters."""

    def __init__(self, **options: Any) -> None:
        super().__init__(rf"\A{PRINTABLE.pattern}\Z", **options)


class Md5Field(serializers.RegexField):
    """An MD5 in hex of either case; empty or null where unknown."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            rf"\A{MD5.pattern}\Z", required=False, allow_blank=True, allow_null=True, default="", **options
        )


class ManifestFileSerializer(serializers.Serializer):
    index = serializers.IntegerField(required=False, min_value=0)
    local_path = PlainText(
        max_length=1024, required=False, allow_blank=True, default="", trim_whitespace=False
    )
    target_folder_path = PathText(default="/")
    file_name = PathText()
    file_size = serializers.IntegerField(min_value=0, max_value=MAX_SIZE)
    md5 = Md5Field()
    mime_type = PlainText(max_length=100, required=False, allow_blank=True, allow_null=True, default="")


class CheckedFileSerializer(serializers.Serializer):
    task_file_id = serializers.UUIDField()
    md5 = Md5Field()
    file_size = serializers.IntegerField(min_value=0, max_value=MAX_SIZE)


class LongList(serializers.Field):
    """A list of objects; reports at most 100 faults."""

    default_error_messages = serializers.ListSerializer.default_error_messages
    judge: type[serializers.Serializer]

    def glance(self, item: dict[str, Any]) -> Any:
        """What `item` means if it is obviously valid, else None."""
        raise NotImplementedError

    def build(self, data: dict[str, Any]) -> Any:
        """What data means that the serializer has validated."""
        raise NotImplementedError

    def to_internal_value(self, data: Any) -> list[Any]:
        if not isinstance(data, list):
            self.fail("not_a_list", input_type=type(data).__name__)
        found: list[Any] = []
        errors: dict[int, Any] = {}
        for index, item in enumerate(data):
            taken = self.glance(item) if isinstance(item, dict) else None
            if taken is None:
                judged = self.judge(data=item)
                if judged.is_valid():
                    taken = self.build(judged.validated_data)
                else:
                    errors[index] = judged.errors
                    if len(errors) == MAX_ERRORS:
                        break
            found.append(taken)
        if errors:
            raise serializers.ValidationError(cast(Any, errors))  # the indexes become part of `loc`
        return found


@extend_schema_field(ManifestFileSerializer(many=True))
class ManifestFiles(LongList):
    judge = ManifestFileSerializer

    def glance(self, item: dict[str, Any]) -> ManifestFile | None:
        folder, name, size = item.get("target_folder_path", "/"), item.get("file_name"), item.get("file_size")
        local, md5, kind = item.get("local_path", ""), item.get("md5") or "", item.get("mime_type") or ""
        # Names and paths only have to be text here: `drives.paths` judges them.
        if not (isinstance(folder, str) and isinstance(name, str) and is_size(size)):
            return None
        if not (is_text(local, 1024) and is_text(kind, 100) and (md5 == "" or is_md5(md5))):
            return None
        return ManifestFile(local, folder, name, size, md5, kind)

    def build(self, data: dict[str, Any]) -> ManifestFile:
        return ManifestFile(
            local_path=data["local_path"],
            target_folder_path=data["target_folder_path"],
            file_name=data["file_name"],
            file_size=data["file_size"],
            md5=data["md5"] or "",
            mime_type=data["mime_type"] or "",
        )


@extend_schema_field(CheckedFileSerializer(many=True))
class CheckedFiles(LongList):
    judge = CheckedFileSerializer

    def glance(self, item: dict[str, Any]) -> CheckedFile | None:
        task_file_id, md5, size = as_uuid(item.get("task_file_id")), item.get("md5"), item.get("file_size")
        if task_file_id is not None and is_md5(md5) and is_size(size):
            return CheckedFile(task_file_id, md5, size)
        return None

    def build(self, data: dict[str, Any]) -> CheckedFile:
        return CheckedFile(data["task_file_id"], data["md5"] or "", data["file_size"])
