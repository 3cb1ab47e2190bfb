"""Share links: made and changed by whoever may share, opened by strangers."""

import io
import zipfile
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client as Browser
from django.utils import timezone

from accounts.models import User
from common.ids import digest
from drives.models import Archive, Blob, Drive, DriveMember, File, FileOperation, ShareLink
from tests.conftest import Client
from tests.drives.links import PNG, fetch, open_share, refused, share, token_in
from tests.drives.manager import id_at, post
from tests.factories import make_user, put
from tests.racing import race

pytestmark = pytest.mark.django_db


def test_a_link_is_made_and_its_address_shown_once(
    owner: User, owner_api: Client, drive: Drive, album: str
) -> None:
    made = share(owner_api, album, password="open sesame", expires_in_days=3, max_downloads=2)
    row = ShareLink.objects.get()
    token = token_in(made)
    assert (row.token_hash, len(token)) == (digest(token), 32)
    assert "open sesame" not in row.password
    assert {name: made[name] for name in ("entry_id", "is_folder", "path", "has_password", "max_downloads")} == {
        "entry_id": album, "is_folder": True, "path": "/相册", "has_password": True, "max_downloads": 2,
    }  # fmt: skip
    assert timedelta(days=2) < row.expires_at - timezone.now() <= timedelta(days=3)  # type: ignore[operator]
    listed = owner_api.get("/shares", {"drive_id": str(drive.pk)}).json()
    assert (listed["total"], listed["shares"]) == (1, [{k: v for k, v in made.items() if k != "url"}])
    for body in ({"max_downloads": 0}, {"expires_in_days": 0}, {"password": "x" * 129}):
        share(owner_api, album, 422, **body)
    share(owner_api, str(drive.pk), 404)
    assert ShareLink.objects.count() == 1


def test_links_are_listed_of_one_entry_and_without_those_withdrawn(
    owner: User, owner_api: Client, drive: Drive, album: str
) -> None:
    made = [share(owner_api, entry)["id"] for entry in (album, album, id_at("/private.txt"))]
    owner_api.delete(f"/shares/{made[1]}")

    def listed(**query: str) -> set[str]:
        answer = owner_api.get("/shares", {"drive_id": str(drive.pk), **query}).json()
        assert answer["total"] == len(answer["shares"])
        return {link["id"] for link in answer["shares"]}

    assert listed() == set(made)
    assert listed(entry_id=album) == {made[0], made[1]}
    assert listed(entry_id=album, is_revoked="false") == {made[0]}
    assert listed(is_revoked="true") == {made[1]}
    assert listed(entry_id=str(drive.pk)) == set()
    for field in ("entry_id", "is_revoked"):
        refusal = owner_api.get("/shares", {field: "x"})
        assert (refusal.status_code, refusal.json()["errors"][0]["loc"]) == (422, ["query", field])


def test_what_strangers_see_of_a_folder(
    owner: User, owner_api: Client, anonymous: Client, album: str
) -> None:
    door = open_share(owner_api, album)
    info = anonymous.get(door).json()
    assert set(info["entry"]) == {
        "id", "name", "is_folder", "size", "mime_type", "modified_at", "preview_url",
    }  # fmt: skip
    assert (info["needs_password"], info["entry"]["name"], info["downloads_left"]) == (False, "相册", None)
    top = anonymous.get(f"{door}/files").json()
    assert [(entry["name"], entry["is_folder"]) for entry in top["files"]] == [
        ("深", True),
        ("猫.png", False),
    ]
    assert (top["total"], top["skip"], top["limit"]) == (2, 0, 1000)
    assert [e["name"] for e in anonymous.get(f"{door}/files", {"path": "/深"}).json()["files"]] == ["x.txt"]
    assert [e["name"] for e in anonymous.get(f"{door}/files", {"skip": 1}).json()["files"]] == ["猫.png"]
    assert top["files"][1]["preview_url"] == f"/api/v1{door}/files/{id_at('/相册/猫.png')}/preview"
    assert anonymous.get(f"{door}/files", {"path": "/深"}).json()["files"][0]["preview_url"] is None


def test_nothing_outside_the_folder_can_be_reached(
    owner: User, owner_api: Client, anonymous: Client, album: str
) -> None:
    door = open_share(owner_api, album)
    refused(anonymous.get(f"{door}/files", {"path": "/../相册2"}), 422, "bad_name")
    for path in ("2", "/相册2", "/相册"):
        assert anonymous.get(f"{door}/files", {"path": path}).status_code == 404, path
    for path in ("/相册2", "/相册2/secret.txt", "/private.txt"):
        refused(anonymous.post(f"{door}/download", {"id": id_at(path)}), 404, "not_found")
    of_file = open_share(owner_api, id_at("/private.txt"))
    assert anonymous.get(f"{of_file}/files").status_code == 404
    refused(anonymous.post(f"{of_file}/download", {"id": album}), 404, "not_found")
    put(owner, "/相册/gone.txt", b"gone")
    gone = id_at("/相册/gone.txt")
    owner_api.delete(f"/files/{gone}")
    refused(anonymous.post(f"{door}/download", {"id": gone}), 404, "not_found")
    assert anonymous.get(f"/files/{album}").status_code == 401
    assert (FileOperation.objects.filter(action="download").count(), Archive.objects.count()) == (0, 0)


def test_downloads_by_strangers(owner: User, owner_api: Client, anonymous: Client, album: str) -> None:
    door = open_share(owner_api, album)
    whole = post(anonymous, f"{door}/download")
    assert whole["filename"] == "相册.zip"
    with zipfile.ZipFile(io.BytesIO(fetch(whole["download_url"]))) as found:
        assert found.testzip() is None
        assert set(found.namelist()) == {"相册/", "相册/深/", "相册/深/x.txt", "相册/猫.png"}
    part = post(anonymous, f"{door}/download", id=id_at("/相册/深"))
    assert part["filename"] == "深.zip"
    file = post(anonymous, f"{door}/download", id=id_at("/相册/深/x.txt"))
    assert (file["filename"], file["size"], fetch(file["download_url"])) == ("x.txt", 4, b"deep")
    rows = FileOperation.objects.filter(action="download").order_by("created_at")
    assert [(row.actor, row.path) for row in rows] == [
        (None, "/相册"), (None, "/相册/深"), (None, "/相册/深/x.txt"),
    ]  # fmt: skip
    assert ShareLink.objects.get().download_count == 3
    listed = owner_api.get(f"/drives/{rows[0].drive_id}/operations?action=download").json()
    assert {row["actor_name"] for row in listed["operations"]} == {""}


def test_a_link_ends(owner: User, owner_api: Client, anonymous: Client, album: str) -> None:
    """Each way by its own code, at every door, and without counting."""
    door = open_share(owner_api, album, max_downloads=1)

    def closed(code: int, slug: str) -> None:
        before = ShareLink.objects.get().download_count
        refused(anonymous.get(door), code, slug)
        refused(anonymous.get(f"{door}/files"), code, slug)
        refused(anonymous.post(f"{door}/download"), code, slug)
        refused(anonymous.post(f"{door}/unlock", {"password": "x"}), code, slug)
        assert ShareLink.objects.get().download_count == before

    ShareLink.objects.update(expires_at=timezone.now())
    closed(410, "share_expired")
    ShareLink.objects.update(expires_at=timezone.now() + timedelta(seconds=90))
    answer = post(anonymous, f"{door}/download", id=id_at("/相册/猫.png"))
    assert 60 <= answer["expires_in"] <= 90
    closed(410, "share_exhausted")
    ShareLink.objects.update(max_downloads=None)
    owner_api.delete(f"/files/{album}")
    closed(404, "not_found")
    post(owner_api, f"/files/{album}/restore")
    assert anonymous.get(door).status_code == 200
    Drive.objects.update(is_active=False)
    closed(404, "not_found")
    Drive.objects.update(is_active=True)
    assert owner_api.delete(f"/shares/{ShareLink.objects.get().pk}").status_code == 200
    closed(410, "share_revoked")
    revoked_at = ShareLink.objects.get().revoked_at
    assert owner_api.delete(f"/shares/{ShareLink.objects.get().pk}").status_code == 200
    assert ShareLink.objects.get().revoked_at == revoked_at
    refused(anonymous.get("/shared/nobodys"), 404, "not_found")


def test_a_folder_that_moves_into_another_drive_is_shared_no_more(
    owner: User, owner_api: Client, anonymous: Client, album: str
) -> None:
    door = open_share(owner_api, album)
    second = post(owner_api, "/drives", 201, name="Second")
    owner_api.put(f"/files/{album}", {"file_name": "renamed"})
    assert anonymous.get(door).json()["entry"]["name"] == "renamed"
    post(owner_api, f"/files/{album}/move", folder_path="/", drive_id=second["id"])
    refused(anonymous.get(door), 404, "not_found")


def test_a_download_that_cannot_be_had_does_not_count(
    owner: User, owner_api: Client, anonymous: Client, album: str
) -> None:
    door = open_share(owner_api, album, max_downloads=1)
    Blob.objects.filter(files__name="x.txt").update(crc32=None)
    refused(anonymous.post(f"{door}/download"), 409, "not_verified_yet")
    assert (ShareLink.objects.get().download_count, Archive.objects.count()) == (0, 0)


@pytest.mark.django_db(transaction=True)
def test_of_many_who_want_the_last_download_one_gets_it(owner: User, owner_api: Client, album: str) -> None:
    door = open_share(owner_api, album, max_downloads=1)
    file = id_at("/相册/猫.png")
    codes = race(5, lambda _n: Client().post(f"{door}/download", {"id": file}).status_code)
    assert sorted(codes) == [200, 410, 410, 410, 410]
    assert FileOperation.objects.filter(action="download").count() == 1


# --- Previews ----------------------------------------------------------------------------------------------------


def test_strangers_see_previews(owner_api: Client, anonymous: Client, album: str, picture: str) -> None:
    door = open_share(owner_api, album)
    seen = anonymous.get(f"{door}/files/{picture}/preview").json()
    assert (seen["state"], seen["size"]) == ("ready", 480)
    looked = Browser().get(urlsplit(seen["preview_url"]).path)
    assert (looked.status_code, looked["Content-Disposition"].partition(";")[0]) == (200, "inline")
    assert anonymous.get(f"{door}/files/{picture}/preview?size=1600").status_code == 202
    refused(anonymous.get(f"{door}/files/{picture}/preview?size=99"), 422, "validation_error")
    for other in (album, id_at("/private.txt"), id_at("/相册2/secret.txt")):
        refused(anonymous.get(f"{door}/files/{other}/preview"), 404, "not_found")
    locked = open_share(owner_api, album, password="x")
    refused(anonymous.get(f"{locked}/files/{picture}/preview"), 403, "share_password_required")
    assert ShareLink.objects.filter(download_count__gt=0).count() == 0


def test_where_downloads_are_limited_previews_are_small(
    owner_api: Client, anonymous: Client, album: str, picture: str
) -> None:
    door = open_share(owner_api, album, max_downloads=1)
    assert anonymous.get(f"{door}/files/{picture}/preview?size=160").status_code == 200
    for size in (480, 1600):
        refused(anonymous.get(f"{door}/files/{picture}/preview?size={size}"), 403, "permission_denied")


# --- Changes -----------------------------------------------------------------------------------------------------


def test_a_link_is_changed_and_its_address_stays(owner_api: Client, anonymous: Client, album: str) -> None:
    made = share(owner_api, album, password="old", expires_in_days=1, max_downloads=1)
    door = f"/shared/{token_in(made)}"
    anonymous.credentials(
        HTTP_AUTHORIZATION=f"Bearer {post(anonymous, f'{door}/unlock', password='old')['key']}"
    )
    post(anonymous, f"{door}/download")
    refused(anonymous.get(door), 410, "share_exhausted")

    def change(code: int = 200, **body: Any) -> Any:
        answer = owner_api.put(f"/shares/{made['id']}", body)
        assert answer.status_code == code, answer.content
        return answer.json()

    changed = change(max_downloads=2)
    assert (changed["max_downloads"], changed["has_password"], changed["download_count"]) == (2, True, 1)
    assert changed["expires_at"] == made["expires_at"]
    assert anonymous.get(door).json()["entry"]["name"] == "相册"
    # Whoever gave the old password gives the new one.
    change(password="new")
    assert anonymous.get(door).json()["needs_password"]
    refused(anonymous.post(f"{door}/unlock", {"password": "old"}), 403, "share_password_wrong")
    post(anonymous, f"{door}/unlock", password="new")
    changed = change(password="", expires_in_days=None, max_downloads=None)
    assert (changed["has_password"], changed["expires_at"], changed["max_downloads"]) == (False, None, None)
    assert anonymous.get(door).json()["downloads_left"] is None
    assert change() == changed
    # One that has expired lives again.
    ShareLink.objects.update(expires_at=timezone.now())
    refused(anonymous.get(door), 410, "share_expired")
    change(expires_in_days=7)
    assert anonymous.get(door).status_code == 200
    before = ShareLink.objects.values().get()
    post(anonymous, f"{door}/download")
    for body in ({"max_downloads": 1}, {"max_downloads": 0}, {"expires_in_days": 0}, {"password": "x" * 129}):
        assert change(422, **body)["code"] == "validation_error"
    assert ShareLink.objects.values().get() == {**before, "download_count": 2}
    owner_api.delete(f"/shares/{made['id']}")
    assert change(410, max_downloads=9)["code"] == "share_revoked"
    assert ShareLink.objects.get().max_downloads is None


@pytest.mark.django_db(transaction=True)
def test_a_limit_set_while_people_download_is_kept(owner: User, owner_api: Client, album: str) -> None:
    made = share(owner_api, album)
    door, file = f"/shared/{token_in(made)}", id_at("/相册/猫.png")

    def act(turn: int) -> int:
        if turn:
            return int(Client().post(f"{door}/download", {"id": file}).status_code)
        return int(Client(owner).put(f"/shares/{made['id']}", {"max_downloads": 1}).status_code)

    codes = race(5, act)
    row = ShareLink.objects.get()
    assert codes[1:].count(200) == row.download_count
    assert set(codes[1:]) <= {200, 410}
    # It was set where at most one was made by then, and refused where there were more.
    assert row.max_downloads == (1 if codes[0] == 200 else None)
    assert codes[0] == 422 or row.download_count == 1


# --- Who may share -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("role", "may"), [("viewer", False), ("editor", False), ("manager", True)])
def test_who_may_share(owner_api: Client, drive: Drive, album: str, role: str, may: bool) -> None:
    made = share(owner_api, album)
    member = make_user(username="member")
    DriveMember.objects.create(drive=drive, user=member, role=role)
    api = Client(member)
    share(api, album, 201 if may else 403)
    assert api.get("/shares", {"drive_id": str(drive.pk)}).status_code == (200 if may else 403)
    assert api.put(f"/shares/{made['id']}", {"max_downloads": 5}).status_code == (200 if may else 403)
    assert ShareLink.objects.get(pk=made["id"]).max_downloads == (5 if may else None)
    assert api.delete(f"/shares/{made['id']}").status_code == (200 if may else 403)
    assert (ShareLink.objects.get(pk=made["id"]).revoked_at is not None) is may
    assert ShareLink.objects.count() == (2 if may else 1)


def test_strangers_share_nothing(stranger_api: Client, owner_api: Client, drive: Drive, album: str) -> None:
    made = share(owner_api, album)
    share(stranger_api, album, 404)
    assert stranger_api.get("/shares", {"drive_id": str(drive.pk)}).status_code == 404
    assert stranger_api.put(f"/shares/{made['id']}", {"password": "mine"}).status_code == 404
    assert stranger_api.delete(f"/shares/{made['id']}").status_code == 404
    assert (ShareLink.objects.count(), ShareLink.objects.get().revoked_at) == (1, None)


def test_lists_take_a_constant_number_of_statements(
    owner: User, owner_api: Client, anonymous: Client, album: str, django_assert_max_num_queries: Any
) -> None:
    door = open_share(owner_api, album)
    for number in range(10):
        put(owner, f"/相册/{number}/{number}", b"x")
        put(owner, f"/相册/{number}.png", PNG)
        share(owner_api, str(File.objects.get(name=f"{number}.png").pk))
    with django_assert_max_num_queries(7):
        assert owner_api.get("/shares").json()["total"] == 11
    with django_assert_max_num_queries(5):
        assert anonymous.get(f"{door}/files").json()["total"] == 22
