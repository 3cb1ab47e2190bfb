"""Drives under several hands at once."""

import random

import pytest
from django.db.models import Sum

from accounts.models import User
from common.errors import DomainError
from drives.models import Blob, Drive, File, Folder
from drives.paths import join
from drives.services import trash
from drives.services.blobs import store_chunks
from drives.services.moving import rename
from drives.services.places import ensure_folders
from drives.storage import blob_storage
from tests.conftest import Client
from tests.factories import put
from tests.racing import race

pytestmark = pytest.mark.django_db(transaction=True)


def assert_sound(drive: Drive) -> None:
    """Paths follow from parents, nothing stands in two places, and the sum is that of the living files."""
    folders = {folder.pk: folder for folder in Folder.objects.filter(drive=drive)}
    for folder in folders.values():
        above = folders[folder.parent_id].path if folder.parent_id else "/"
        if folder.trashed_at is None:
            assert folder.path == join(above, folder.name)
        else:
            assert folder.path.startswith(f"trash:{folder.pk}/")
    places = [(folder.parent_id, folder.name) for folder in folders.values() if folder.trashed_at is None]
    places += File.objects.filter(drive=drive, trashed_at=None).values_list("folder_id", "name")
    assert len(places) == len(set(places))
    drive.refresh_from_db()
    living = File.objects.living().filter(drive=drive)
    assert drive.used_size == living.aggregate(total=Sum("size", default=0))["total"]


def test_folders_are_made_once(drive: Drive) -> None:
    paths = {f"/scene/{name}/{depth}" for name in "abc" for depth in range(5)}

    def make(_number: int) -> dict[str, object]:
        found = ensure_folders(drive=drive, paths=paths)
        return {path: folder and folder.pk for path, folder in found.items()}

    answers = race(20, make)
    assert all(answer == answers[0] for answer in answers)
    assert Folder.objects.count() == 1 + 3 + 15
    assert_sound(drive)


def test_one_of_several_gets_the_name(owner: User, drive: Drive) -> None:
    def make(_number: int) -> int:
        body = {"drive_id": str(drive.pk), "file_name": "贴图"}
        return int(Client(owner).post("/files", body).status_code)

    assert sorted(race(8, make)) == [201] + [409] * 7
    assert Folder.objects.count() == 1


def test_a_file_and_a_folder_never_get_the_same_place(owner: User, drive: Drive) -> None:
    def make(number: int) -> bool:
        try:
            if number % 2:
                put(owner, "/here", b"x")
            else:
                ensure_folders(drive=drive, paths={"/here/below"})
        except DomainError:
            return False
        return True

    # Either all the files have won or all the folders.
    assert sorted(race(8, make)) == [False] * 4 + [True] * 4
    assert_sound(drive)


def test_uploads_of_one_name_end_as_one_file(owner: User, drive: Drive) -> None:
    race(8, lambda number: put(owner, "/a/x", b"x" * (number + 1)))
    assert File.objects.count() == 1
    assert_sound(drive)


def test_the_quota_is_freed_once(owner: User, drive: Drive) -> None:
    put(owner, "/a/b/x", b"x" * 10)
    put(owner, "/a/b/y", b"y" * 5)
    put(owner, "/z", b"z")
    file = File.objects.select_related("drive").get(name="x")
    folders = list(Folder.objects.select_related("drive"))

    def put_away(number: int) -> None:
        if number % 2:
            trash.trash(entry=file, actor=owner)
        else:
            trash.trash(entry=folders[number // 2 % 2], actor=owner)

    race(8, put_away)
    assert_sound(drive)
    assert drive.used_size == 1


def test_a_tree_stays_sound_in_a_crowd(owner: User, drive: Drive) -> None:
    """Folders made, renamed and trashed, files replaced and trashed, all at random and all at once."""
    put(owner, "/a/b/c/x", b"x")

    def work(number: int) -> None:
        dice = random.Random(number)
        for _step in range(12):
            path = "/" + "/".join(dice.choice("abc") for _depth in range(dice.randint(1, 3)))
            try:
                folder = Folder.objects.living().select_related("drive").order_by("?").first()
                file = File.objects.living().select_related("drive").order_by("?").first()
                match dice.randrange(5):
                    case 0 | 1:
                        put(owner, f"{path}/{dice.choice('xyz')}", bytes(dice.randrange(50)))
                    case 2 if folder:
                        rename(entry=folder, actor=owner, name=dice.choice("abcde"))
                    case 3 if folder:
                        trash.trash(entry=folder, actor=owner)
                    case 4 if file:
                        trash.trash(entry=file, actor=owner)
            except DomainError:
                continue

    race(6, work)
    assert_sound(drive)


def test_the_same_content_is_stored_once(owner: User) -> None:
    content = random.Random(1).randbytes(3_000_000)
    staged_before = set(blob_storage().staging_path("").iterdir())
    blobs = race(8, lambda _number: store_chunks([content[:1_000_000], content[1_000_000:]]))
    assert len({blob.pk for blob in blobs}) == 1
    assert Blob.objects.count() == 1
    stored = blob_storage()
    assert stored.open_blob(blobs[0].storage_key).read() == content
    assert set(stored.staging_path("").iterdir()) <= staged_before
