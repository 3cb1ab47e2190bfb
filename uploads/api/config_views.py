"""GET /config/…: what clients must know before they do anything."""

from typing import Any, cast

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common import client_config


class UploadConfigSerializer(serializers.Serializer):
    part_size = serializers.IntegerField()
    max_part_size = serializers.IntegerField()
    max_parts = serializers.IntegerField()
    max_file_size = serializers.IntegerField()
    direct_max_size = serializers.IntegerField()
    max_body_size = serializers.IntegerField()
    max_files = serializers.IntegerField()
    batch_max_files = serializers.IntegerField()
    lifetime_seconds = serializers.IntegerField()
    max_retries = serializers.IntegerField()
    accepted_types = serializers.ListField(child=serializers.CharField(), help_text="Empty: all but refused.")
    refused_types = serializers.ListField(child=serializers.CharField())
    max_name_bytes = serializers.IntegerField()
    max_path_length = serializers.IntegerField()


class EngineConfigSerializer(serializers.Serializer):
    name = serializers.CharField()
    versions = serializers.ListField(child=serializers.CharField())
    price_per_frame = serializers.FloatField(allow_null=True)
    unit = serializers.CharField(allow_null=True)
    price = serializers.FloatField(allow_null=True)
    currency = serializers.CharField(allow_null=True)


class ClientConfigSerializer(serializers.Serializer):
    """Sizes in bytes."""

    upload = UploadConfigSerializer()
    engines = EngineConfigSerializer(many=True)


class StorageConfigSerializer(serializers.Serializer):
    """Where content lies; never how to get in."""

    storage = serializers.ChoiceField(["filesystem", "oss", "s3"])
    bucket_name = serializers.CharField(allow_blank=True)
    region = serializers.CharField(allow_blank=True)
    endpoint = serializers.CharField(allow_blank=True)
    base_url = serializers.CharField(allow_blank=True)


@extend_schema(tags=["config"])
class ClientConfigView(APIView):
    @extend_schema(responses=ClientConfigSerializer)
    def get(self, request: Request) -> Response:
        """Limits of uploads, and engines with their prices."""
        return Response(client_config.collected())


def storage_config() -> dict[str, Any]:
    """The bucket under its public address. Only what is named here leaves: the options hold secrets."""
    options: dict[str, Any] = cast(Any, settings.BLOB_STORAGES)[settings.BLOB_STORAGE]["OPTIONS"]

    def first(*names: str) -> str:
        return next((str(options[name]) for name in names if options.get(name)), "")

    endpoint = first("public_endpoint", "public_endpoint_url", "endpoint", "endpoint_url")
    bucket, host = first("bucket_name"), endpoint.partition("://")[2] or endpoint
    whole = options.get("public_is_cname") or options.get("addressing_style") == "path"
    base = host if whole else f"{bucket}.{host}"
    return {
        "storage": settings.BLOB_STORAGE,
        "bucket_name": bucket,
        "region": first("region", "region_name"),
        "endpoint": endpoint,
        "base_url": f"{endpoint.partition('://')[0] or 'https'}://{base}" if endpoint and bucket else "",
    }


@extend_schema(tags=["config"])
class StorageConfigView(APIView):
    @extend_schema(responses=StorageConfigSerializer)
    def get(self, request: Request) -> Response:
        """Where content lies, without any secret. Empty texts where it is a folder of ours."""
        return Response(storage_config())
