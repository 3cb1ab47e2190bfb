"""Doors of temporary keys, of files that were put with them, and of what OSS tells of such files."""

from typing import Any, cast
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from common.errors import NotVisible, TooLarge
from common.ids import as_uuid
from drives.errors import CallbackForged, DriveReadOnly, NameTaken, SizeMismatch
from drives.storage.oss_callback import require_from_oss
from uploads import errors
from uploads.api import serializers as shapes
from uploads.api.task_files import FileOfTask
from uploads.models import TaskFile, UploadTask
from uploads.services import temporary_keys as sts
from uploads.services.direct import asking_the_bucket

GIVING = (
    errors.NotSupported, errors.UploadClosed, errors.UploadPaused, DriveReadOnly, errors.StorageFailed,
)  # fmt: skip
TAKING = (
    *GIVING, errors.SentInParts, errors.SentInOrder, errors.SentDirectly, errors.ObjectMissing, SizeMismatch, NameTaken,
)  # fmt: skip
MAX_CALLBACK = 16 * 1024


class KeysSerializer(serializers.Serializer):
    """Keys for an hour. Put each file of the task to `prefix` and the file's id; `callback` is for `x-oss-callback`."""

    access_key_id = serializers.CharField()
    access_key_secret = serializers.CharField()
    security_token = serializers.CharField()
    expiration = serializers.DateTimeField()
    endpoint = serializers.CharField()
    region = serializers.CharField()
    bucket_name = serializers.CharField()
    prefix = serializers.CharField()
    callback = serializers.CharField(allow_blank=True)


class SentFileSerializer(serializers.Serializer):
    """All of it may be left out: the bucket is asked. `oss_url` and `md5` are not looked at."""

    oss_key = serializers.CharField(max_length=1024, required=False, allow_blank=True, default="")
    oss_url = serializers.CharField(max_length=2048, required=False, allow_blank=True)
    md5 = serializers.CharField(max_length=32, required=False, allow_blank=True, allow_null=True)
    file_size = serializers.IntegerField(min_value=0, required=False, allow_null=True, default=None)


class OldKeysRequestSerializer(serializers.Serializer):
    """The id of an upload task, and the name or path of one of its files."""

    taskId = serializers.CharField(max_length=100)  # noqa: N815  (as older clients spell it)
    fileName = serializers.CharField(max_length=1300)  # noqa: N815


class OldKeysSerializer(serializers.Serializer):
    accessKeyId = serializers.CharField()  # noqa: N815
    accessKeySecret = serializers.CharField()  # noqa: N815
    securityToken = serializers.CharField()  # noqa: N815
    endpoint = serializers.CharField()
    bucketName = serializers.CharField()  # noqa: N815
    objectKey = serializers.CharField()  # noqa: N815
    expiration = serializers.DateTimeField()


class StorageCallbackSerializer(serializers.Serializer):
    """`oss_key` is the object's name; whatever else comes is not looked at."""

    oss_key = serializers.CharField(max_length=1024)


class StorageCallbackResultSerializer(serializers.Serializer):
    Status = serializers.ChoiceField(["OK"])
    Message = serializers.CharField()


def keys_of(task: UploadTask) -> dict[str, Any]:
    keys, storage = sts.give_keys(task=task), sts.oss()
    return {
        "access_key_id": keys.access_key_id,
        "access_key_secret": keys.access_key_secret,
        "security_token": keys.security_token,
        "expiration": keys.expiration,
        "endpoint": storage.public_endpoint or storage.endpoint,
        "region": storage.region,
        "bucket_name": storage.bucket_name,
        "prefix": storage.name_of(sts.prefix_of(task)),
        "callback": sts.callback_parameter(),
    }


@extend_schema(tags=["upload-tasks"], parameters=[OpenApiParameter("task_id", OpenApiTypes.UUID, "path")])
class SentFileViewSet(FileOfTask):
    """Files of a task that their client puts into the bucket with temporary keys."""

    open_to_guests = ("keys", "complete")
    refusals = {"keys": GIVING, "complete": TAKING}

    @extend_schema(request=None, responses=KeysSerializer)
    def keys(self, request: Request, task_id: UUID) -> Response:
        """Temporary keys that can put objects below the task's prefix, and nothing else.

        409 `not_supported` where the storage is not OSS, or no role is set.
        """
        return Response(keys_of(cast(UploadTask, self.get_object())))

    @extend_schema(
        request=SentFileSerializer,
        responses=shapes.TaskFileSerializer,
        parameters=[OpenApiParameter("file_id", OpenApiTypes.UUID, "path")],
    )
    def complete(self, request: Request, task_id: UUID, file_id: UUID) -> Response:
        """Take a file that was put with temporary keys into the drive. Repeating it answers the same."""
        told = self.valid(SentFileSerializer, request)
        row = sts.complete_sent(
            task_file=self.task_file(),
            actor=self.actor,
            object_name=told["oss_key"],
            file_size=told["file_size"],
        )
        return Response(shapes.TaskFileSerializer(row, context=self.get_serializer_context()).data)


@extend_schema(tags=["files"])
class OldKeysView(APIView):
    """As older clients ask for temporary keys."""

    open_to_guests = ("post",)
    refusals = {"post": GIVING}

    @extend_schema(request=OldKeysRequestSerializer, responses=OldKeysSerializer)
    def post(self, request: Request) -> Response:
        """Temporary keys for a file of an upload task, and the name under which to put it."""
        asked = OldKeysRequestSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        task_id, name = as_uuid(asked.validated_data["taskId"]), asked.validated_data["fileName"]
        tasks = UploadTask.objects.visible_to(cast(User, request.user)).select_related("drive", "user")
        task = tasks.filter(pk=task_id).first() if task_id else None
        folder, _slash, plain = name.rpartition("/")
        rows = TaskFile.objects.filter(task=task, file_name=plain).order_by("position", "pk")
        row = (rows.filter(target_folder_path=folder or "/") if folder else rows).first()
        if task is None or row is None:
            raise NotVisible
        keys = keys_of(task)
        body = {
            "accessKeyId": keys["access_key_id"],
            "accessKeySecret": keys["access_key_secret"],
            "securityToken": keys["security_token"],
            "endpoint": keys["endpoint"],
            "bucketName": keys["bucket_name"],
            "objectKey": f"{keys['prefix']}{row.pk}",
            "expiration": keys["expiration"],
        }
        return Response(body)


@extend_schema(tags=["files"])
class CallbackView(APIView):
    """What OSS says; who it is shows its signature, not a token."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    refusals = {"post": (CallbackForged, NotVisible, TooLarge, *TAKING)}

    @extend_schema(request=StorageCallbackSerializer, responses=StorageCallbackResultSerializer)
    def post(self, request: Request) -> Response:
        """An object has been put with temporary keys. It is looked at and taken as if its owner had asked for that."""
        if int(request.headers.get("Content-Length") or 0) > MAX_CALLBACK:
            raise TooLarge
        with asking_the_bucket():
            require_from_oss(
                path=request.path,
                query=request.META.get("QUERY_STRING", ""),
                body=request._request.body,
                authorization=request.headers.get("Authorization", ""),
                key_url=request.headers.get("x-oss-pub-key-url", ""),
            )
        told = StorageCallbackSerializer(data=request.data)
        told.is_valid(raise_exception=True)
        sts.complete_told(object_name=told.validated_data["oss_key"])
        return Response({"Status": "OK", "Message": "OK"})
