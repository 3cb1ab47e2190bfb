"""The nightly comparison of quota with what drives hold."""

import logging
from threading import Event

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django_celery_beat.models import PeriodicTask

from accounts.models import User
from drives.models import Drive, File
from drives.services.drives import default_drive
from drives.services.trash import trash
from tests.conftest import Client
from tests.factories import make_user, put
from tests.racing import race, somebody_waits_for_a_lock, wait_for
from tests.uploads.conftest import announced, begin, sums
from uploads.models import UploadTask
from uploads.services.reconciliation import Drift, reconcile_quota
from uploads.tasks import reconcile

pytestmark = pytest.mark.django_db


@pytest.fixture
def lively(owner: User, owner_api: Client, drive: Drive) -> tuple[int, int]:
    """A drive that has seen everything; the sums that it must have."""
    put(owner, "/kept", b"12345")
    trash(entry=put(owner, "/gone", b"123"), actor=owner)
    inside = put(owner, "/old/deep/inside", b"1234567")
    assert inside.folder is not None and inside.folder.parent is not None
    trash(entry=inside.folder.parent, actor=owner)
    landed, _waiting, failed = begin(
        owner_api, *(announced(f"/{name}", name.encode()) for name in ("landed", "waiting", "failed"))
    )
    landed.whole(b"landed")
    failed.start()
    failed.abort()
    (cancelled,) = begin(owner_api, announced("/cancelled", b"cancelled"))
    owner_api.put(f"/upload-tasks/{cancelled.task_id}/cancel")
    found = len(b"12345landed"), len(b"waitingfailed")
    assert sums(drive) == found
    return found


def test_sums_that_agree_are_left_alone(
    drive: Drive, lively: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    drive.refresh_from_db()
    before = drive.updated_at
    assert reconcile_quota() == []
    assert sums(drive) == lively
    assert drive.updated_at == before
    assert caplog.records == []


@pytest.mark.parametrize(("used", "reserved"), [(9, 0), (0, 4), (-3, 100), (-11, -13)])
def test_a_drift_is_mended_and_logged(
    drive: Drive, lively: tuple[int, int], caplog: pytest.LogCaptureFixture, used: int, reserved: int
) -> None:
    other = default_drive(user=make_user())
    Drive.objects.filter(pk=drive.pk).update(
        used_size=F("used_size") + used, reserved_size=F("reserved_size") + reserved
    )
    true_used, true_reserved = lively
    drift = Drift(drive.pk, true_used + used, true_used, true_reserved + reserved, true_reserved)
    with caplog.at_level(logging.ERROR, "uploads.services.reconciliation"):
        assert reconcile_quota() == [drift]
    assert (sums(drive), sums(other)) == (lively, (0, 0))
    assert [record.getMessage() for record in caplog.records] == [
        f"The sums of a drive had drifted and were mended: {drift}"
    ]
    assert reconcile_quota() == []


def test_sound_drives_cost_one_statement_however_many_they_are() -> None:
    for _number in range(5):
        default_drive(user=make_user())
    with CaptureQueriesContext(connection) as captured:
        assert reconcile_quota() == []
    assert len(captured) == 1


@pytest.mark.django_db(transaction=True)
def test_an_upload_that_lands_meanwhile_is_no_drift(owner_api: Client, drive: Drive) -> None:
    """Landing holds the drive and has not committed; who reconciles waits for it, and counts what was committed."""
    (sender,) = begin(owner_api, announced("/x", b"12345"))
    Drive.objects.filter(pk=drive.pk).update(used_size=7)
    written = Event()

    def act(number: int) -> list[Drift]:
        if number:
            assert written.wait(20)
            return reconcile_quota()
        with transaction.atomic():
            assert sender.whole(b"12345").status_code == 200
            written.set()
            wait_for(somebody_waits_for_a_lock)
        return []

    _nothing, found = race(2, act)
    assert [(drift.used - drift.true_used) for drift in found] == [7]
    assert sums(drive) == (5, 0)
    assert (File.objects.count(), UploadTask.objects.get().status) == (1, UploadTask.Status.COMPLETED)


def test_it_runs_every_night(owner: User) -> None:
    row = PeriodicTask.objects.select_related("crontab").get(task="uploads.tasks.reconcile")
    assert (row.enabled, row.crontab.hour, row.crontab.minute) == (True, "3", "10")
    drive = default_drive(user=owner)
    Drive.objects.filter(pk=drive.pk).update(used_size=1)
    reconcile()
    assert sums(drive) == (0, 0)
