"""The daily sample of how full drives are."""

from datetime import UTC, date, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_celery_beat.models import PeriodicTask

from accounts.models import User
from drives.models import Drive, DriveUsageSample
from drives.services.drives import default_drive, reserve
from drives.services.trash import trash
from drives.services.usage import sample_usage
from drives.tasks import sample_usage as task
from tests.conftest import Client
from tests.factories import make_user, put

pytestmark = pytest.mark.django_db
EVENING = datetime(2026, 3, 1, 23, 55, tzinfo=UTC)


def figures(drive: Drive) -> list[tuple[date, int, int, int]]:
    rows = DriveUsageSample.objects.filter(drive=drive).order_by("sample_date")
    return list(rows.values_list("sample_date", "used_size", "reserved_size", "file_count"))


def test_each_drive_has_one_sample_a_day(owner: User, stranger: User) -> None:
    drive, other = default_drive(user=owner), default_drive(user=stranger)
    put(owner, "/a", b"12345")
    trashed = put(owner, "/b", b"x")
    trash(entry=trashed, actor=owner)
    reserve(drive=drive, size=7)
    assert sample_usage(now=EVENING) == 2
    assert figures(drive) == [(date(2026, 3, 1), 5, 7, 1)]
    assert figures(other) == [(date(2026, 3, 1), 0, 0, 0)]
    # Run again on the same day, it says what is so now; the next day has a row of its own.
    put(owner, "/c", b"123")
    sample_usage(now=EVENING)
    sample_usage(now=EVENING.replace(day=2))
    assert figures(drive) == [(date(2026, 3, 1), 8, 7, 2), (date(2026, 3, 2), 8, 7, 2)]


def test_many_drives_take_as_many_statements_as_few() -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            sample_usage(now=EVENING)
        return len([query for query in captured if "SAVEPOINT" not in query["sql"]])

    make_user()
    few = statements()
    for _number in range(8):
        make_user()
    assert statements() == few <= 4


def test_the_owner_reads_the_samples_the_newest_first(
    owner: User, owner_api: Client, stranger_api: Client
) -> None:
    drive = default_drive(user=owner)
    for day in (1, 2, 3):
        put(owner, f"/{day}", bytes(day))
        sample_usage(now=EVENING.replace(day=day))
    answer = owner_api.get(f"/drives/{drive.pk}/usage?limit=2")
    assert answer.status_code == 200
    assert answer.json() == {
        "usage": [
            {"date": "2026-03-03", "used_size": 6, "reserved_size": 0, "file_count": 3},
            {"date": "2026-03-02", "used_size": 3, "reserved_size": 0, "file_count": 2},
        ],
        "total": 3,
        "skip": 0,
        "limit": 2,
    }
    assert [row["date"] for row in owner_api.get(f"/drives/{drive.pk}/usage?skip=2").json()["usage"]] == [
        "2026-03-01"
    ]
    refused = stranger_api.get(f"/drives/{drive.pk}/usage")
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")


def test_reading_samples_costs_as_many_statements_for_many_as_for_one(owner: User, owner_api: Client) -> None:
    drive = default_drive(user=owner)

    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert owner_api.get(f"/drives/{drive.pk}/usage").status_code == 200
        return len(captured)

    sample_usage(now=EVENING)
    few = statements()
    for day in range(2, 12):
        sample_usage(now=EVENING.replace(day=day))
    assert statements() == few


def test_it_is_scheduled_once_a_day(owner: User) -> None:
    row = PeriodicTask.objects.select_related("crontab").get(task="drives.tasks.sample_usage")
    assert (row.enabled, row.crontab.hour, str(row.crontab.timezone)) == (True, "23", "UTC")
    task()
    assert DriveUsageSample.objects.count() == 1
