"""A body may hold free-form objects, which no serializer looks into; PostgreSQL must be able to keep them."""

import json
from typing import Any

import pytest

from common.parsers import MAX_DEPTH, is_storable
from tests.conftest import Client
from uploads.models import UploadTask


def nested(depth: int) -> Any:
    value: Any = 1
    for number in range(depth):
        value = [value] if number % 2 else {"a": value}
    return value


def create(api: Client, client_info: str) -> Any:
    """Create an upload task whose free-form `client_info` is this JSON text."""
    files = '[{"local_path": "/a.txt", "file_name": "a.txt", "file_size": 1, "target_folder_path": "/"}]'
    drive = api.get("/drives").json()["drives"][0]["id"]
    manifest = f'{{"task_name": "t", "files": {files}, "client_info": {client_info}}}'
    body = f'{{"drive_id": "{drive}", "upload_manifest": {manifest}}}'
    return api.generic("POST", "/upload-tasks", body, "application/json")


def test_what_can_be_kept_passes(owner_api: Client) -> None:
    info = {
        "os": "linux",
        "名": "😀",
        "deep": nested(20),
        "escaped": "\\u0000",
        "n": [1.5, 2**60, None, True],
    }
    answer = create(owner_api, json.dumps(info))
    assert answer.status_code == 201, answer.json()
    assert UploadTask.objects.exists()


@pytest.mark.parametrize(
    "info",
    [
        r'{"a": "x\u0000y"}', r'{"a\u0000": 1}', r'{"a": [{"b": ["\u0000"]}]}', r'{"a": "\ud800"}', r'{"\udfff": 1}',
        r'{"a": 1e999}', r'{"a": -1e999}', r'{"a": NaN}', r'{"a": [Infinity]}', json.dumps(nested(40)),
        json.dumps(nested(900)), '{"a": ' + "9" * 5000 + "}",
    ],
    ids=lambda info: info[:24],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused(owner_api: Client, info: str) -> None:
    owner_api.raise_request_exception = False
    answer = create(owner_api, info)
    found = answer.json()
    if found["code"] == "validation_error":
        assert answer.status_code == 422
        assert [error["loc"] for error in found["errors"]] == [["body", "upload_manifest"]]
    else:
        assert (answer.status_code, found["code"]) == (400, "malformed_body")
    assert not UploadTask.objects.exists()


def test_a_key_that_cannot_be_kept_is_not_echoed(anonymous: Client) -> None:
    answer = anonymous.generic("POST", "/auth/login", r'{"\ud800": 1}', "application/json")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body"]


def test_depth() -> None:
    assert is_storable(nested(MAX_DEPTH - 1))
    assert not is_storable(nested(MAX_DEPTH))
    assert not is_storable({"a": nested(MAX_DEPTH - 1)})


def test_a_choice_is_not_echoed(anonymous: Client) -> None:
    answer = anonymous.post("/auth/send-code", {"phone": "13912345678", "purpose": "my-secret"})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"loc": ["body", "purpose"], "msg": "不是可选项之一。", "type": "invalid_choice"}
    ]
