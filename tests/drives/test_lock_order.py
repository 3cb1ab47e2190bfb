"""Contents, owners, drives: locks are taken in this order, so nobody waits in a circle and is sent away."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from django.db import connections, transaction
from pytest_django import Settings

from accounts.models import User
from accounts.services.levels import change_level
from drives.models import Drive, File
from drives.services.blobs import blob_of, keep_chunks
from drives.services.drives import create_drive, default_drive, release, require_room, reserve, update_drive
from drives.services.moving import Destination, move
from drives.services.operations import Action, record
from drives.services.places import OnClash, lock_tree
from drives.services.tree import put_content
from tests.factories import make_user, put
from tests.racing import race, somebody_waits_for_a_lock, wait_for

pytestmark = pytest.mark.django_db(transaction=True)
Meanwhile = Callable[[], None]


@pytest.fixture
def limit(settings: Settings) -> None:
    settings.OWNER_STORAGE_LIMIT = 10**9


def put_one(drive: Drive, owner: User, name: str, content: bytes = b"x") -> File:
    kept = keep_chunks([content])
    return put_content(drive=drive, actor=owner, folder_path="/", name=name, kept=kept)


def meet(first: Callable[[Meanwhile], Any], second: Callable[[], Any]) -> None:
    """`first`, in a transaction, calls what begins `second` and comes back when that waits for a lock."""
    begun = Event()

    def meanwhile() -> None:
        begun.set()
        wait_for(somebody_waits_for_a_lock)

    def run_first() -> None:
        try:
            with transaction.atomic():
                first(meanwhile)
        finally:
            connections.close_all()

    def run_second() -> None:
        try:
            assert begun.wait(20)
            second()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        for run in [pool.submit(run_first), pool.submit(run_second)]:
            run.result()


@pytest.mark.usefixtures("limit")
def test_a_reservation_and_a_change_of_the_tree(drive: Drive) -> None:
    def change(meanwhile: Meanwhile) -> None:
        lock_tree(drive)
        meanwhile()
        require_room(drive=drive, size=10)

    def set_aside() -> None:
        with transaction.atomic():
            reserve(drive=drive, size=10)

    meet(change, set_aside)
    drive.refresh_from_db()
    assert drive.reserved_size == 10


def test_another_quota_and_a_change_of_the_tree(owner: User, drive: Drive) -> None:
    file = put(owner, "/a.txt", b"x")

    def change(meanwhile: Meanwhile) -> None:
        lock_tree(drive)
        meanwhile()
        record(Action.CREATE, file, actor=owner)  # points to the owner's row

    meet(change, lambda: update_drive(drive=drive, actor=owner, total_size=10**6))
    drive.refresh_from_db()
    assert drive.total_size == 10**6


def test_levels_of_many_and_a_move_between_their_drives(owner: User, drive: Drive) -> None:
    """Drives have an order, and their owners another one."""
    other = make_user(username="other")
    others, latest = Drive.objects.get(user=other), create_drive(user=owner, name="latest")
    assert owner.pk < other.pk and others.pk < latest.pk

    def change(meanwhile: Meanwhile) -> None:
        """As a move does: one of the two drives after the other."""
        lock_tree(others)
        meanwhile()
        lock_tree(latest)

    meet(change, lambda: change_level(User.objects.all(), level=2))
    assert set(User.objects.values_list("member_level", flat=True)) == {2}


def test_another_default_drive_and_a_move_between_both(owner: User, drive: Drive) -> None:
    latest = create_drive(user=owner, name="latest")
    assert drive.pk < latest.pk
    update_drive(drive=latest, actor=owner, is_default=True)

    def change(meanwhile: Meanwhile) -> None:
        lock_tree(drive)
        meanwhile()
        lock_tree(latest)

    meet(change, lambda: update_drive(drive=drive, actor=owner, is_default=True))
    assert default_drive(user=owner) == drive


@pytest.mark.usefixtures("limit")
def test_the_same_content_by_two_doors(owner: User, drive: Drive) -> None:
    def land(meanwhile: Meanwhile) -> None:
        """As files of a task do: contents are written down first."""
        blob_of(keep_chunks([b"same"]))
        meanwhile()
        lock_tree(drive)

    meet(land, lambda: put_one(drive, owner, "a.txt", b"same"))
    assert File.objects.get().name == "a.txt"


@pytest.mark.usefixtures("limit")
def test_everything_at_once(owner: User, drive: Drive) -> None:
    """Two drives of one owner: nobody is sent away, and the sums are right."""
    drives = [drive, create_drive(user=owner, name="second")]
    files = [put_one(row, owner, f"m{number}") for number, row in enumerate(drives)]

    def work(number: int) -> None:
        for turn in range(4):
            here = drives[(number + turn) % 2]
            match number % 4:
                case 0:
                    put_one(here, owner, f"{number}", b"%d" % turn)
                case 1:
                    with transaction.atomic():
                        reserve(drive=here, size=5)
                    release(drive_id=here.pk, size=5)
                case 2:
                    file = File.objects.select_related("drive").get(pk=files[number // 4].pk)
                    move(entry=file, actor=owner, to=Destination(here, "/", OnClash.KEEP_BOTH))
                case 3:
                    update_drive(drive=Drive.objects.get(pk=here.pk), actor=owner, letter="QR"[turn % 2])
                    change_level(User.objects.filter(pk=owner.pk), level=turn % 2)

    race(8, work)
    for row in drives:
        row.refresh_from_db()
        assert (row.used_size, row.reserved_size) == (File.objects.filter(drive=row).count(), 0)
