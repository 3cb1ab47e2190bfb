"""Drives in the back office: restored, measured, checked; content is opened by a right of its own, and told."""

from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEvent, User
from accounts.permissions import StaffGroup
from drives.models import Blob, Drive, File, FileOperation, StorageCheck
from drives.services.blobs import store_chunks
from drives.services.drives import default_drive, delete_drive
from drives.services.trash import trash
from drives.storage import blob_storage
from drives.tasks import check_storage
from tests.accounts.staff import FORM, act, office_of, operator, page
from tests.factories import make_user, put

pytestmark = pytest.mark.django_db


@pytest.fixture
def painter(db: None) -> User:
    return make_user(username="painter")


@pytest.mark.parametrize("group", list(StaffGroup))
def test_support_brings_back_what_was_put_away(painter: User, group: str) -> None:
    file = put(painter, "/scenes/lantern.txt", b"light")
    trash(entry=file, actor=painter)
    me = operator(group)
    act(office_of(me), "restore", file)
    file.refresh_from_db()
    allowed = group in ("support", "superuser")
    assert (file.trashed_at is None) == allowed
    restored = FileOperation.objects.filter(action="restore", target_id=file.pk)
    assert [operation.actor for operation in restored] == ([me] if allowed else [])
    assert Drive.objects.get(user=painter).used_size == (5 if allowed else 0)


def test_the_page_of_a_drive_leads_to_what_is_in_it(painter: User) -> None:
    kept, gone = (put(painter, f"/scenes/{name}.txt", b"light") for name in ("kept", "gone"))
    trash(entry=gone, actor=painter)
    put(make_user(), "/scenes/other.txt", b"light")
    office = office_of(operator("support"))
    shown = office.get(page(Drive, "change", kept.drive_id)).content.decode()
    found = {}
    for query in ("", "&amp;trashed_at__isempty=0"):
        address = f"{page(File, 'changelist')}?drive__id__exact={kept.drive_id}{query}"
        assert f'href="{address}"' in shown
        found[query] = set(office.get(address.replace("&amp;", "&")).context["cl"].result_list)
    assert found == {"": {kept, gone}, "&amp;trashed_at__isempty=0": {gone}}


def test_what_lies_in_no_trash_is_told(painter: User) -> None:
    file = put(painter, "/lantern.txt", b"light")
    office = office_of(operator("support"))
    act(office, "restore", file)
    assert "lantern.txt: " in office.get(page(File, "changelist")).content.decode()


def test_the_quota_is_changed_with_a_reason(painter: User) -> None:
    drive, me = painter.drives.get(), operator("superuser")
    link = f"/admin/drives/drive/{drive.pk}/change-quota/"
    assert office_of(operator("support")).post(link, {**FORM, "gigabytes": "5"}).status_code == 403
    office = office_of(me)
    for form in ({"gigabytes": "-1", **FORM}, {"gigabytes": "5", "_form_submitted": "on", "reason": ""}):
        assert "HX-Redirect" not in office.post(link, form)
    before = drive.total_size
    drive.refresh_from_db()
    assert drive.total_size == before
    assert office.post(link, {"gigabytes": "5", **FORM})["HX-Redirect"] == page(Drive, "change", drive.pk)
    drive.refresh_from_db()
    assert drive.total_size == 5 * 2**30
    found = page(Drive, "changelist") + "?q=painter"
    assert office.get(found).content.decode().count("★") == 1  # what nobody chose is the oldest
    Drive.objects.create(user=painter, name="chosen", is_default=True)
    [row] = [row for row in office.get(found).content.decode().split("<tr") if "★" in row]
    assert "chosen" in row
    event = AuditEvent.objects.get(action="admin_ran")
    assert event.after == {"action": "change_quota", "gigabytes": 5, "reason": "ticket 4711"}


def test_a_drive_deleted_by_mistake_comes_back_beside_the_new_one(painter: User) -> None:
    first = default_drive(user=painter)
    delete_drive(drive=first, actor=painter)
    second = default_drive(user=painter)
    assert first.letter == second.letter == "D"

    form = {"name": "old", "icon": "", "description": "", "is_active": "on"}
    answer = office_of(operator("superuser")).post(page(Drive, "change", first.pk), form)

    assert answer.status_code == 302
    assert sorted(painter.drives.values_list("name", "letter", "is_active")) == sorted(
        [("old", "E", True), (second.name, "D", True)]
    )
    assert default_drive(user=painter).pk == first.pk


def test_the_biggest_folders_are_shown(painter: User) -> None:
    put(painter, "/scenes/deep/lantern.txt", b"light" * 100)
    put(painter, "/scenes/small.txt", b"light")
    put(painter, "/textures/wood.txt", b"wood")
    trash(entry=put(painter, "/textures/gone.txt", b"x" * 10_000), actor=painter)
    drive = painter.drives.get()
    text = office_of(operator("support")).get(f"/admin/drives/drive/{drive.pk}/folders/").content.decode()
    assert text.index("/scenes") < text.index("/textures")
    assert "2 个文件" in text
    assert "9.8" not in text
    assert office_of(operator("finance")).get(f"/admin/drives/drive/{drive.pk}/folders/").status_code == 404


@pytest.mark.parametrize("group", list(StaffGroup))
def test_content_is_opened_by_a_right_of_its_own_and_told_to_its_owner(painter: User, group: str) -> None:
    file = put(painter, "/lantern.txt", b"light of the owner")
    me = operator(group)
    office, allowed = office_of(me), group == "superuser"
    answer = office.post(f"/admin/drives/file/{file.pk}/open-file/", FORM)
    assert answer.status_code == (200 if allowed else 403)
    told = AuditEvent.objects.filter(action=AuditEvent.Action.FILE_OPENED)
    assert [(event.user, event.actor, event.after["reason"]) for event in told] == (
        [(painter, me, "ticket 4711")] if allowed else []
    )
    if allowed:
        content: Any = office.get(answer["HX-Redirect"].removeprefix("http://testserver"))
        assert b"".join(content.streaming_content) == b"light of the owner"
    shown = office.get(page(File, "change", file.pk))
    if shown.status_code == 200:
        assert ("open-file" in shown.content.decode()) == allowed


def test_no_content_without_a_reason(painter: User) -> None:
    file = put(painter, "/lantern.txt", b"light")
    office = office_of(operator("superuser"))
    answer = office.post(f"/admin/drives/file/{file.pk}/open-file/", {"_form_submitted": "on", "reason": " "})
    assert "HX-Redirect" not in answer
    assert not AuditEvent.objects.filter(action=AuditEvent.Action.FILE_OPENED).exists()


# --- The storage check ---


def test_an_operator_has_database_and_storage_compared(
    painter: User, django_capture_on_commit_callbacks: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(
        "drives.messages.current_app.send_task", lambda name, args: asked.append([name, *args])
    )
    office = office_of(operator("superuser"))
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        assert office.post(page(StorageCheck, "add"), {}).status_code == 302
    check = StorageCheck.objects.get()
    assert asked == [["drives.tasks.check_storage", str(check.pk)]]
    assert office_of(operator("auditor")).post(page(StorageCheck, "add"), {}).status_code == 403

    good, lost = store_chunks([b"good"]), store_chunks([b"lost"])
    blob_storage().delete(lost.storage_key)
    for _twice in range(2):
        check_storage(str(check.pk))
    check.refresh_from_db()
    assert (check.missing, check.error) == (1, "")
    assert [finding["key"] for finding in check.findings] == [lost.storage_key]
    assert check.blobs >= 2
    assert Blob.objects.filter(pk=good.pk).exists()
    assert lost.storage_key in office.get(page(StorageCheck, "change", check.pk)).content.decode()


def test_a_message_that_comes_late_does_no_second_check(painter: User) -> None:
    done = StorageCheck.objects.create(begun_at=timezone.now(), finished_at=timezone.now(), blobs=7)
    check_storage(str(done.pk))
    done.refresh_from_db()
    assert done.blobs == 7
    check_storage()
    assert StorageCheck.objects.count() == 2
