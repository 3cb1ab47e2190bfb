"""Drives of teams, members of drives, and who may do what: every door, every role."""

from typing import Any

import pytest

from accounts.models import Team, TeamMember, User
from drives.models import Drive, DriveMember, File, Folder
from drives.services.drives import create_drive
from tests.conftest import Client
from tests.drives.manager import id_at, names, post
from tests.factories import make_user, put

pytestmark = pytest.mark.django_db

# What each person may do. "team_…" are roles in the team that the drive belongs to, the others members of the drive.
READERS = {"owner", "viewer", "editor", "manager"}
EDITORS = {"owner", "editor", "manager"}
MANAGERS = {"owner", "manager"}
TEAM = {"team_owner", "team_admin", "team_member", "team_viewer"}
TEAM_WRITERS = TEAM - {"team_viewer"}
TEAM_MANAGERS = {"team_owner", "team_admin"}


@pytest.fixture
def people(owner: User, drive: Drive) -> dict[str, User]:
    """Everybody by what they are to the drive."""
    found = {"owner": owner, "stranger": make_user(username="passer_by")}
    for role in DriveMember.Role:
        found[role] = make_user(username=f"a_{role}")
        DriveMember.objects.create(drive=drive, user=found[role], role=role)
    return found


@pytest.fixture
def crew(db: None) -> tuple[Drive, dict[str, User]]:
    """A drive of a team, and the people of the team by their roles."""
    team = Team.objects.create(name="Studio")
    found = {"stranger": make_user(username="passer_by")}
    for role in TeamMember.Role:
        found[f"team_{role}"] = make_user(username=f"of_team_{role}")
        TeamMember.objects.create(team=team, user=found[f"team_{role}"], role=role)
    drive = create_drive(user=found["team_owner"], team_id=team.pk, name="Shots")
    return drive, found


def doors(drive: Drive, file: File, folder: Folder) -> list[tuple[str, str, str, Any]]:
    """(right, method, path, body): every door of a drive with a request that would succeed."""
    one = {"folder_path": "/to", "on_clash": "keep_both"}
    return [
        ("read", "get", f"/drives/{drive.pk}", None),
        ("read", "get", f"/drives/{drive.pk}/files", None),
        ("read", "get", f"/drives/{drive.pk}/tree", None),
        ("read", "get", f"/drives/{drive.pk}/breakdown", None),
        ("read", "get", f"/drives/{drive.pk}/trash", None),
        ("read", "get", f"/drives/{drive.pk}/usage", None),
        ("read", "get", f"/drives/{drive.pk}/operations", None),
        ("read", "get", f"/drives/{drive.pk}/members", None),
        ("read", "get", f"/files?drive_id={drive.pk}", None),
        ("read", "get", f"/files?drive_id={drive.pk}&keyword=x", None),
        ("read", "get", f"/files/{file.pk}", None),
        ("read", "get", f"/files/{folder.pk}/size", None),
        ("read", "get", f"/files/{file.pk}/versions", None),
        ("read", "get", f"/files/{file.pk}/download", None),
        ("read", "get", f"/files/{folder.pk}/archive", None),
        ("read", "post", "/files/archive", {"ids": [str(file.pk), str(folder.pk)]}),
        ("read", "get", f"/files/{file.pk}/preview", None),
        ("read", "put", f"/files/{file.pk}/favourite", None),
        ("read", "delete", f"/files/{file.pk}/favourite", None),
        ("write", "post", "/files", {"drive_id": str(drive.pk), "file_name": "made"}),
        ("write", "put", f"/files/{file.pk}", {"file_name": "renamed"}),
        ("write", "post", f"/files/{file.pk}/copy", one),
        ("write", "post", f"/files/{folder.pk}/move", one),
        ("write", "delete", f"/files/{file.pk}", None),
        ("write", "post", f"/files/{file.pk}/restore", {}),
        ("write", "delete", f"/files/{folder.pk}", None),
        ("write", "post", f"/files/{folder.pk}/purge", None),
        ("write", "delete", f"/drives/{drive.pk}/trash", None),
        ("manage", "put", f"/drives/{drive.pk}", {"name": "Another name"}),
        ("manage", "post", f"/drives/{drive.pk}/members", {"username": "newcomer", "role": "viewer"}),
        ("delete", "delete", f"/drives/{drive.pk}", None),
    ]


def state() -> list[Any]:
    """What the doors might change."""
    return [
        list(Folder.objects.order_by("pk").values_list("pk", "path", "trashed_at")),
        list(File.objects.order_by("pk").values_list("pk", "name", "folder", "trashed_at")),
        list(Drive.objects.order_by("pk").values_list("pk", "name", "is_active", "used_size")),
        list(DriveMember.objects.order_by("pk").values_list("pk", "role")),
    ]


def try_every_door(drive: Drive, people: dict[str, User], rights: dict[str, set[str]]) -> None:
    """Whoever may not is refused and nothing changes; the last one of those who may succeeds."""
    newcomer = make_user(username="newcomer")
    a_writer = people[sorted(rights["write"])[0]]
    put(a_writer, "/top/x", b"x", drive=drive)
    put(a_writer, "/folder/y", b"y", drive=drive)
    put(a_writer, "/to/z", b"z", drive=drive)
    file, folder = File.objects.get(name="x"), Folder.objects.get(path="/folder")
    tried = set()
    for right, method, path, body in doors(drive, file, folder):
        refused = [who for who in people if who not in rights[right]]
        for who in [*refused, sorted(rights[right])[-1]]:
            user = people[who]
            before = state()
            answer = (
                getattr(Client(user), method)(path, body) if body else getattr(Client(user), method)(path)
            )
            if who in rights[right]:
                assert answer.status_code in (200, 201, 202), (who, method, path, answer.content)
            else:
                expected = 403 if who in rights["read"] else 404
                assert answer.status_code == expected, (who, method, path, answer.content)
                assert state() == before, (who, method, path)
            tried.add((who, right))
    assert len(tried) > 4 * len(rights) - 4
    assert not drive.members.filter(user=newcomer).exclude(role="viewer").exists()


def test_members_at_every_door(drive: Drive, people: dict[str, User]) -> None:
    rights = {"read": READERS, "write": EDITORS, "manage": MANAGERS, "delete": {"owner"}}
    try_every_door(drive, people, rights)


def test_people_of_a_team_at_every_door(crew: tuple[Drive, dict[str, User]]) -> None:
    rights = {"read": TEAM, "write": TEAM_WRITERS, "manage": TEAM_MANAGERS, "delete": {"team_owner"}}
    try_every_door(*crew, rights)


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
