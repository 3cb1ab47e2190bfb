"""Who may do what in a drive: every role at every door of API, share links, WebDAV and admin; one table of rights."""

from typing import Any

import pytest
from django.test import Client as Browser
from django.urls import resolve
from rest_framework.routers import Route

from accounts.models import Team, TeamMember, User
from drives.api.urls import router
from drives.models import Drive, DriveMember, File, Folder, ShareLink
from drives.permissions import Right
from drives.services.drives import create_drive
from drives.services.shares import create_share
from tests.conftest import Client
from tests.drives.dav import LOCK, Dav
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
def crew(db: None) -> tuple[Drive, dict[str, User]]:
    """A drive of a team, and the people of the team by their roles."""
    team = Team.objects.create(name="Studio")
    found = {"stranger": make_user(username="passer_by")}
    for role in TeamMember.Role:
        found[f"team_{role}"] = make_user(username=f"of_team_{role}")
        TeamMember.objects.create(team=team, user=found[f"team_{role}"], role=role)
    drive = create_drive(user=found["team_owner"], team_id=team.pk, name="Shots")
    return drive, found


Door = tuple[str, str, str, Any]
"""The right it asks for, the method, the path and a body of a request that would succeed.

Methods in capitals are those of WebDAV, whose body is a dictionary of headers, with the content as `body`.
"""


def doors(drive: Drive, file: File, folder: Folder, share: ShareLink, member: User) -> list[Door]:
    one = {"folder_path": "/to", "on_clash": "keep_both"}
    mine, at = f"/drives/{drive.pk}", f"/files/{file.pk}"
    dav = f"/{drive.pk}"
    return [
        ("read", "get", mine, None),
        ("read", "get", f"{mine}/files", None),
        ("read", "get", f"{mine}/tree", None),
        ("read", "get", f"{mine}/breakdown", None),
        ("read", "get", f"{mine}/trash", None),
        ("read", "get", f"{mine}/usage", None),
        ("read", "get", f"{mine}/operations", None),
        ("read", "get", f"{mine}/members", None),
        ("read", "get", f"/files?drive_id={drive.pk}", None),
        ("read", "get", f"/files?drive_id={drive.pk}&keyword=x", None),
        ("read", "get", at, None),
        ("read", "get", f"/files/{folder.pk}/size", None),
        ("read", "get", f"{at}/versions", None),
        ("read", "get", f"{at}/download", None),
        ("read", "get", f"/files/{folder.pk}/archive", None),
        ("read", "post", "/files/archive", {"ids": [str(file.pk), str(folder.pk)]}),
        ("read", "get", f"{at}/preview", None),
        ("read", "put", f"{at}/favourite", None),
        ("read", "delete", f"{at}/favourite", None),
        ("read", "PROPFIND", f"{dav}/to", {"Depth": "1"}),
        ("read", "GET", f"{dav}/to/z", {}),
        ("read", "HEAD", f"{dav}/to/z", {}),
        ("write", "post", "/files", {"drive_id": str(drive.pk), "file_name": "made"}),
        ("write", "put", at, {"file_name": "renamed"}),
        ("write", "post", f"{at}/copy", one),
        ("write", "post", f"/files/{folder.pk}/move", one),
        ("write", "post", f"{at}/versions/{file.versions.get().pk}/restore", None),
        ("write", "delete", at, None),
        ("write", "post", f"{at}/restore", {}),
        ("write", "PUT", f"{dav}/to/new", {"body": b"new"}),
        ("write", "PUT", f"{dav}/to/z", {"body": b"other"}),
        ("write", "PROPPATCH", f"{dav}/to/z", {"body": MODIFIED}),
        ("write", "LOCK", f"{dav}/to/z", {"body": LOCK.encode()}),
        ("write", "MKCOL", f"{dav}/to/made", {}),
        ("write", "COPY", f"{dav}/to/made", {"Destination": f"/dav{dav}/to/copied"}),
        ("write", "MOVE", f"{dav}/to/made", {"Destination": f"/dav{dav}/to/moved"}),
        ("write", "DELETE", f"{dav}/to/moved", {}),
        ("share", "get", f"/shares?drive_id={drive.pk}", None),
        ("share", "post", "/shares", {"entry_id": str(folder.pk)}),
        ("share", "put", f"/shares/{share.pk}", {"max_downloads": 3}),
        ("share", "delete", f"/shares/{share.pk}", None),
        ("write", "delete", f"/files/{folder.pk}", None),
        ("write", "post", f"/files/{folder.pk}/purge", None),
        ("write", "delete", f"{mine}/trash", None),
        ("manage", "put", mine, {"name": "Another name"}),
        ("manage", "post", f"{mine}/members", {"username": "newcomer", "role": "viewer"}),
        ("manage", "put", f"{mine}/members/{member.pk}", {"role": "editor"}),
        ("manage", "delete", f"{mine}/members/{member.pk}", None),
        ("delete", "delete", mine, None),
    ]


MODIFIED = b"""<D:propertyupdate xmlns:D="DAV:"><D:set><D:prop>
<D:getlastmodified>Sat, 01 Jan 2022 00:00:00 GMT</D:getlastmodified></D:prop></D:set></D:propertyupdate>"""
# Doors that are nobody's in particular: they show each person their own, or answer for each item (see below).
OWN = {("drive", "list"), ("drive", "create"), ("drive", "default"), ("drive", "stats"), ("drive", "count")}
OWN |= {("file", "favourites"), ("file", "bulk")}


def test_every_route_has_its_door(owner: User, drive: Drive) -> None:
    """Whoever adds a route says here what right it takes."""
    file = put(owner, "/x", b"x")
    put(owner, "/x", b"y")
    put(owner, "/folder/y", b"y")
    folder = Folder.objects.get()
    share, _token = create_share(entry=folder, actor=owner)
    tried = set(OWN)
    for _right, method, path, _body in doors(drive, file, folder, share, owner):
        if method.islower():
            found = resolve(f"/api/v1{path.partition('?')[0]}")
            tried.add((str(found.url_name).partition("-")[0], found.func.actions[method]))  # type: ignore[attr-defined]
    routes = {
        (base, action)
        for prefix, view, base in router.registry
        for route in router.get_routes(view)
        for action in route.mapping.values()
        if isinstance(route, Route) and hasattr(view, action)
    }
    assert routes - tried == set()


def state() -> list[Any]:
    """What the doors might change."""
    return [
        list(Folder.objects.order_by("pk").values_list("pk", "path", "trashed_at")),
        list(
            File.objects.order_by("pk").values_list(
                "pk", "name", "folder", "trashed_at", "blob", "modified_at"
            )
        ),
        list(Drive.objects.order_by("pk").values_list("pk", "name", "is_active", "used_size")),
        list(DriveMember.objects.order_by("pk").values_list("pk", "role")),
        list(ShareLink.objects.order_by("pk").values_list("pk", "max_downloads", "revoked_at")),
    ]


def knock(user: User, dav: Dav, method: str, path: str, body: Any) -> int:
    if method.islower():
        act = getattr(Client(user), method)
        return int((act(path, body) if body else act(path)).status_code)
    headers = dict(body)
    answer = dav(method, path, headers.pop("body", b""), **headers)
    # What became of properties is told inside.
    return 403 if method == "PROPPATCH" and b"HTTP/1.1 403" in answer.content else int(answer.status_code)


def try_every_door(drive: Drive, people: dict[str, User], rights: dict[str, set[str]]) -> None:
    """Whoever may not is refused and nothing changes; the last one of those who may succeeds."""
    newcomer, member = make_user(username="newcomer"), make_user(username="known")
    DriveMember.objects.create(drive=drive, user=member, role="viewer")
    a_writer = people[sorted(rights["write"])[0]]
    for path in ("/top/x", "/top/x", "/folder/y", "/to/z"):
        put(a_writer, path, path.encode() + str(File.objects.count()).encode(), drive=drive)
    file, folder = File.objects.get(name="x"), Folder.objects.get(path="/folder")
    share, _token = create_share(entry=folder, actor=people[sorted(rights["share"])[0]])
    drives = {who: Dav(user) for who, user in people.items()}
    for right, method, path, body in doors(drive, file, folder, share, member):
        refused = [who for who in people if who not in rights[right]]
        for who in [*refused, sorted(rights[right])[-1]]:
            before = state()
            status = knock(people[who], drives[who], method, path, body)
            if who in rights[right]:
                assert status in (200, 201, 202, 204, 207), (who, method, path)
                continue
            # Who may not see the drive sees nothing at its place: there, what is to be made has no parent.
            hidden = {404} if method.islower() else {404, 409}
            assert status in ({403} if who in rights["read"] else hidden), (who, method, path, status)
            assert state() == before, (who, method, path)
    assert not drive.members.filter(user=newcomer).exclude(role="viewer").exists()


MEMBERS = {"read": READERS, "write": EDITORS, "share": MANAGERS, "manage": MANAGERS, "delete": {"owner"}}
CREW = {
    "read": TEAM, "write": TEAM_WRITERS, "share": TEAM_MANAGERS, "manage": TEAM_MANAGERS, "delete": {"team_owner"},
}  # fmt: skip


def test_members_at_every_door(drive: Drive, people: dict[str, User]) -> None:
    assert set(MEMBERS) == set(CREW) == {right.value for right in Right}
    try_every_door(drive, people, MEMBERS)


def test_people_of_a_team_at_every_door(crew: tuple[Drive, dict[str, User]]) -> None:
    try_every_door(*crew, CREW)


@pytest.mark.parametrize("action", ["move", "copy", "trash", "restore", "purge"])
def test_a_selection_asks_for_each_item(
    drive: Drive, people: dict[str, User], owner: User, action: str
) -> None:
    file = put(owner, "/x", b"x")
    put(owner, "/to/z", b"z")
    if action in ("restore", "purge"):
        Client(owner).delete(f"/files/{file.pk}")
    body = {"action": action, "ids": [str(file.pk)], "folder_path": "/to", "drive_id": str(drive.pk)}
    if action in ("restore", "trash", "purge"):
        body = {"action": action, "ids": [str(file.pk)]}
    codes = {}
    for who in ("stranger", "viewer", "editor"):
        before = state()
        answer = Client(people[who]).post("/files/bulk", body)
        codes[who] = (
            answer.json()["results"][0]["code"] if answer.status_code == 200 else answer.json()["code"]
        )
        assert (state() == before) is (who != "editor"), who
    assert codes == {"stranger": "not_found", "viewer": "drive_read_only", "editor": ""}


def test_whoever_has_a_link_reads_what_is_shared_and_no_more(drive: Drive, owner: User) -> None:
    """A link is a role, too: its doors are /shared/<token>; its key opens no other."""
    file = put(owner, "/folder/y", b"y")
    put(owner, "/folder/y", b"z")
    folder = Folder.objects.get()
    share, token = create_share(entry=folder, actor=owner, password="x")
    key = Client().post(f"/shared/{token}/unlock", {"password": "x"}).json()["key"]
    client = Client()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")
    before = state()
    for _right, method, path, body in doors(drive, file, folder, share, owner):
        if method.islower():
            act = getattr(client, method)
            assert (act(path, body) if body else act(path)).status_code == 401, (method, path)
        else:
            sent = {"Authorization": f"Bearer {key}"} | {k: v for k, v in body.items() if k != "body"}
            answer = Browser().generic(method, f"/dav{path}", body.get("body", b""), headers=sent)
            assert answer.status_code == 401, (method, path)
    for method in ("put", "delete", "post", "patch"):
        assert getattr(client, method)(f"/shared/{token}/files", {"file_name": "x"}).status_code == 405
    assert client.get(f"/shared/{token}/files").json()["total"] == 1
    assert state() == before


def test_rights_in_a_drive_are_none_in_the_back_office(
    people: dict[str, User], drive: Drive, owner: User
) -> None:
    put(owner, "/folder/y", b"y")
    create_share(entry=Folder.objects.get(), actor=owner)
    before = state()
    for user in people.values():
        browser = Browser()
        browser.force_login(user)
        for model in ("drive", "file", "folder", "sharelink", "drivemember", "fileoperation", "archive"):
            page = f"/admin/drives/{model}/"
            for answer in (
                browser.get(page),
                browser.get(f"{page}{drive.pk}/change/"),
                browser.post(f"{page}add/"),
            ):
                assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, "/admin/login/")
    assert state() == before
