"""Drives of teams, and members of drives. What each may do at every door: test_matrix.py."""

from typing import Any

import pytest

from accounts.models import Team, TeamMember, User
from drives.models import Drive
from tests.conftest import Client
from tests.drives.manager import id_at, names, post
from tests.factories import put

pytestmark = pytest.mark.django_db


def test_a_drive_of_a_team(owner: User, owner_api: Client) -> None:
    team = Team.objects.create(name="Studio")
    TeamMember.objects.create(team=team, user=owner, role="admin")
    body = {"name": "Shots", "is_team_drive": True}
    assert post(owner_api, "/drives", 422, **body)["errors"][0]["loc"] == ["body", "team_id"]
    made = post(owner_api, "/drives", 201, **body, team_id=str(team.pk))
    assert (made["is_team_drive"], made["team_id"], made["user_id"]) == (True, str(team.pk), None)
    stats = owner_api.get("/drives/stats").json()
    assert (stats["total_drives"], stats["personal_drives"], stats["team_drives"]) == (2, 1, 1)
    assert owner_api.get("/drives").json()["drives"][0]["name"] == "Shots"
    # One's own drive stays the default, however old the team's is.
    assert owner_api.get("/drives/default").json()["user_id"] == str(owner.pk)
    TeamMember.objects.filter(team=team).delete()
    assert owner_api.get(f"/drives/{made['id']}").status_code == 404
    post(owner_api, "/drives", 404, **body, team_id=str(team.pk))


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_only_managers_make_drives_of_a_team(owner: User, owner_api: Client, role: str) -> None:
    team = Team.objects.create(name="Studio")
    TeamMember.objects.create(team=team, user=owner, role=role)
    post(owner_api, "/drives", 403, name="Shots", team_id=str(team.pk))
    assert team.drives.count() == 0


def test_members_come_change_and_go(owner: User, owner_api: Client, stranger: User, drive: Drive) -> None:
    path = f"/drives/{drive.pk}/members"
    put(owner, "/x", b"x")
    member = post(owner_api, path, 201, username="stranger", role="viewer")
    assert (member["user_id"], member["role"]) == (str(stranger.pk), "viewer")
    assert post(owner_api, path, 409, username="stranger", role="editor")["code"] == "already_member"
    assert post(owner_api, path, 409, username="owner", role="editor")["code"] == "already_member"
    post(owner_api, path, 404, username="nobody", role="editor")
    post(owner_api, path, 404, username=stranger.phone, role="editor")
    post(owner_api, path, 422, username="stranger", role="owner")
    theirs = Client(stranger)
    assert theirs.get("/notifications").json()["notifications"][0]["title"]
    assert names(theirs, drive_id=str(drive.pk)) == ["x"]
    assert owner_api.get(path).json()["members"][0]["username"] == "stranger"

    assert theirs.put(f"{path}/{stranger.pk}", {"role": "manager"}).status_code == 403
    assert owner_api.put(f"{path}/{stranger.pk}", {"role": "manager"}).json()["role"] == "manager"
    assert owner_api.put(f"{path}/{owner.pk}", {"role": "viewer"}).status_code == 404
    assert theirs.delete(f"{path}/{stranger.pk}").status_code == 200
    assert theirs.get(f"/drives/{drive.pk}").status_code == 404
    assert owner_api.delete(f"{path}/{stranger.pk}").status_code == 404


def test_who_may_write_uploads_and_renders_into_the_drive(people: dict[str, User], drive: Drive) -> None:
    for role, code in (("editor", 201), ("viewer", 403)):
        manifest = {
            "files": [{"file_name": "x", "file_size": 1, "local_path": "x", "target_folder_path": "/"}]
        }
        body = {"upload_manifest": {"task_name": role, "drive_id": str(drive.pk), **manifest}}
        answer = Client(people[role]).post("/upload-tasks", body)
        assert answer.status_code == code, answer.content
        job = {"drive_id": str(drive.pk), "task_name": role, "scene_file": "/x.blend", "frames": "1"}
        answer = Client(people[role]).post("/tasks", job)
        assert answer.status_code == code, answer.content
    drive.refresh_from_db()
    assert drive.reserved_size == 1


def test_letters_are_one_drive_each(owner_api: Client, drive: Drive) -> None:
    assert owner_api.get(f"/drives/{drive.pk}").json()["drive_letter"] == "D:"
    second = post(owner_api, "/drives", 201, name="Second")
    third = post(owner_api, "/drives", 201, name="Third", letter="Z")
    assert (second["drive_letter"], third["drive_letter"]) == ("E:", "Z:")
    assert post(owner_api, "/drives", 409, name="Fourth", letter="Z")["code"] == "letter_taken"
    refused = owner_api.put(f"/drives/{second['id']}", {"letter": "Z"})
    assert (refused.status_code, refused.json()["code"]) == (409, "letter_taken")
    assert owner_api.put(f"/drives/{second['id']}", {"letter": "E"}).status_code == 200
    assert owner_api.put(f"/drives/{second['id']}", {"letter": "C"}).status_code == 422
    owner_api.delete(f"/drives/{third['id']}")
    assert owner_api.put(f"/drives/{second['id']}", {"letter": "Z"}).json()["drive_letter"] == "Z:"


def test_a_move_needs_rights_at_both_ends(people: dict[str, User], owner: User, drive: Drive) -> None:
    put(owner, "/x", b"x")
    put(people["viewer"], "/own", b"own")
    theirs = Drive.objects.get(user=people["viewer"])
    viewer = Client(people["viewer"])
    file, own = id_at("/x", owner), id_at("/own", people["viewer"])
    post(viewer, f"/files/{file}/move", 403, folder_path="/", drive_id=str(theirs.pk))
    post(viewer, f"/files/{own}/move", 403, folder_path="/", drive_id=str(drive.pk))
    post(viewer, f"/files/{own}/copy", 403, folder_path="/", drive_id=str(drive.pk))
    assert names(viewer) == ["own"]
    # What one may read one may copy into one's own drive.
    post(viewer, f"/files/{file}/copy", 201, folder_path="/", drive_id=str(theirs.pk))
    assert names(viewer) == ["own", "x"]


def test_a_list_says_what_one_may_do_in_each_drive(
    people: dict[str, User], drive: Drive, django_assert_num_queries: Any
) -> None:
    team = Team.objects.create(name="Studio")
    TeamMember.objects.create(team=team, user=people["viewer"], role="member")
    Drive.objects.create(team=team, name="Shots")
    viewer = Client(people["viewer"])
    viewer.get("/drives")  # with its session looked up
    with django_assert_num_queries(5):
        listed = viewer.get("/drives").json()["drives"]
    shown = {each["name"]: (each["owner_name"], each["rights"]) for each in listed}
    assert shown["Shots"] == ("Studio", ["read", "write"])
    assert shown[drive.name] == ("owner", ["read"])
    rights = {
        name: Client(user).get(f"/drives/{drive.pk}").json().get("rights") for name, user in people.items()
    }
    assert rights == {
        "owner": ["read", "write", "share", "manage", "delete"],
        "manager": ["read", "write", "share", "manage"],
        "editor": ["read", "write"],
        "viewer": ["read"],
        "stranger": None,
    }
