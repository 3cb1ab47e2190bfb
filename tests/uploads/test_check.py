"""Instant upload: what the caller can already read is linked, and nothing else."""

from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from drives.models import Blob, Drive, File, Folder
from drives.services.drives import create_drive
from drives.services.trash import trash
from tests.conftest import Client
from tests.factories import put
from tests.racing import race
from tests.uploads.conftest import Sender, announced, begin, content_of, md5_of, sums
from uploads.models import TaskFile, UploadTask

pytestmark = pytest.mark.django_db
CONTENT = b"a texture"


def ask(sender: Sender, content: bytes = CONTENT, **fields: Any) -> dict[str, Any]:
    return {"task_file_id": sender.file_id, "md5": md5_of(content), "file_size": len(content), **fields}


def check(sender: Sender, *files: dict[str, Any]) -> Any:
    return sender.client.post(f"/upload-tasks/{sender.task_id}/files/check", {"files": list(files)})


def assert_not_linked(sender: Sender, answer: Any) -> None:
    assert answer.status_code == 200, answer.content
    assert answer.json() == {"existing_files": [], "new_files_count": 1, "storage_saved": 0}
    assert (sender.row().status, sender.row().file_id) == (TaskFile.Status.PENDING, None)


def test_own_content_is_linked_at_once(owner: User, owner_api: Client, drive: Drive) -> None:
    known = put(owner, "/old/t.png", CONTENT)
    hit, miss = begin(owner_api, announced("/new/t.png", CONTENT), announced("/new/other.png", b"other"))
    answer = check(hit, ask(hit, md5=md5_of(CONTENT).upper()), ask(miss, b"other"))
    file = hit.row().file
    assert file is not None
    assert answer.json() == {
        "existing_files": [
            {
                "task_file_id": hit.file_id,
                "md5": md5_of(CONTENT),
                "existing_file_id": str(file.pk),
                "file_size": len(CONTENT),
                "oss_key": "/new/t.png",
                "oss_url": "",
            }
        ],
        "new_files_count": 1,
        "storage_saved": len(CONTENT),
    }
    assert (file.blob, file.folder_path, file.uploaded_by) == (known.blob, "/new", owner)
    assert content_of(file) == CONTENT
    assert sums(drive) == (2 * len(CONTENT), 5)
    row = hit.row()
    assert (row.status, row.is_duplicated) == (TaskFile.Status.SKIPPED, True)
    shown = owner_api.get(f"/upload-tasks/{hit.task_id}").json()
    assert (shown["status"], shown["uploaded_files"], shown["uploaded_size"]) == (
        "uploading",
        1,
        len(CONTENT),
    )
    # Asked again, the file is there already.
    assert check(hit, ask(hit)).json()["existing_files"] == []
    assert sums(drive) == (2 * len(CONTENT), 5)


def test_a_task_of_nothing_but_known_files_is_complete(owner: User, owner_api: Client, drive: Drive) -> None:
    put(owner, "/old/t.png", CONTENT)
    senders = begin(owner_api, announced("/new/1.png", CONTENT), announced("/new/2.png", CONTENT))
    answer = check(senders[0], *(ask(sender) for sender in senders))
    assert len(answer.json()["existing_files"]) == 2
    task = owner_api.get(f"/upload-tasks/{senders[0].task_id}").json()
    assert (task["status"], task["progress_percentage"], task["is_completed"]) == ("completed", 100.0, True)
    assert task["completed_at"] is not None
    assert sums(drive) == (3 * len(CONTENT), 0)
    # The bytes of a file that has landed are not taken again, only its result is told.
    again = senders[0].whole(CONTENT)
    assert (again.status_code, again.json()["is_duplicated"], again.json()["instant_upload"]) == (
        200,
        True,
        True,
    )
    assert sums(drive) == (3 * len(CONTENT), 0)


def test_another_users_content_is_never_linked(owner: User, stranger_api: Client) -> None:
    put(owner, "/secret.blend", CONTENT)
    (sender,) = begin(stranger_api, announced("/mine", CONTENT, md5=md5_of(CONTENT)))
    assert_not_linked(sender, check(sender, ask(sender)))
    # Whoever brings the bytes gets the file; they are stored once all the same.
    assert sender.whole(CONTENT).status_code == 200
    assert Blob.objects.count() == 1
    assert File.objects.count() == 2


def test_size_and_digest_must_agree_with_manifest_and_content(owner: User, owner_api: Client) -> None:
    put(owner, "/old/t.png", CONTENT)
    (plain,) = begin(owner_api, announced("/new/1.png", CONTENT))
    assert_not_linked(plain, check(plain, ask(plain, file_size=len(CONTENT) + 1)))
    assert_not_linked(plain, check(plain, ask(plain, md5=md5_of(b"x"))))
    assert_not_linked(plain, check(plain, ask(plain, md5="")))
    (declared,) = begin(owner_api, announced("/new/2.png", CONTENT, md5=md5_of(b"x")))
    assert_not_linked(declared, check(declared, ask(declared)))
    (longer,) = begin(owner_api, announced("/new/3.png", CONTENT + b"x"))
    assert_not_linked(longer, check(longer, ask(longer)))
    assert_not_linked(longer, check(longer, ask(longer, file_size=len(CONTENT) + 1)))
    # A neighbour's right question makes no wrong one right.
    good, bad = begin(owner_api, announced("/new/4.png", CONTENT), announced("/new/5.png", CONTENT))
    answer = check(good, ask(good), ask(bad, file_size=1)).json()
    assert [found["task_file_id"] for found in answer["existing_files"]] == [good.file_id]
    assert bad.row().status == TaskFile.Status.PENDING


def test_only_living_files_in_living_drives_count(owner: User, owner_api: Client, drive: Drive) -> None:
    file = put(owner, "/a/t.png", CONTENT)
    (sender,) = begin(owner_api, announced("/new/t.png", CONTENT))
    trash(entry=file, actor=owner)
    assert_not_linked(sender, check(sender, ask(sender)))
    put(owner, "/b/t.png", CONTENT)
    trash(entry=Folder.objects.select_related("drive").get(path="/b"), actor=owner)
    assert_not_linked(sender, check(sender, ask(sender)))
    second = create_drive(user=owner, name="second")
    put(owner, "/t.png", CONTENT, drive=second)
    Drive.objects.filter(pk=second.pk).update(is_active=False)
    assert_not_linked(sender, check(sender, ask(sender)))
    Drive.objects.filter(pk=second.pk).update(is_active=True)
    assert len(check(sender, ask(sender)).json()["existing_files"]) == 1


def test_unverified_content_and_twins_of_one_md5_do_not_count(owner: User, owner_api: Client) -> None:
    known = put(owner, "/a/t.png", CONTENT)
    (sender,) = begin(owner_api, announced("/new/t.png", CONTENT))
    verified = {"sha256": known.blob.sha256, "verified_at": timezone.now()}
    Blob.objects.update(sha256=None, verified_at=None)
    assert_not_linked(sender, check(sender, ask(sender)))
    Blob.objects.update(**verified)
    twin = put(owner, "/b/t.png", CONTENT[::-1])
    Blob.objects.filter(pk=twin.blob_id).update(md5=md5_of(CONTENT))
    assert_not_linked(sender, check(sender, ask(sender)))


def test_a_file_of_another_task_is_out_of_sight(
    owner: User, owner_api: Client, stranger_api: Client, drive: Drive
) -> None:
    put(owner, "/old", CONTENT)
    (mine,) = begin(owner_api, announced("/1", CONTENT))
    (other,) = begin(owner_api, announced("/2", CONTENT))
    (foreign,) = begin(stranger_api, announced("/3", CONTENT))
    before = sums(drive)
    for file_id in (other.file_id, foreign.file_id, str(uuid4())):
        answer = check(mine, ask(mine), ask(mine, task_file_id=file_id))
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert check(mine.again(stranger_api), ask(mine)).status_code == 404
    assert not TaskFile.objects.exclude(status=TaskFile.Status.PENDING).exists()
    assert sums(drive) == before


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"task_file_id": "x", "md5": "0" * 32, "file_size": 1},
        {"task_file_id": str(uuid4()), "md5": "0", "file_size": 1},
        {"task_file_id": str(uuid4()), "md5": "0" * 32, "file_size": -1},
        {"file_name": "x", "md5": "0" * 32, "file_size": 1},
        "x",
    ],
)
def test_a_bad_question_is_refused(owner_api: Client, item: Any) -> None:
    (sender,) = begin(owner_api, announced("/1", CONTENT))
    answer = check(sender, item)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
    assert answer.json()["errors"][0]["loc"][:3] == ["body", "files", 0]


def test_a_closed_task_links_nothing(owner: User, owner_api: Client, drive: Drive) -> None:
    put(owner, "/old", CONTENT)
    (sender,) = begin(owner_api, announced("/1", CONTENT))
    owner_api.put(f"/upload-tasks/{sender.task_id}/cancel")
    answer = check(sender, ask(sender))
    assert (answer.status_code, answer.json()["code"], answer.json()["status"]) == (
        409,
        "upload_closed",
        "cancelled",
    )
    assert sums(drive) == (len(CONTENT), 0)


def test_many_files_are_checked_in_as_many_queries_as_few(owner: User, owner_api: Client) -> None:
    put(owner, "/old", CONTENT)

    def queries(prefix: str, count: int) -> int:
        senders = begin(owner_api, *(announced(f"/{prefix}/{number}", CONTENT) for number in range(count)))
        with CaptureQueriesContext(connection) as captured:
            answer = check(senders[0], *(ask(sender) for sender in senders))
        assert len(answer.json()["existing_files"]) == count
        return len(captured)

    assert queries("few", 5) == queries("many", 300) <= 24


@pytest.mark.django_db(transaction=True)
def test_racing_checks_and_uploads_count_once(owner: User, drive: Drive) -> None:
    put(owner, "/old", CONTENT)
    senders = begin(Client(owner), *(announced(f"/{number}", CONTENT) for number in range(4)))

    def act(number: int) -> int:
        client = Client(owner)
        if number % 2:
            return int(check(senders[0].again(client), *(ask(sender) for sender in senders)).status_code)
        return int(senders[number // 2].again(client).whole(CONTENT).status_code)

    # A check that finds the task complete is refused; no upload is.
    answers = race(8, act)
    assert answers[::2] == [200] * 4
    assert set(answers[1::2]) <= {200, 409}
    task = UploadTask.objects.get()
    assert (task.status, task.uploaded_files, task.uploaded_size) == ("completed", 4, 4 * len(CONTENT))
    assert sums(drive) == (5 * len(CONTENT), 0)
    assert File.objects.count() == 5
    assert Blob.objects.count() == 1
