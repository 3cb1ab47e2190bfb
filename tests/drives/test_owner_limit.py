"""What all drives of an owner may hold together (OWNER_STORAGE_LIMIT)."""

import pytest
from pytest_django import Settings

from accounts.models import User
from drives.errors import QuotaExceeded
from drives.models import Drive
from drives.services.drives import create_drive, default_drive, delete_drive, release, reserve
from tests.factories import put
from tests.racing import race

pytestmark = pytest.mark.django_db
LIMIT = 1000


@pytest.fixture
def limit(settings: Settings) -> None:
    settings.OWNER_STORAGE_LIMIT = LIMIT


def test_all_drives_share_the_limit(owner: User, stranger: User, limit: None) -> None:
    first, second = default_drive(user=owner), create_drive(user=owner, name="second")
    put(owner, "/x", bytes(300))
    reserve(drive=second, size=600)
    with pytest.raises(QuotaExceeded) as refusal:
        reserve(drive=first, size=101)
    assert refusal.value.body() == {
        **refusal.value.body(),
        "code": "quota_exceeded",
        "required": 101,
        "available": 100,
        "scope": "owner",
    }
    first.refresh_from_db()
    assert first.reserved_size == 0
    reserve(drive=first, size=100)
    # What is given back can be had again, also in another drive; another owner has a limit of its own.
    release(drive_id=second.pk, size=600)
    reserve(drive=first, size=600)
    reserve(drive=default_drive(user=stranger), size=LIMIT)


def test_a_drive_that_is_full_says_so(owner: User, limit: None) -> None:
    small = create_drive(user=owner, name="small", total_size=50)
    with pytest.raises(QuotaExceeded) as refusal:
        reserve(drive=small, size=51)
    assert (refusal.value.data["scope"], refusal.value.data["available"]) == ("drive", 50)


def test_a_deleted_drive_counts_as_long_as_it_holds_something(owner: User, limit: None) -> None:
    second = create_drive(user=owner, name="second")
    put(owner, "/x", bytes(900), drive=second)
    delete_drive(drive=second, actor=owner)
    with pytest.raises(QuotaExceeded):
        reserve(drive=default_drive(user=owner), size=101)


def test_without_a_limit_only_the_drive_counts(owner: User) -> None:
    Drive.objects.filter(user=owner).update(total_size=10**15)
    reserve(drive=default_drive(user=owner), size=10**14)
    assert Drive.objects.get(user=owner).reserved_size == 10**14


@pytest.mark.django_db(transaction=True)
def test_racing_reservations_in_several_drives_never_pass_the_limit(owner: User, settings: Settings) -> None:
    settings.OWNER_STORAGE_LIMIT = LIMIT
    drives = [create_drive(user=owner, name=f"{number}") for number in range(4)]

    def act(number: int) -> bool:
        from django.db import transaction

        try:
            with transaction.atomic():
                reserve(drive=Drive.objects.get(pk=drives[number % 4].pk), size=300)
        except QuotaExceeded:
            return False
        return True

    assert sorted(race(12, act)) == [False] * 9 + [True] * 3
    assert sum(drive.reserved_size for drive in Drive.objects.filter(user=owner)) == 900
