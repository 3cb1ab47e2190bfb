"""Drives at the door: /drives."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Team, TeamMember, User
from common.errors import NotVisible
from drives.errors import QuotaExceeded
from drives.models import Drive, DriveMember
from drives.services import drives
from tests.conftest import Client
from tests.factories import PASSWORD, put
from tests.racing import race

GIB = 2**30
pytestmark = pytest.mark.django_db


def test_registration_brings_a_default_drive(anonymous: Client) -> None:
    phone = "13900001111"
    assert anonymous.post("/auth/send-code", {"phone": phone}).status_code == 200
    lines = Path(settings.YUNTU_VAR, "outbox", "sms.jsonl").read_text().splitlines()
    code = next(message["code"] for message in map(json.loads, reversed(lines)) if message["phone"] == phone)
    answer = anonymous.post(
        "/auth/register",
        {"username": "artist", "phone": phone, "verification_code": code, "password": PASSWORD},
    )
    assert answer.status_code == 201
    assert Drive.objects.filter(user__username="artist").count() == 1
    assert Drive.objects.get(user__username="artist").total_size == settings.DEFAULT_DRIVE_SIZE


def test_a_drive_from_creation_to_deletion(owner: User, owner_api: Client) -> None:
    default = drives.default_drive(user=owner)
    made = owner_api.post(
        "/drives", {"name": "我的云盘", "icon": "💾", "description": "贴图", "total_size": 5 * GIB}
    )
    assert made.status_code == 201
    drive_id = made.json()["id"]
    shown = made.json()
    assert {name: shown[name] for name in ("name", "icon", "description", "total_size", "used_size")} == {
        "name": "我的云盘", "icon": "💾", "description": "贴图", "total_size": 5 * GIB, "used_size": 0,
    }  # fmt: skip
    assert shown["available_size"] == 5 * GIB
    assert shown["user_id"] == str(owner.pk)
    assert (shown["is_team_drive"], shown["team_id"], shown["drive_letter"]) == (False, None, "E:")
    assert owner_api.get(f"/drives/{drive_id}").json() == shown

    listed = owner_api.get("/drives").json()
    assert [drive["id"] for drive in listed["drives"]] == [drive_id, str(default.pk)]
    assert (listed["total"], listed["skip"], listed["limit"]) == (2, 0, 100)
    assert owner_api.get("/drives?skip=1&limit=1").json()["drives"][0]["id"] == str(default.pk)

    changed = owner_api.put(f"/drives/{drive_id}", {"name": "Textures", "total_size": GIB}).json()
    assert (changed["name"], changed["total_size"], changed["icon"]) == ("Textures", GIB, "💾")

    assert owner_api.delete(f"/drives/{drive_id}").json() == {"success": True}
    assert owner_api.get(f"/drives/{drive_id}").status_code == 404
    assert owner_api.get("/drives").json()["total"] == 1


@pytest.mark.parametrize(
    "body",
    [
        {"name": None},
        {"name": ""},
        {"name": "x" * 51},
        {"name": "x", "total_size": -1},
        {"name": "x", "total_size": "much"},
        {"name": "x", "icon": "x" * 51},
        {"name": "x\0"},
        {},
    ],
)
def test_a_bad_drive_is_refused(owner_api: Client, body: dict[str, Any]) -> None:
    answer = owner_api.post("/drives", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
    assert owner_api.get("/drives").json()["total"] == 1


def test_no_drive_larger_than_the_plan(owner_api: Client) -> None:
    drive_id = owner_api.get("/drives/default").json()["id"]
    too_much = settings.DEFAULT_DRIVE_SIZE + 1
    for answer in (
        owner_api.post("/drives", {"name": "big", "total_size": too_much}),
        owner_api.put(f"/drives/{drive_id}", {"total_size": too_much}),
    ):
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["loc"] == ["body", "total_size"]
    assert owner_api.get("/drives").json()["total"] == 1
    # Without a wish, and with null, a drive gets what the plan allows: never an unlimited one.
    for body in ({"name": "a"}, {"name": "b", "total_size": None}):
        assert owner_api.post("/drives", body).json()["total_size"] == settings.DEFAULT_DRIVE_SIZE


def test_drives_are_not_endless(owner: User, owner_api: Client) -> None:
    for number in range(drives.MAX_DRIVES - 1):
        assert owner_api.post("/drives", {"name": f"drive {number}"}).status_code == 201
    answer = owner_api.post("/drives", {"name": "one more"})
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_drives")
    assert Drive.objects.visible_to(owner).count() == drives.MAX_DRIVES


def test_the_default_drive_is_the_oldest_and_comes_back(owner: User, owner_api: Client) -> None:
    first = owner_api.get("/drives/default").json()
    owner_api.post("/drives", {"name": "newer"})
    assert owner_api.get("/drives/default").json()["id"] == first["id"]
    for drive in owner_api.get("/drives").json()["drives"]:
        owner_api.delete(f"/drives/{drive['id']}")
    fresh = owner_api.get("/drives/default").json()
    assert fresh["id"] != first["id"]
    assert Drive.objects.visible_to(owner).count() == 1


def test_the_default_drive_is_the_one_that_its_owner_chose(
    owner: User, owner_api: Client, stranger: User
) -> None:
    first, second = drives.default_drive(user=owner), drives.create_drive(user=owner, name="second")
    third = drives.create_drive(user=owner, name="third")
    for drive in (third, second):
        answer = owner_api.put(f"/drives/{drive.pk}", {"is_default": True})
        assert (answer.status_code, answer.json()["is_default"]) == (200, True)
        assert owner_api.get("/drives/default").json()["id"] == str(drive.pk)
    # Nobody else says so, whatever else they may do there, and a drive of a team is nobody's own.
    DriveMember.objects.create(drive=third, user=stranger, role="manager")
    assert Client(stranger).put(f"/drives/{third.pk}", {"is_default": True}).status_code == 403
    read = Client(stranger).get(f"/drives/{third.pk}").json()
    assert Client(stranger).put(f"/drives/{third.pk}", {**read, "name": "Third"}).json()["name"] == "Third"
    team = Team.objects.create(name="Studio")
    TeamMember.objects.create(team=team, user=owner, role="owner")
    shots = drives.create_drive(user=owner, team_id=team.pk, name="Shots")
    assert owner_api.put(f"/drives/{shots.pk}", {"is_default": True}).status_code == 403
    assert drives.default_drive(user=owner) == second
    # Where it goes, it is the oldest again.
    owner_api.delete(f"/drives/{second.pk}")
    assert drives.default_drive(user=owner) == first
    Drive.objects.filter(pk=second.pk).update(is_active=True)
    assert drives.default_drive(user=owner) == first


def test_a_drive_that_is_deleted_meanwhile_is_nobodys_default(owner: User) -> None:
    chosen, going = drives.default_drive(user=owner), drives.create_drive(user=owner, name="going")
    drives.update_drive(drive=chosen, actor=owner, is_default=True)
    Drive.objects.filter(pk=going.pk).update(is_active=False)

    with pytest.raises(NotVisible):
        drives.update_drive(drive=going, actor=owner, is_default=True)
    assert list(Drive.objects.filter(user=owner, is_default=True)) == [chosen]


@pytest.mark.django_db(transaction=True)
def test_of_two_choices_of_a_default_drive_one_stays(owner: User) -> None:
    made = [drives.create_drive(user=owner, name=f"{number}") for number in range(4)]

    def choose(number: int) -> int:
        return int(Client(owner).put(f"/drives/{made[number].pk}", {"is_default": True}).status_code)

    assert race(4, choose) == [200] * 4
    assert Drive.objects.filter(user=owner, is_default=True).count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_default_drive_is_made_once(owner: User) -> None:
    Drive.objects.filter(user=owner).update(is_active=False)
    found = race(8, lambda _number: drives.default_drive(user=owner).pk)
    assert len(set(found)) == 1
    assert Drive.objects.visible_to(owner).count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_limit_of_drives_holds_against_a_race(owner: User) -> None:
    for number in range(drives.MAX_DRIVES - 2):
        drives.create_drive(user=owner, name=f"{number}")

    def make(number: int) -> int:
        return int(Client(owner).post("/drives", {"name": f"race {number}"}).status_code)

    assert sorted(race(8, make)) == [201] + [409] * 7
    assert Drive.objects.visible_to(owner).count() == drives.MAX_DRIVES


@pytest.mark.django_db(transaction=True)
def test_reservations_never_exceed_the_quota(owner: User) -> None:
    drive = drives.create_drive(user=owner, name="small", total_size=1000)

    def reserve(_number: int) -> bool:
        try:
            drives.reserve(drive=drive, size=300)
        except QuotaExceeded:
            return False
        return True

    assert sorted(race(8, reserve)) == [False] * 5 + [True] * 3
    drive.refresh_from_db()
    assert (drive.reserved_size, drive.available_size) == (900, 100)


def test_sums_over_all_drives(owner: User, owner_api: Client) -> None:
    small = drives.create_drive(user=owner, name="small", total_size=1000)
    put(owner, "/a/one.bin", b"x" * 100, drive=small)
    put(owner, "/two.bin", b"y" * 50)
    drives.reserve(drive=small, size=10)
    total = settings.DEFAULT_DRIVE_SIZE + 1000
    assert owner_api.get("/drives/stats").json() == {
        "total_drives": 2,
        "personal_drives": 2,
        "team_drives": 0,
        "total_size": total,
        "used_size": 150,
        "available_size": total - 160,
        "usage_percentage": round(100 * 150 / total, 2),
    }


def test_the_count_of_files_leaves_out_the_trash(owner: User, owner_api: Client) -> None:
    for path in ("/root.bin", "/a/one.bin", "/a/b/two.bin", "/gone.bin"):
        put(owner, path, path.encode())
    files = owner_api.get("/files").json()["files"]
    by_name = {entry["name"]: entry["id"] for entry in files}
    assert owner_api.get("/drives/default").json()["file_count"] == 4
    owner_api.delete(f"/files/{by_name['gone.bin']}")
    owner_api.delete(f"/files/{by_name['a']}")
    assert owner_api.get("/drives/default").json()["file_count"] == 1
    assert [drive["file_count"] for drive in owner_api.get("/drives").json()["drives"]] == [1]


def test_a_foreign_drive_is_out_of_sight(
    owner: User, stranger_api: Client, foreign_drive: Drive, drive: Drive
) -> None:
    put(owner, "/secret.blend", b"secret")
    before = Drive.objects.values().get(pk=drive.pk)
    answers = [
        stranger_api.get(f"/drives/{drive.pk}"),
        stranger_api.put(f"/drives/{drive.pk}", {"name": "mine"}),
        stranger_api.delete(f"/drives/{drive.pk}"),
        stranger_api.get(f"/drives/{drive.pk}/files"),
        stranger_api.get(f"/files?drive_id={drive.pk}"),
        stranger_api.post("/files", {"drive_id": str(drive.pk), "file_name": "mine"}),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(404, "not_found")] * 6
    assert Drive.objects.values().get(pk=drive.pk) == before
    assert [shown["id"] for shown in stranger_api.get("/drives").json()["drives"]] == [str(foreign_drive.pk)]
    assert stranger_api.get("/drives/stats").json()["used_size"] == 0


def test_without_a_token_nothing(anonymous: Client, drive: Drive) -> None:
    for path in ("/drives", f"/drives/{drive.pk}", "/drives/default", "/drives/stats", "/files"):
        assert anonymous.get(path).status_code == 401


def test_the_list_takes_the_same_queries_for_any_length(owner: User, owner_api: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert owner_api.get("/drives").status_code == 200
        return len(captured)

    owner_api.get("/drives")
    few = queries()
    for number in range(10):
        put(owner, "/a/file.bin", b"x", drive=drives.create_drive(user=owner, name=f"{number}"))
    assert queries() == few
