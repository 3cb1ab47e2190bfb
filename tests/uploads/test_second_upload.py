"""What is known already comes again, all of it at once, while other things happen to its drive."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from drives.models import Drive, File, FileVersion, Folder
from drives.services.drives import create_drive
from drives.services.places import ensure_folders
from drives.services.trash import trash
from tests.conftest import Client
from tests.factories import put
from tests.racing import race
from tests.uploads.conftest import Sender, announced, begin, manifest, md5_of, sums
from uploads.models import TaskFile, UploadTask

pytestmark = pytest.mark.django_db
CONTENT = b"a texture"
SIZE = len(CONTENT)


def check(senders: list[Sender], client: Client | None = None) -> Any:
    """Ask about all of them, whose content is CONTENT."""
    files = [
        {"task_file_id": sender.file_id, "md5": md5_of(CONTENT), "file_size": SIZE} for sender in senders
    ]
    first = senders[0]
    return (client or first.client).post(f"/upload-tasks/{first.task_id}/files/check", {"files": files})


def linked(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return sorted(file["oss_key"] for file in answer.json()["existing_files"])


def living() -> list[str]:
    files = File.objects.living().select_related("folder")
    return sorted(f"{file.folder_path.rstrip('/')}/{file.name}" for file in files)


def move_to_trash(path: str, owner: User) -> None:
    trash(entry=Folder.objects.select_related("drive").get(path=path), actor=owner)


def test_what_is_in_the_way_of_one_file_keeps_no_other_from_being_linked(
    owner: User, owner_api: Client, drive: Drive
) -> None:
    put(owner, "/old", CONTENT)
    senders = begin(owner_api, announced("/a/1.png", CONTENT), announced("/a/2.png", CONTENT))
    ensure_folders(drive=drive, paths={"/a/1.png"})
    answer = check(senders)
    assert linked(answer) == ["/a/2.png"]
    assert (answer.json()["new_files_count"], answer.json()["storage_saved"]) == (1, SIZE)
    assert sums(drive) == (2 * SIZE, SIZE)
    # It is still to be sent, and hears then why it cannot be.
    sent = senders[0].whole(CONTENT)
    assert (sent.status_code, sent.json()["code"]) == (409, "name_taken")
    assert UploadTask.objects.get().uploaded_files == 1


def test_folders_that_went_into_the_trash_are_made_again_for_all_files_at_once(
    owner: User, owner_api: Client, drive: Drive
) -> None:
    put(owner, "/old", CONTENT)

    def queries(scene: str, count: int) -> int:
        paths = [f"/{scene}/{number % 2}/{number}.png" for number in range(count)]
        senders = begin(owner_api, *(announced(path, CONTENT) for path in paths))
        move_to_trash(f"/{scene}", owner)
        with CaptureQueriesContext(connection) as captured:
            answer = check(senders)
        assert linked(answer) == sorted(paths)
        assert set(paths) <= set(living())
        return len(captured)

    assert queries("few", 4) == queries("many", 40)
    assert sums(drive) == (45 * SIZE, 0)

    senders = begin(owner_api, *(announced(f"/s/{name}/x.png", CONTENT) for name in "abc"))
    move_to_trash("/s/b", owner)
    move_to_trash("/s/c", owner)
    put(owner, "/s/b", b"a file")  # where a folder was
    assert linked(check(senders)) == ["/s/a/x.png", "/s/c/x.png"]
    sent = senders[1].whole(CONTENT)
    assert (sent.status_code, sent.json()["code"]) == (409, "name_taken")


def test_a_check_of_all_goes_by_what_the_manifest_declares(
    owner: User, owner_api: Client, stranger_api: Client, drive: Drive
) -> None:
    put(owner, "/old", CONTENT)
    declared = {"md5": md5_of(CONTENT).upper()}
    senders = begin(
        owner_api,
        announced("/a/known.png", CONTENT, **declared),
        announced("/a/new.png", b"new", md5=md5_of(b"new")),
        announced("/a/undeclared.png", CONTENT),
        announced("/a/shorter.png", CONTENT[1:], **declared),
        announced("/a/given-up.png", CONTENT, **declared),
    )
    door = f"/upload-tasks/{senders[0].task_id}/files/check"
    TaskFile.objects.filter(pk=senders[4].file_id).update(status=TaskFile.Status.FAILED)
    assert stranger_api.post(door, {}).status_code == 404
    found = owner_api.post(door, {})
    assert linked(found) == ["/a/known.png"]
    assert found.json()["existing_files"][0]["md5"] == md5_of(CONTENT)
    assert (found.json()["new_files_count"], found.json()["storage_saved"]) == (3, SIZE)
    again = owner_api.post(door, {})
    assert (linked(again), again.json()["new_files_count"]) == ([], 3)
    assert sums(drive) == (2 * SIZE, 3 * SIZE - 1 + 3)
    wrong: Any
    for wrong in ({"files": None}, {"files": {}}):
        assert owner_api.post(door, wrong).status_code == 422


@pytest.mark.parametrize(
    ("on_clash", "places"),
    [
        ("replace", ["/a/1.png", "/a/2.png", "/b/1.png"]),
        ("keep_both", ["/a/1 (1).png", "/a/2 (1).png", "/b/1.png"]),
    ],
)
def test_the_last_byte_of_a_quota_is_enough_whatever_becomes_of_names(
    owner: User, owner_api: Client, on_clash: str, places: list[str]
) -> None:
    """Two of the files hold the same content, two are where it is already, and the drive has room for just these."""
    drive = create_drive(user=owner, name="small", total_size=5 * SIZE)
    for path in ("/a/1.png", "/a/2.png"):
        put(owner, path, CONTENT, drive=drive)
    files = [announced(path, CONTENT) for path in ("/a/1.png", "/a/2.png", "/b/1.png")]
    senders = begin(owner_api, *files, drive_id=str(drive.pk), on_clash=on_clash)
    assert sums(drive) == (2 * SIZE, 3 * SIZE)
    assert linked(check(senders)) == places
    assert living() == sorted({"/a/1.png", "/a/2.png", *places})
    assert sums(drive) == (len(living()) * SIZE, 0)
    # The content that was there is the content that came: nothing is kept of it beside.
    assert not FileVersion.objects.exists()
    room = 5 * SIZE - drive.used_size
    more = manifest(announced("/c", b"x" * (room + 1)), drive_id=str(drive.pk))
    assert owner_api.post("/upload-tasks", more).json()["available"] == room


@pytest.mark.django_db(transaction=True)
def test_several_second_uploads_to_one_place_at_once(owner: User, drive: Drive) -> None:
    put(owner, "/old", CONTENT)
    paths = [f"/new/{number % 3}/{number}.png" for number in range(12)]

    def act(number: int) -> list[str]:
        client = Client(owner)
        return linked(check(begin(client, *(announced(path, CONTENT) for path in paths))))

    assert race(4, act) == [sorted(paths)] * 4
    assert living() == sorted([*paths, "/old"])
    assert sums(drive) == (13 * SIZE, 0)
    assert not FileVersion.objects.exists()
    ends = UploadTask.objects.values_list("status", "uploaded_files", "uploaded_size")
    assert list(ends) == [("completed", 12, 12 * SIZE)] * 4


@pytest.mark.django_db(transaction=True)
def test_a_task_that_is_checked_twice_and_cancelled_at_once_links_all_or_nothing(
    owner: User, drive: Drive
) -> None:
    put(owner, "/old", CONTENT)
    for turn in range(3):
        senders = begin(Client(owner), *(announced(f"/{turn}/{number}.png", CONTENT) for number in range(9)))

        def act(number: int, senders: list[Sender] = senders) -> tuple[int, int]:
            client = Client(owner)
            if number == 2:
                return int(client.put(f"/upload-tasks/{senders[0].task_id}/cancel").status_code), 0
            answer = check(senders, client)
            return int(answer.status_code), len(answer.json().get("existing_files", ()))

        before = File.objects.count()
        answers = race(3, act)
        task = UploadTask.objects.get(pk=senders[0].task_id)
        told = sum(count for _status, count in answers)
        assert task.status in ("completed", "cancelled")
        assert {status for status, _count in answers} <= {200, 409}
        assert told == task.uploaded_files == File.objects.count() - before
        assert told == (9 if task.status == "completed" else 0)
        assert task.files.filter(status=TaskFile.Status.SKIPPED).count() == told
        assert sums(drive) == (File.objects.count() * SIZE, 0)
