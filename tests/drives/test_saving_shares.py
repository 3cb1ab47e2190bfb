"""What somebody shared, kept in a drive of one's own: worth a download, and a copy without bytes."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from drives.models import Blob, Drive, DriveMember, File, FileOperation, FileVersion, ShareLink
from drives.services import shares
from drives.services.drives import default_drive
from tests.conftest import Client
from tests.drives.links import open_share, refused, share, token_in
from tests.drives.manager import id_at, names, post, used
from tests.factories import make_user, put
from tests.racing import overtake, race

pytestmark = pytest.mark.django_db


def save(client: Client, door: str, **body: Any) -> Any:
    return client.post(f"{door}/save", body)


def nothing_was_saved(stranger: User, count: int = 0) -> None:
    assert not File.objects.filter(drive__user=stranger).exists()
    assert used(default_drive(user=stranger)) == 0
    assert set(ShareLink.objects.values_list("download_count", flat=True)) <= {count}
    assert not FileOperation.objects.filter(action="copy").exists()


def test_a_folder_is_saved_without_its_bytes(
    owner_api: Client, stranger: User, stranger_api: Client, foreign_drive: Drive, album: str
) -> None:
    door, blobs = open_share(owner_api, album), Blob.objects.count()
    made = save(stranger_api, door).json()
    assert (made["name"], made["is_folder"], made["drive_id"]) == ("相册", True, str(foreign_drive.pk))
    assert names(stranger_api, "/相册") == ["深", "猫.png"]
    assert names(stranger_api, "/相册/深") == ["x.txt"]
    assert Blob.objects.count() == blobs
    assert used(foreign_drive) == sum(File.objects.filter(drive=foreign_drive).values_list("size", flat=True))
    assert ShareLink.objects.get().download_count == 1
    # Each reads in the log of their own drive what concerns them, and nothing of the other's.
    taken, kept = FileOperation.objects.order_by("action").filter(action__in=["copy", "download"])
    assert (taken.action, taken.drive_id, taken.actor) == ("copy", foreign_drive.pk, stranger)
    assert (taken.path, taken.new_path) == ("/相册", "/相册")
    assert (kept.action, kept.actor, kept.path) == ("download", None, "/相册")
    # What becomes of the original no longer matters.
    owner_api.delete(f"/files/{album}")
    assert names(stranger_api, "/相册/深") == ["x.txt"]


def test_a_part_is_saved_where_it_is_wanted(
    owner: User, owner_api: Client, stranger: User, stranger_api: Client, foreign_drive: Drive
) -> None:
    put(owner, "/secret project/shots/a/beauty.exr", b"beauty")
    put(stranger, "/mine/beauty.exr", b"other")
    door = open_share(owner_api, id_at("/secret project/shots"))
    file = id_at("/secret project/shots/a/beauty.exr")
    where = {"id": file, "drive_id": str(foreign_drive.pk), "folder_path": "/mine"}
    refused(save(stranger_api, door, **where), 409, "name_taken")
    made = save(stranger_api, door, **where, on_clash="keep_both").json()
    assert names(stranger_api, "/mine") == sorted(["beauty.exr", made["name"]])
    assert save(stranger_api, door, **where, on_clash="replace").status_code == 201
    assert FileVersion.objects.get().file.name == "beauty.exr"
    row = FileOperation.objects.filter(action="copy").first()
    assert row is not None and row.path == "/shots/a/beauty.exr"
    # Two of the three were saved, and these counted.
    assert ShareLink.objects.get().download_count == 2


def test_what_does_not_open_is_not_saved(
    owner: User, owner_api: Client, anonymous: Client, stranger: User, stranger_api: Client, album: str
) -> None:
    made = share(owner_api, album, password="x", max_downloads=1)
    door = f"/shared/{token_in(made)}"
    key = post(anonymous, f"{door}/unlock", password="x")["key"]
    assert save(anonymous, door, key=key).status_code == 401
    for wrong in ("", "x", key + "x"):
        refused(save(stranger_api, door, key=wrong), 403, "share_password_required")
    refused(save(stranger_api, "/shared/nobodys", key=key), 404, "not_found")
    for outside in ("/private.txt", "/相册2/secret.txt", "/相册2"):
        refused(save(stranger_api, door, key=key, id=id_at(outside)), 404, "not_found")
    refused(save(stranger_api, door, key=key, folder_path="/nowhere"), 404, "not_found")
    refused(save(stranger_api, door, key=key, folder_path="/a/../b"), 422, "bad_name")
    nothing_was_saved(stranger)
    ShareLink.objects.update(expires_at=timezone.now())
    refused(save(stranger_api, door, key=key), 410, "share_expired")
    ShareLink.objects.update(expires_at=timezone.now() + timedelta(days=1), download_count=1)
    refused(save(stranger_api, door, key=key), 410, "share_exhausted")
    nothing_was_saved(stranger, 1)
    owner_api.delete(f"/shares/{made['id']}")
    refused(save(stranger_api, door, key=key), 410, "share_revoked")
    nothing_was_saved(stranger, 1)


def test_only_into_drives_one_may_write_to(
    owner: User, owner_api: Client, drive: Drive, stranger: User, stranger_api: Client, album: str
) -> None:
    door = open_share(owner_api, album)
    refused(save(stranger_api, door, drive_id=str(drive.pk), folder_path="/"), 404, "not_found")
    other = default_drive(user=make_user(username="another"))
    DriveMember.objects.create(drive=other, user=stranger, role=DriveMember.Role.VIEWER)
    refused(save(stranger_api, door, drive_id=str(other.pk)), 403, "drive_read_only")
    nothing_was_saved(stranger)


def test_what_has_no_room_is_not_saved(
    owner_api: Client, stranger: User, stranger_api: Client, foreign_drive: Drive, album: str
) -> None:
    door = open_share(owner_api, album)
    Drive.objects.filter(pk=foreign_drive.pk).update(total_size=3)
    refused(save(stranger_api, door), 413, "quota_exceeded")
    nothing_was_saved(stranger)


def test_many_files_are_saved_by_as_many_queries_as_one(
    owner: User,
    owner_api: Client,
    stranger_api: Client,
    foreign_drive: Drive,
    django_assert_max_num_queries: Any,
) -> None:
    put(owner, "/few/one.txt", b"1")
    for number in range(30):
        put(owner, f"/many/{number % 5}/{number}.txt", b"1")
    few, many = (open_share(owner_api, id_at(path)) for path in ("/few", "/many"))
    stranger_api.get("/users/me")  # whoever is known
    for door in (few, many):
        with django_assert_max_num_queries(26):
            assert save(stranger_api, door).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_the_last_download_is_saved_once(
    owner_api: Client, stranger: User, foreign_drive: Drive, album: str
) -> None:
    door = open_share(owner_api, album, max_downloads=1)
    answers = race(4, lambda _n: save(Client(stranger), door, on_clash="keep_both").status_code)
    assert sorted(answers) == [201, 410, 410, 410]
    assert File.objects.filter(drive=foreign_drive).count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_link_withdrawn_meanwhile_saves_nothing(
    owner: User, owner_api: Client, stranger: User, foreign_drive: Drive, album: str
) -> None:
    door = open_share(owner_api, album)
    link = ShareLink.objects.get()
    answer = overtake(
        lambda: shares.revoke_share(share=link, actor=owner), lambda: save(Client(stranger), door)
    )
    refused(answer, 410, "share_revoked")
    nothing_was_saved(stranger)
