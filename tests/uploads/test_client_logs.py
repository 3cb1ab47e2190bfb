"""Logs that clients send: limited in size, number and rate, seen by their owner alone."""

import base64
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from drives.models import Blob, File
from drives.services import garbage
from tests.conftest import Client
from tests.uploads.conftest import sha256_of, staged
from uploads.models import ClientLog
from uploads.services import client_logs
from uploads.services.client_logs import store_log

pytestmark = pytest.mark.django_db
CONTENT = "[INFO] 启动\n".encode() * 100
NOON = datetime(2026, 3, 4, 12, 30, 10, tzinfo=UTC)


def send(client: Client, content: bytes = CONTENT, name: str = "yuntu.log", **fields: Any) -> Any:
    body = {
        "fileName": name,
        "fileSize": len(content),
        "logContent": base64.b64encode(content).decode(),
        "uploadTime": "2026-03-04T12:00:00",
        **fields,
    }
    return client.post("/logs/upload", body)


def assert_nothing_kept() -> None:
    assert (ClientLog.objects.count(), Blob.objects.count(), staged()) == (0, 0, [])


def test_a_log_is_sent_listed_and_fetched(owner: User, owner_api: Client) -> None:
    answer = send(owner_api)
    assert answer.status_code == 200, answer.content
    stored = answer.json()
    assert (stored["success"], bool(stored["message"])) == (True, True)
    assert re.fullmatch(r"yuntu_\d{6}\.log", stored["fileName"])
    day = timezone.now().astimezone(UTC).date().isoformat()
    assert stored["savedPath"] == f"{day}/{stored['fileName']}"
    listed = owner_api.get("/logs/list").json()
    assert listed == {
        "success": True,
        "logs": [
            {
                "date": day,
                "fileName": stored["fileName"],
                "filePath": stored["savedPath"],
                "fileSize": len(CONTENT),
                "uploadTime": listed["logs"][0]["uploadTime"],
            }
        ],
        "total": 1,
        "skip": 0,
        "limit": 20,
    }
    assert listed["logs"][0]["uploadTime"].endswith("Z")
    fetched = owner_api.get(f"/logs/download/{stored['savedPath']}").json()
    assert (fetched["success"], fetched["fileName"]) == (True, stored["fileName"])
    assert base64.b64decode(fetched["content"]) == CONTENT
    # Content like any other, held by its row, and no file of a drive.
    log = ClientLog.objects.select_related("blob").get()
    assert (log.user, log.blob.sha256) == (owner, sha256_of(CONTENT))
    assert not File.objects.exists()
    assert not garbage.unreferenced().exists()


def test_the_desktop_client_is_understood(owner_api: Client) -> None:
    body = {
        "fileName": "a.log",
        "fileSize": 2,
        "logContent": base64.b64encode(b"ok").decode(),
        "uploadTime": "",
    }
    answer = owner_api.post("/logs/upload", body, HTTP_USER_AGENT="YuntuClient/1.0.0")
    assert (answer.status_code, answer.json()["success"]) == (200, True)
    assert owner_api.post("/logs/upload", {"file_name": "b.log", "log_content": "b2s="}).status_code == 200


def test_logs_of_one_second_do_not_collide(owner: User) -> None:
    names = [
        store_log(user=owner, file_name="a.log", content=b"x", now=NOON).file_name for _number in range(3)
    ]
    assert names == ["a_123010.log", "a_123010_2.log", "a_123010_3.log"]
    assert store_log(user=owner, file_name="log", content=b"x", now=NOON).file_name == "log_123010"
    assert store_log(user=owner, file_name=".log", content=b"x", now=NOON).file_name == ".log_123010"
    long = store_log(user=owner, file_name="木" * 83 + ".log", content=b"x", now=NOON).file_name
    assert len(long.encode()) <= 255
    assert long.endswith("木_123010.log")


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"fileName": "../../x.py"}, 422, "bad_name"),
        ({"fileName": "a\\b.log"}, 422, "bad_name"),
        ({"fileName": "nul.log"}, 422, "bad_name"),
        ({"fileName": ""}, 422, "validation_error"),
        ({"fileSize": 7}, 422, "size_mismatch"),
        ({"logContent": "***"}, 422, "validation_error"),
        ({"logContent": None}, 422, "validation_error"),
        ({"logContent": base64.b64encode(bytes(5 * 2**20 + 1)).decode()}, 413, "too_large"),
        ({"uploadTime": "yesterday"}, 422, "validation_error"),
    ],
)
def test_a_bad_log_is_refused(owner_api: Client, fields: dict[str, Any], status: int, code: str) -> None:
    answer = send(owner_api, **fields)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert_nothing_kept()


def test_a_log_of_the_largest_size(owner_api: Client) -> None:
    content = bytes(5 * 2**20)
    stored = send(owner_api, content).json()
    assert (
        base64.b64decode(owner_api.get(f"/logs/download/{stored['savedPath']}").json()["content"]) == content
    )


def test_so_many_an_hour_and_no_more(owner_api: Client, stranger_api: Client, settings: Settings) -> None:
    settings.CLIENT_LOG_LIMIT = (2, 3600)
    assert [send(owner_api).status_code for _number in range(2)] == [200, 200]
    refused = send(owner_api)
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert 0 < int(refused["Retry-After"]) <= 3600
    assert ClientLog.objects.count() == 2
    assert send(stranger_api).status_code == 200


def test_the_oldest_make_room(
    owner: User, stranger: User, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr(client_logs, "KEPT", 3)
    store_log(user=stranger, file_name="other.log", content=b"x", now=NOON)
    names = [
        store_log(user=owner, file_name="a.log", content=b"x", now=NOON + timedelta(minutes=minute)).file_name
        for minute in range(5)
    ]
    kept = ClientLog.objects.filter(user=owner).order_by("created_at").values_list("file_name", flat=True)
    assert list(kept) == names[-3:]
    assert ClientLog.objects.filter(user=stranger).count() == 1


def test_paths_lead_nowhere_else(owner_api: Client, stranger_api: Client) -> None:
    stored = send(owner_api).json()
    day, name = stored["savedPath"].split("/")
    for path in (
        f"..%2F{day}/{name}", "%2e%2e/.env", f"{day}/..%2f.env", f"{day}/.env", f"2026-99-99/{name}", f"today/{name}",
        f"{day}/{quote('..')}", f"1999-01-01/{name}", f"{day}/%00",
    ):  # fmt: skip
        answer = owner_api.get(f"/logs/download/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
    assert stranger_api.get(f"/logs/download/{day}/{name}").status_code == 404
    assert stranger_api.get("/logs/list").json()["logs"] == []


def test_without_a_token_nothing(anonymous: Client) -> None:
    assert send(anonymous).status_code == 401
    assert anonymous.get("/logs/list").status_code == 401
    assert anonymous.get("/logs/download/2026-03-04/a.log").status_code == 401
    assert_nothing_kept()


def test_the_list_is_paged_in_a_constant_number_of_queries(
    owner: User, owner_api: Client, settings: Settings
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert owner_api.get("/logs/list").status_code == 200
        return len(captured)

    settings.CLIENT_LOG_LIMIT = (100, 3600)
    names = [store_log(user=owner, file_name="a.log", content=b"x", now=NOON).file_name]
    few = queries()
    names += [
        store_log(user=owner, file_name="a.log", content=b"x", now=NOON + timedelta(minutes=minute)).file_name
        for minute in range(1, 9)
    ]
    assert queries() == few <= 4
    page = owner_api.get("/logs/list?skip=2&limit=3").json()
    assert ([log["fileName"] for log in page["logs"]], page["total"]) == (names[::-1][2:5], 9)
