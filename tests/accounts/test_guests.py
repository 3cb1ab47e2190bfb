"""A guest may look; what changes something is refused at every door but those that are named here."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.permissions import AllowAny

from accounts.models import Device, User
from tests.accounts.test_devices import client_of, new_device
from tests.conftest import Client

pytestmark = pytest.mark.django_db
UNSAFE = ("post", "put", "patch", "delete")

OPEN = {
    "auth/sessions": {"destroy", "end_others"},
    "auth/ws-ticket": {"post"},
    "drives": {"update"},
    "files": {"create", "update", "destroy", "post", "archive_selection"},
    "logs": {"upload"},
    "notifications": {"read", "read_many", "destroy"},
    "tus": {"create", "append", "terminate"},
    "upload-tasks": {
        "create", "destroy", "cancel", "pause", "resume", "archive", "export_manifest", "check", "batch", "upload",
        "retry", "multipart_init", "multipart_upload", "multipart_complete", "multipart_abort", "put_part",
        "init", "urls", "complete", "abort", "keys",
    },
    "users/me": {"put", "patch"},
    "users/me/avatar": {"post", "delete"},
    "users/me/deletion": {"post", "delete"},
    "users/me/devices": {"destroy"},
    "users/me/phone": {"post"},
    "users/profile": {"put", "patch"},
}  # fmt: skip
"""What guests may change, by the beginning of the address: signing out, their profile, phone and devices,
notifications, and uploads into their own drive."""


def doors(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for entry in resolver.url_patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from doors(entry, path)
        elif isinstance(entry, URLPattern):
            yield path, entry.callback


def unsafe_doors() -> list[tuple[str, str, str]]:
    """Method, address and action of everything that needs a signed-in user and may change something."""
    found = []
    for path, view in doors(get_resolver()):
        cls = getattr(view, "cls", None)
        if not path.startswith("api/v1/") or cls is None or AllowAny in cls.permission_classes:
            continue
        actions = getattr(view, "actions", None) or {
            method: method for method in UNSAFE if hasattr(cls, method)
        }
        found += [
            (method, path.removeprefix("api/v1"), action)
            for method, action in actions.items()
            if method in UNSAFE
        ]
    return sorted(found)


def is_open(path: str, action: str) -> bool:
    named = [start for start in OPEN if f"{path}/".startswith(f"/{start}/")]
    return action in OPEN[max(named, key=len)] if named else False


def address(path: str) -> str:
    """An address below `path`, of rows that are not there."""
    kinds = {"int": "1", "uuid": "01890000-0000-7000-8000-000000000000", "str": "x", "path": "x"}
    return re.sub(r"<(?:(\w+):)?\w+>", lambda match: kinds[match[1] or "str"], path)


def test_every_door_is_closed_or_named() -> None:
    api = client_of(new_device())
    known = unsafe_doors()
    assert len(known) > 40
    wrongly = []
    for method, path, action in known:
        answer = getattr(api, method)(address(path), {}, headers={"Tus-Resumable": "1.0.0"})
        refused = answer.status_code == 403 and answer.json()["code"] == "phone_required"
        if refused == is_open(path, action):
            wrongly.append((method, path, action, answer.status_code))
    assert wrongly == []


def test_every_name_is_of_a_door() -> None:
    known = [(path, action) for _method, path, action in unsafe_doors()]
    for start, actions in OPEN.items():
        for action in actions:
            assert any(path.startswith(f"/{start}") and action == named for path, named in known), (
                start,
                action,
            )


@pytest.mark.parametrize(
    "path", ["/users/me", "/drives", "/tasks", "/teams", "/users/balance", "/notifications"]
)
def test_a_guest_may_look(path: str) -> None:
    assert client_of(new_device()).get(path).status_code == 200


def test_a_guest_uploads_into_the_own_drive() -> None:
    api = client_of(new_device())
    [drive] = api.get("/drives").json()["drives"]
    manifest = {
        "drive_id": drive["id"],
        "task_name": "t",
        "files": [
            {"local_path": "C:/a.txt", "target_folder_path": "/", "file_name": "a.txt", "file_size": 5}
        ],
    }
    answer = api.post("/upload-tasks", {"upload_manifest": manifest})
    assert answer.status_code == 201, answer.json()
    assert (
        api.post(
            "/files", {"drive_id": drive["id"], "folder_path": "/", "file_name": "scenes", "is_folder": True}
        ).status_code
        == 201
    )


def test_a_guest_starts_no_job(anonymous: Client) -> None:
    api = client_of(new_device())
    answer = api.post("/tasks", {"task_name": "t", "frames": "1"})
    assert (answer.status_code, answer.json()) == (
        403, {"detail": "请先绑定手机号。", "code": "phone_required"},
    )  # fmt: skip
    # Without a token it is the token that is missing, not the phone.
    assert anonymous.post("/tasks", {"task_name": "t"}).status_code == 401


def test_who_is_no_guest_is_not_asked(owner: User, owner_api: Client) -> None:
    assert owner_api.post("/drives", {"name": "Scenes"}).status_code == 201
    assert not Device.objects.exists()
