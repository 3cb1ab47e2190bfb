"""The desktop client (`User-Agent: YuntuClient/…`): camelCase both ways, numbers of its own for statuses."""

import pytest

from accounts.models import User
from common.parsers import from_desktop
from common.renderers import for_desktop
from tests.conftest import Client
from tests.factories import PASSWORD

AGENT = {"User-Agent": "YuntuClient/1.0.0"}


def test_signing_in_reads_what_the_client_reads(owner: User, anonymous: Client) -> None:
    answer = anonymous.post("/auth/login", {"username": "owner", "password": PASSWORD}, headers=AGENT)

    pack = answer.json()
    assert set(pack) == {"accessToken", "refreshToken", "tokenType", "expiresIn", "user"}
    user = pack["user"]
    assert user["userId"] == user["id"] == str(owner.pk)
    assert (user["username"], user["memberLevel"], user["balance"]) == ("owner", 0, 100.0)
    assert {"createdAt", "lastLoginAt", "phone", "email", "avatar"} <= set(user)
    again = anonymous.post("/auth/refresh", {"refreshToken": pack["refreshToken"]}, headers=AGENT)
    assert again.status_code == 200
    assert again.json()["accessToken"] != pack["accessToken"]


def test_registering_in_camel_case(anonymous: Client) -> None:
    body = {"username": "qt_user", "phone": "13912345678", "verificationCode": "12345", "password": PASSWORD}
    answer = anonymous.post("/auth/register", body, headers=AGENT)

    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
    assert [error["loc"] for error in answer.json()["errors"]] == [["body", "verification_code"]]


def test_others_read_snake_case(owner_api: Client) -> None:
    for agent in ("Mozilla/5.0", "NotYuntuClient/1.0", "yuntuclient/1.0"):
        assert "member_level" in owner_api.get("/users/me", headers={"User-Agent": agent}).json()


def test_lists_of_money(owner_api: Client) -> None:
    row = owner_api.get("/users/transactions", headers=AGENT).json()["transactions"][0]
    assert {"userId", "balanceAfter", "createdAt", "taskId"} <= set(row)
    assert row["taskId"] is None


def test_statuses_have_an_uploading_between_draft_and_pending() -> None:
    assert [for_desktop({"status": number})["status"] for number in range(8)] == [0, 2, 3, 4, 5, 6, 7, 8]
    assert for_desktop({"status": "uploading"}) == {"status": "uploading"}
    assert for_desktop({"status": True}) == {"status": True}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"id": 1, "task_name": "t"}, {"id": 1, "taskId": 1, "taskName": "t"}),
        ({"id": 1, "username": "u"}, {"id": 1, "userId": 1, "username": "u"}),
        ({"id": 1, "file_name": "f"}, {"id": 1, "fileName": "f"}),
        ([{"a_b": [{"c_d": 1}]}], [{"aB": [{"cD": 1}]}]),
        # Keys that are no names of fields are data: paths of a mapping.
        ({"local_to_oss": {"C:/my_tex.png": "a_b"}}, {"localToOss": {"C:/my_tex.png": "a_b"}}),
    ],
)
def test_answers(value: object, expected: object) -> None:
    assert for_desktop(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"taskName": "t", "startedAt": "", "frameStep": 1}, {"task_name": "t", "frame_step": 1}),
        ({"files": [{"localPath": "/a", "md5": ""}]}, {"files": [{"local_path": "/a"}]}),
        ({"hashes": {"C:/myTex.png": "x"}}, {"hashes": {"C:/myTex.png": "x"}}),
        ({"task_name": "t"}, {"task_name": "t"}),
    ],
)
def test_requests(value: object, expected: object) -> None:
    assert from_desktop(value) == expected
