"""What was seen before the drive was held, and is another thing by then."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from accounts.services.levels import change_level
from billing.models import MembershipPlan
from common.errors import NotVisible
from drives.models import Drive, File, Folder
from drives.services import trash
from drives.services.drives import create_drive, fit_drives
from drives.services.moving import Destination, Entry, copy, move, rename
from drives.services.places import OnClash
from drives.services.tree import set_modified
from drives.services.versions import restore_version
from tests.drives.manager import used
from tests.factories import put
from tests.racing import overtake

pytestmark = pytest.mark.django_db(transaction=True)


def folder_at(path: str) -> Folder:
    return Folder.objects.select_related("drive").get(path=path)


def test_a_folder_that_comes_back_while_the_one_it_lay_in_is_deleted_for_good(
    owner: User, drive: Drive
) -> None:
    put(owner, "/old/kept/x", b"x" * 10)
    put(owner, "/old/kept/deep/y", b"y")
    put(owner, "/old/z", b"z")
    kept, old = folder_at("/old/kept"), folder_at("/old")
    for folder in (kept, old):
        trash.trash(entry=folder, actor=owner)
    trash.purge(entry=old, actor=owner)

    def bring_back() -> None:
        trash.restore(entry=kept, actor=owner, folder_path="/", on_clash=OnClash.REFUSE)

    overtake(bring_back, trash.delete_purged)
    trash.delete_purged()

    assert set(Folder.objects.values_list("path", flat=True)) == {"/kept", "/kept/deep"}
    assert set(File.objects.living().values_list("name", flat=True)) == {"x", "y"}
    assert used(drive) == 11


def test_what_was_brought_back_and_put_away_again_begins_a_new_time(owner: User, drive: Drive) -> None:
    file = put(owner, "/x", b"x")
    trash.trash(entry=file, actor=owner)
    now = timezone.now()
    File.objects.update(trashed_at=now - timedelta(days=31))

    def put_away_again() -> None:
        trash.restore(entry=file, actor=owner, on_clash=OnClash.REFUSE)
        trash.trash(entry=file, actor=owner)

    assert overtake(put_away_again, lambda: trash.purge_old(now=now)) == 0
    assert File.objects.in_trash().get() == file


def late_comers(path: str) -> tuple[Entry, Callable[[], Entry]]:
    """What lies at `path` as its owner has found it, and once more whenever asked, found before, too."""
    rows: Any = Folder.objects.filter(path=path) if path == "/a" else File.objects.all()
    found = iter([rows.select_related("drive").get() for _copy in range(9)])
    return next(found), lambda: next(found)


@pytest.mark.parametrize("path", ["/a", "/a/x"])
def test_what_went_into_a_private_drive_meanwhile(
    owner: User, stranger: User, drive: Drive, foreign_drive: Drive, path: str
) -> None:
    """A right in the drive that it lay in is none in the one that it lies in."""
    drive.members.create(user=stranger, role="editor")
    for content in (b"old", b"new"):
        put(owner, "/a/x", content)
    private, home = create_drive(user=owner, name="private"), Destination(foreign_drive, "/")
    mine, entry = late_comers(path)
    before = File.objects.get()

    def late() -> None:
        with pytest.raises(NotVisible):
            move(entry=entry(), actor=stranger, to=home)
        with pytest.raises(NotVisible):
            copy(entry=entry(), actor=stranger, to=home)
        with pytest.raises(NotVisible):
            rename(entry=entry(), actor=stranger, name="mine")
        trash.trash(entry=entry(), actor=stranger)
        if isinstance(file := entry(), File):
            with pytest.raises(NotVisible):
                restore_version(file=file, version_id=file.versions.get().pk, actor=stranger)
            with pytest.raises(NotVisible):
                set_modified(file=file, actor=stranger, modified_at=timezone.now() - timedelta(days=1))

    overtake(lambda: move(entry=mine, actor=owner, to=Destination(private, "/")), late)
    assert (used(drive), used(private), used(foreign_drive)) == (0, 3, 0)
    after = File.objects.living().get()
    assert (after.drive, after.blob_id, after.modified_at) == (private, before.blob_id, before.modified_at)
    assert type(mine).objects.get(pk=mine.pk).name == path[-1]


@pytest.mark.parametrize("path", ["/a", "/a/x"])
def test_what_went_into_the_trash_of_a_private_drive_meanwhile(
    owner: User, stranger: User, drive: Drive, path: str
) -> None:
    drive.members.create(user=stranger, role="editor")
    put(owner, "/a/x", b"x")
    private = create_drive(user=owner, name="private")
    mine, entry = late_comers(path)
    trash.trash(entry=mine, actor=owner)

    def put_away() -> None:
        back = trash.restore(entry=mine, actor=owner, on_clash=OnClash.REFUSE)
        trash.trash(entry=move(entry=back, actor=owner, to=Destination(private, "/")), actor=owner)

    def late() -> None:
        with pytest.raises(NotVisible):
            trash.purge(entry=entry(), actor=stranger)
        with pytest.raises(NotVisible):
            trash.restore(entry=entry(), actor=stranger, folder_path="/", on_clash=OnClash.REFUSE)

    overtake(put_away, late)
    assert type(mine).objects.in_trash().get().drive == private
    assert File.objects.count() == 1


def test_a_plan_and_the_level_of_somebody_who_had_it_change_at_once(owner: User, drive: Drive) -> None:
    free, better = (MembershipPlan.objects.get(level=level).storage_size for level in (0, 2))

    def fit() -> None:
        fit_drives(User.objects.filter(member_level=0))

    overtake(lambda: change_level(User.objects.filter(pk=owner.pk), level=2), fit)
    drive.refresh_from_db()
    assert drive.total_size == better != free


def test_a_drive_is_as_large_as_the_plan_of_its_owner_is_by_then(owner: User) -> None:
    User.objects.filter(pk=owner.pk).update(member_level=2)
    owner.refresh_from_db()

    def make() -> Drive:
        return create_drive(user=owner, name="second")

    made = overtake(lambda: change_level(User.objects.filter(pk=owner.pk), level=0), make)
    assert made.total_size == MembershipPlan.objects.get(level=0).storage_size
