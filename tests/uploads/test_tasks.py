"""Upload tasks: lists, progress, cancel, delete, expiry, news; and who sees them."""

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from common import realtime
from drives.models import Drive, File
from drives.services.trash import trash
from tests.conftest import Client
from tests.factories import put
from tests.racing import race
from tests.uploads.conftest import PART, Sender, announced, begin, md5_of, staged, sums
from uploads.models import TaskFile, UploadPart, UploadTask
from uploads.services.news import quiet_until
from uploads.services.tasks import close_task, expire_tasks
from uploads.tasks import expire

pytestmark = pytest.mark.django_db


def news(user: User) -> list[dict[str, Any]]:
    """Bodies of the upload:progress events sent to the user, oldest first."""
    entries: Any = realtime.connection().xrange(realtime.stream_of(user.pk))
    sent = [json.loads(fields[b"event"]) for _id, fields in entries]
    return [event["data"] for event in sent if event["event"] == "upload:progress"]


def queries(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return len(captured)


def test_the_list_is_filtered_and_so_is_its_total(owner_api: Client, stranger_api: Client) -> None:
    ids = [begin(owner_api, announced(f"/{number}", b"x"))[0].task_id for number in range(5)]
    begin(stranger_api, announced("/x", b"x"))
    owner_api.put(f"/upload-tasks/{ids[0]}/cancel")
    owner_api.put(f"/upload-tasks/{ids[3]}/cancel")

    def listed(query: str) -> tuple[list[str], int]:
        answer = owner_api.get(f"/upload-tasks?{query}").json()
        return [task["id"] for task in answer["tasks"]], answer["total"]

    assert listed("") == (ids[::-1], 5)
    assert listed("status=cancelled") == ([ids[3], ids[0]], 2)
    assert listed("status=pending&limit=2") == ([ids[4], ids[2]], 3)
    assert listed("status=pending&limit=2&skip=2") == ([ids[1]], 3)
    assert listed("status=completed") == ([], 0)
    assert (
        owner_api.get("/upload-tasks").json()["skip"],
        owner_api.get("/upload-tasks").json()["limit"],
    ) == (0, 20)
    unknown = owner_api.get("/upload-tasks?status=done")
    assert (unknown.status_code, unknown.json()["code"]) == (422, "validation_error")


def test_files_are_listed_in_the_order_of_the_manifest(owner_api: Client) -> None:
    names = [f"{number * 7 % 25:02}.png" for number in range(25)]
    task_id = begin(owner_api, *(announced(f"/{name}", b"x") for name in names))[0].task_id
    listed: list[str] = []
    for skip in range(0, 30, 10):
        page = owner_api.get(f"/upload-tasks/{task_id}/files?limit=10&skip={skip}").json()
        assert (page["total"], page["skip"], page["limit"]) == (25, skip, 10)
        listed += [file["file_name"] for file in page["files"]]
    assert listed == names
    whole = owner_api.get(f"/upload-tasks/{task_id}/files?limit=5000").json()
    assert (len(whole["files"]), whole["limit"]) == (25, 1000)


def test_a_listed_file_tells_where_it_is(owner: User, owner_api: Client, anonymous: Client) -> None:
    landed, _waiting, gone = begin(
        owner_api, *(announced(f"/tex/{name}", name.encode()) for name in ("landed", "waiting", "gone"))
    )
    for sender, content in ((landed, b"landed"), (gone, b"gone")):
        sender.whole(content)
    file = gone.row().file
    assert file is not None
    trash(entry=file, actor=owner)

    listed = owner_api.get(f"/upload-tasks/{landed.task_id}/files").json()["files"]

    assert [(row["oss_key"], bool(row["oss_url"]), row["duplicated_from"]) for row in listed] == [
        ("/tex/landed", True, None),
        ("", False, None),
        ("", False, None),
    ]
    served = anonymous.get(listed[0]["oss_url"].partition("testserver")[2])
    assert served.getvalue() == b"landed"


def test_lists_take_the_same_queries_for_any_length(owner_api: Client) -> None:
    (first,) = begin(owner_api, announced("/first", b"x"))
    tasks = queries(owner_api, "/upload-tasks")
    few = queries(owner_api, f"/upload-tasks/{first.task_id}/files")
    contents = {f"/{number}": b"x" * (2 * PART) for number in range(12)}
    senders = begin(owner_api, *(announced(path, content) for path, content in contents.items()))
    for sender in senders[:6]:
        sender.start()
        sender.part(1, b"x" * PART)
    senders[7].whole(b"x" * (2 * PART))
    for number in range(8):
        begin(owner_api, announced(f"/more {number}", b"x"))
    assert queries(owner_api, "/upload-tasks") == tasks <= 5
    assert queries(owner_api, f"/upload-tasks/{senders[0].task_id}/files") == few <= 6
    assert queries(owner_api, f"/upload-tasks/{senders[0].task_id}/progress") <= 5


def test_progress_counts_what_landed_and_what_lies_in_parts(owner_api: Client, drive: Drive) -> None:
    big, small = begin(owner_api, announced("/big", b"b" * 3 * PART), announced("/small", b"s" * PART))
    path = f"/upload-tasks/{big.task_id}/progress"

    def progress() -> tuple[Any, ...]:
        found = owner_api.get(path).json()
        assert found["uploaded_size"] + found["remaining_size"] == found["total_size"] == 4 * PART
        assert found["uploaded_files"] + found["remaining_files"] == found["total_files"] == 2
        return found["status"], found["progress_percentage"], found["size_progress_percentage"]

    assert progress() == ("pending", 0.0, 0.0)
    big.start()
    assert progress() == ("uploading", 0.0, 0.0)
    for number, share in ((1, 25.0), (1, 25.0), (3, 50.0)):
        big.part(number, b"b" * PART)
        assert progress() == ("uploading", 0.0, share)
    small.whole(b"s" * PART)
    assert progress() == ("uploading", 50.0, 75.0)
    big.part(2, b"b" * PART)
    assert progress() == ("uploading", 50.0, 100.0)
    for _time in range(2):
        big.complete()
        assert progress() == ("completed", 100.0, 100.0)
    body = owner_api.get(path).json()
    assert (body["task_id"], body["updated_at"].endswith("Z")) == (big.task_id, True)


@pytest.mark.django_db(transaction=True)
def test_the_owner_hears_how_far_it_is(owner: User, stranger: User, drive: Drive) -> None:
    client = Client(owner)
    big, small = begin(client, announced("/big", b"b" * 3 * PART), announced("/small", b"s" * PART))
    small.whole(b"s" * PART)
    big.start()
    big.part(1, b"b" * PART)  # within a second of the last event: it has to wait
    realtime.end_turn(f"upload:{big.task_id}")
    quiet_until.clear()
    big.part(2, b"b" * PART)
    big.part(3, b"b" * PART)
    big.complete()
    heard = news(owner)
    shares = [
        (event["status"], event["uploaded_files"], event["size_progress_percentage"]) for event in heard
    ]
    assert shares == [
        ("uploading", 1, 25.0),
        ("uploading", 1, 75.0),
        ("completed", 2, 100.0),
    ]
    body = client.get(f"/upload-tasks/{big.task_id}/progress").json()
    assert set(heard[-1]) == set(body) | {"timestamp"}
    assert heard[-1]["taskId"] == heard[-1]["task_id"] == big.task_id
    assert news(stranger) == []
    (third,) = begin(client, announced("/third", b"x"))
    client.put(f"/upload-tasks/{third.task_id}/cancel")
    assert (news(owner)[-1]["task_id"], news(owner)[-1]["status"]) == (third.task_id, "cancelled")


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_is_not_told(owner: User, drive: Drive) -> None:
    (sender,) = begin(Client(owner), announced("/x", b"x"))
    with pytest.raises(RuntimeError), transaction.atomic():
        close_task(task=UploadTask.objects.get(), target=UploadTask.Status.CANCELLED)
        raise RuntimeError
    assert news(owner) == []
    assert sender.whole(b"x").status_code == 200


def test_cancel_gives_back_what_has_not_landed(owner_api: Client, drive: Drive) -> None:
    landed, begun, failed, waiting = begin(
        owner_api, *(announced(f"/{number}", bytes(10 * PART + number)) for number in range(4))
    )
    landed.whole(bytes(10 * PART))
    begun.start()
    begun.part(1, bytes(PART))
    failed.start()
    failed.abort()
    answer = owner_api.put(f"/upload-tasks/{landed.task_id}/cancel")
    assert (answer.status_code, answer.json()["status"], answer.json()["is_in_progress"]) == (
        200,
        "cancelled",
        False,
    )
    assert sums(drive) == (10 * PART, 0)
    assert (staged(), UploadPart.objects.count()) == ([], 0)
    assert File.objects.get().name == "0"
    again = owner_api.put(f"/upload-tasks/{landed.task_id}/cancel")
    assert (again.status_code, again.json()["code"], again.json()["status"]) == (
        409, "transition_not_allowed", "cancelled",
    )  # fmt: skip
    assert sums(drive) == (10 * PART, 0)
    assert waiting.whole(bytes(10 * PART + 3)).status_code == 409


def test_what_is_complete_is_not_cancelled(owner_api: Client, drive: Drive) -> None:
    (sender,) = begin(owner_api, announced("/x", b"x"))
    sender.whole(b"x")
    assert owner_api.put(f"/upload-tasks/{sender.task_id}/cancel").status_code == 409
    assert UploadTask.objects.get().status == UploadTask.Status.COMPLETED
    assert sums(drive) == (1, 0)


@pytest.mark.parametrize("state", ["open", "complete", "cancelled"])
def test_a_deleted_task_leaves_its_files_and_no_reservation(
    owner_api: Client, drive: Drive, state: str
) -> None:
    first, second = begin(owner_api, announced("/1", b"1"), announced("/2", bytes(2 * PART)))
    first.whole(b"1")
    second.start()
    second.part(1, bytes(PART))
    if state == "complete":
        second.part(2, bytes(PART))
        second.complete()
    if state == "cancelled":
        owner_api.put(f"/upload-tasks/{first.task_id}/cancel")
    answer = owner_api.delete(f"/upload-tasks/{first.task_id}")
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    for path in ("", "/files", "/progress"):
        assert owner_api.get(f"/upload-tasks/{first.task_id}{path}").status_code == 404
    assert not TaskFile.objects.exists()
    assert (staged(), UploadPart.objects.count()) == ([], 0)
    assert sums(drive) == ((1 + 2 * PART, 0) if state == "complete" else (1, 0))
    assert second.whole(bytes(2 * PART)).status_code == 404
    assert owner_api.delete(f"/upload-tasks/{first.task_id}").status_code == 404


@pytest.mark.django_db(transaction=True)
def test_racing_cancels_release_once(owner: User, drive: Drive) -> None:
    begin(Client(owner), announced("/other", bytes(50)))
    (sender,) = begin(Client(owner), announced("/x", bytes(100)))
    assert sums(drive) == (0, 150)

    def act(number: int) -> int:
        client = Client(owner)
        path = f"/upload-tasks/{sender.task_id}"
        return int((client.delete(path) if number % 4 == 3 else client.put(f"{path}/cancel")).status_code)

    assert set(race(8, act)) <= {200, 404, 409}
    assert sums(drive) == (0, 50)


def test_an_upload_expires(owner: User, owner_api: Client, drive: Drive) -> None:
    begun, fresh, done = (begin(owner_api, announced(f"/{name}", bytes(2 * PART)))[0] for name in "abc")
    begun.start()
    begun.part(1, bytes(PART))
    done.whole(bytes(2 * PART))
    now = timezone.now()
    life = UploadTask.objects.get(pk=fresh.task_id).expires_at - now
    assert settings.UPLOAD_LIFETIME - timedelta(minutes=1) < life <= settings.UPLOAD_LIFETIME
    UploadTask.objects.exclude(pk=fresh.task_id).update(expires_at=now)
    assert expire_tasks(now=now - timedelta(seconds=1)) == 0
    assert expire_tasks(now=now) == 1
    shown = owner_api.get(f"/upload-tasks/{begun.task_id}").json()
    assert (shown["status"], bool(shown["error_message"])) == ("failed", True)
    assert owner_api.get(f"/upload-tasks/{done.task_id}").json()["status"] == "completed"
    assert sums(drive) == (2 * PART, 2 * PART)
    assert staged() == []
    for answer in (begun.part(2, bytes(PART)), begun.whole(bytes(2 * PART)), begun.retry()):
        assert (answer.status_code, answer.json()["status"]) == (409, "failed")
    UploadTask.objects.update(expires_at=now)
    expire()
    assert UploadTask.objects.get(pk=fresh.task_id).status == UploadTask.Status.FAILED
    assert sums(drive) == (2 * PART, 0)


def test_counters_never_pass_the_total(owner_api: Client) -> None:
    begin(owner_api, announced("/x", b"x"))
    for field in ("uploaded_files", "uploaded_size"):
        with pytest.raises(IntegrityError), transaction.atomic():
            UploadTask.objects.update(**{field: F(field) + 2})


def doors(sender: Sender) -> list[tuple[str, str, Any]]:
    """Every route of a task: method, path, body."""
    task, file = f"/upload-tasks/{sender.task_id}", sender.url
    check = {"files": [{"task_file_id": sender.file_id, "md5": md5_of(b"x"), "file_size": 1}]}
    return [
        ("get", task, None),
        ("get", f"{task}/progress", None),
        ("get", f"{task}/files", None),
        ("post", f"{task}/files/check", check),
        ("put", f"{task}/cancel", None),
        ("put", f"{file}/retry", None),
        ("post", f"{file}/multipart/init", {}),
        ("get", f"{file}/multipart/parts", None),
        ("post", f"{file}/multipart/complete", {}),
        ("post", f"{file}/multipart/abort", {}),
        ("delete", task, None),
    ]


def test_a_foreign_task_is_out_of_sight_on_every_route(
    owner: User, owner_api: Client, stranger_api: Client, drive: Drive
) -> None:
    put(owner, "/known", b"x")
    (sender,) = begin(owner_api, announced("/x", b"x"))
    (own,) = begin(stranger_api, announced("/x", b"x"))
    before = (
        UploadTask.objects.values().get(pk=sender.task_id),
        TaskFile.objects.values().get(pk=sender.file_id),
    )
    others = [
        sender.again(stranger_api),
        Sender(stranger_api, sender.task_id, own.file_id),  # own file in a foreign task
        Sender(stranger_api, str(uuid4()), own.file_id),
    ]
    for other in others:
        for method, path, body in doors(other):
            answer = getattr(stranger_api, method)(path, body)
            assert (method, path, answer.status_code, answer.json()["code"]) == (
                method,
                path,
                404,
                "not_found",
            )
        assert (other.whole(b"x").status_code, other.part(1, b"x").status_code) == (404, 404)
    # A foreign file in an own task.
    mixed = Sender(stranger_api, own.task_id, sender.file_id)
    assert (mixed.whole(b"x").status_code, mixed.start().status_code, mixed.abort().status_code) == (
        404,
        404,
        404,
    )
    after = (
        UploadTask.objects.values().get(pk=sender.task_id),
        TaskFile.objects.values().get(pk=sender.file_id),
    )
    assert after == before
    assert staged() == []
    assert sums(drive) == (1, 1)


def test_without_a_token_nothing(owner_api: Client, anonymous: Client) -> None:
    (sender,) = begin(owner_api, announced("/x", b"x"))
    for method, path, body in [*doors(sender), ("get", "/upload-tasks", None), ("post", "/upload-tasks", {})]:
        assert getattr(anonymous, method)(path, body).status_code == 401
    form = {"file": SimpleUploadedFile("x", b"x")}
    assert anonymous.post(f"{sender.url}/upload", form, format="multipart").status_code == 401
    assert staged() == []


def test_both_forms_of_a_path_answer(owner_api: Client) -> None:
    (sender,) = begin(owner_api, announced("/x", b"x"))
    assert owner_api.get("/upload-tasks/").status_code == 200
    assert owner_api.get(f"/upload-tasks/{sender.task_id}/files/").status_code == 200
    form = {"file": SimpleUploadedFile("x", b"x")}
    assert owner_api.post(f"{sender.url}/upload/", form, format="multipart").status_code == 200
