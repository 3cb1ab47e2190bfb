"""What clients are told beforehand: limits, engines, prices; where content lies, and never how to get in."""

from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from billing.models import PriceRule
from rendering.models import RenderNode
from tests.conftest import Client
from uploads.api.config_views import storage_config

pytestmark = pytest.mark.django_db
SECRETS = ("LTAI-key", "hush-hush", "AKIA-key", "sesame")
OSS = {
    "access_key_id": "LTAI-key", "access_key_secret": "hush-hush", "bucket_name": "yuntu", "region": "cn-beijing",
    "endpoint": "https://oss-cn-beijing-internal.aliyuncs.com", "public_endpoint": "",
    "public_is_cname": False, "encryption": "", "location": "blobs",
}  # fmt: skip
S3 = {
    "access_key": "AKIA-key", "secret_key": "sesame", "bucket_name": "frames", "region_name": "",
    "endpoint_url": "http://minio:9000", "public_endpoint_url": "https://s3.example.com", "addressing_style": "path",
}  # fmt: skip


def test_limits_are_those_of_the_settings(owner_api: Client) -> None:
    body = owner_api.get("/config/client").json()
    assert body["upload"] == {
        "part_size": settings.UPLOAD_PART_SIZE,
        "max_part_size": 64 * 2**20,
        "max_parts": 10_000,
        "max_file_size": 640_000 * 2**20,
        "direct_max_size": settings.UPLOAD_DIRECT_MAX_SIZE,
        "max_body_size": settings.MAX_BODY,
        "max_files": settings.UPLOAD_MAX_FILES,
        "batch_max_files": 100,
        "lifetime_seconds": 72 * 3600,
        "max_retries": 3,
        "accepted_types": [],
        "refused_types": settings.UPLOAD_REFUSED_TYPES,
        "max_name_bytes": 255,
        "max_path_length": 1024,
    }
    assert ".exe" in body["upload"]["refused_types"]
    assert body["engines"] == []


def test_engines_come_with_their_price(owner_api: Client, settings: Settings) -> None:
    settings.RENDER_ENGINES = ["blender", "maya"]
    engines = {"blender": ["5.0.1"], "maya": ["2026"], "other": ["1"]}
    RenderNode.objects.create(name="n1", engines=engines, heartbeat_at=timezone.now())
    PriceRule.objects.all().delete()
    PriceRule.objects.create(engine="blender", price=Decimal("0.25"), valid_from=timezone.now())
    with CaptureQueriesContext(connection) as captured:
        body = owner_api.get("/config/client").json()
    assert body["engines"] == [
        {
            "name": "blender",
            "versions": ["5.0.1"],
            "price_per_frame": 0.25,
            "unit": "frame",
            "price": 0.25,
            "currency": "CNY",
        },
        {
            "name": "maya",
            "versions": ["2026"],
            "price_per_frame": None,
            "unit": None,
            "price": None,
            "currency": None,
        },
    ]
    assert len(captured) <= 6


@pytest.mark.parametrize(
    ("kind", "options", "shown"),
    [
        ("filesystem", {"location": "/var/blobs"}, ("", "", "", "")),
        (
            "oss",
            OSS,
            (
                "yuntu", "cn-beijing", "https://oss-cn-beijing-internal.aliyuncs.com",
                "https://yuntu.oss-cn-beijing-internal.aliyuncs.com",
            ),
        ),
        (
            "oss",
            {**OSS, "public_endpoint": "https://files.example.com", "public_is_cname": True},
            ("yuntu", "cn-beijing", "https://files.example.com", "https://files.example.com"),
        ),
        ("s3", S3, ("frames", "", "https://s3.example.com", "https://s3.example.com")),
    ],
)  # fmt: skip
def test_where_content_lies_without_any_secret(
    owner_api: Client, settings: Settings, kind: str, options: dict[str, Any], shown: tuple[str, ...]
) -> None:
    settings.BLOB_STORAGE = kind
    settings.BLOB_STORAGES = {kind: {"BACKEND": "x", "OPTIONS": options}}
    answer = owner_api.get("/config/oss")
    assert answer.status_code == 200
    names = ("bucket_name", "region", "endpoint", "base_url")
    assert answer.json() == {"storage": kind, **dict(zip(names, shown, strict=True))}
    assert not any(secret in answer.content.decode() for secret in (*SECRETS, "/var/blobs"))
    assert answer.json() == storage_config()


def test_nothing_for_strangers(anonymous: Client) -> None:
    for path in ("/config/client", "/config/oss"):
        assert anonymous.get(path).status_code == 401


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("UPLOAD_PART_SIZE", 2**20 - 1, "yuntu.E030"),
        ("UPLOAD_PART_SIZE", 64 * 2**20 + 1, "yuntu.E030"),
        ("MAX_BODY", 64 * 2**20, "yuntu.E031"),
        ("UPLOAD_DIRECT_MAX_SIZE", 66 * 2**20, "yuntu.E031"),
        ("UPLOAD_REFUSED_TYPES", ["exe"], "yuntu.E032"),
        ("UPLOAD_ACCEPTED_TYPES", [".MA"], "yuntu.E032"),
    ],
)
def test_sizes_that_contradict_each_other_are_refused_at_the_start(
    settings: Settings, name: str, value: Any, code: str
) -> None:
    def found() -> list[str | None]:
        return [message.id for message in run_checks() if (message.id or "").startswith("yuntu.E03")]

    settings.UPLOAD_PART_SIZE = 5 * 2**20
    assert found() == []
    setattr(settings, name, value)
    assert found() == [code]
