"""Folders and selections as one ZIP."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import BigIntegerField, Func, Q
from django.utils import timezone

from accounts.models import User
from common.errors import NotVisible
from drives.errors import LinkInvalid, NotVerifiedYet, TooManyItems
from drives.models import Archive, File, FileOperation, FileQuerySet, Folder, ShareLink
from drives.paths import split
from drives.services.moving import Entry
from drives.services.operations import Action, operation
from drives.zips import Member, Zip, member_names, plain_path

MAX_MEMBERS = 200_000
"""Most files and folders of one archive: its directory is held in memory while it is sent."""


def order_archive(*, entries: Sequence[Entry], actor: User, seconds: int) -> tuple[Archive, Zip]:
    """One ZIP of these for `seconds`; the caller has seen to it that `actor` may read all of it.

    Raises NotVisible, NotVerifiedYet, TooManyItems.
    """
    found = zip_of([entry.pk for entry in entries])
    return keep_archive(found=found, entries=entries, actor=actor, seconds=seconds), found


def keep_archive(
    *,
    found: Zip,
    entries: Sequence[Entry],
    actor: User | None,
    seconds: int,
    share: ShareLink | None = None,
) -> Archive:
    """Write down what a link leads to, and that it was handed out to `actor` (None: a stranger, by a share)."""
    with transaction.atomic():
        FileOperation.objects.bulk_create(
            [operation(Action.DOWNLOAD, entry, actor=actor) for entry in entries]
        )
        drives = {entry.drive_id for entry in entries}
        return Archive.objects.create(
            drive_id=drives.pop() if len(drives) == 1 else None,
            entry_ids=[entry.pk for entry in entries],
            etag=found.etag,
            expires_at=timezone.now() + timedelta(seconds=seconds),
            share=share,
        )


def find_archive(*, archive_id: UUID, now: datetime) -> Archive:
    """Raises LinkInvalid for one that is over."""
    archive = Archive.objects.filter(pk=archive_id, expires_at__gt=now).first()
    if archive is None:
        raise LinkInvalid
    return archive


def drop_expired(*, now: datetime) -> int:
    """Delete archives whose links are over; how many."""
    return Archive.objects.filter(expires_at__lte=now).delete()[0]


def zip_of(ids: Collection[UUID], drive_id: UUID | None = None) -> Zip:
    """The ZIP of these files and folders as they stand, each folder with all below it, under their own names.

    Four statements, however many there are. What is in the trash is left out, or where `drive_id` is told in another
    drive; and what lies in another one of them is not there twice. Raises NotVisible where nothing is left;
    TooManyItems; NotVerifiedYet for content that went straight into the bucket and was not read by us yet, so that
    nobody knows its checksum.
    """
    chosen = Q(pk__in=ids, drive__is_active=True) & (Q(drive=drive_id) if drive_id else Q())
    tops = list(Folder.objects.living().filter(chosen))
    folders = folders_of(tops)
    places = {pk: place for pk, place, _modified in folders}
    alone = File.objects.living().filter(chosen)
    rows = [row for row in content_rows(alone) if row[0] not in places]
    if tops:
        inside = Folder.objects.filter(subtrees(tops)).values("pk")
        rows += content_rows(File.objects.filter(folder__in=inside, trashed_at__isnull=True))
    if len(folders) + len(rows) > MAX_MEMBERS:
        raise TooManyItems(limit=MAX_MEMBERS)
    if not folders and not rows:
        raise NotVisible
    if any(crc32 is None for *_rest, crc32, _key in rows):
        raise NotVerifiedYet
    paths = [f"{places.get(folder_id, '')}/{name}" for folder_id, name, *_rest in rows]
    # Of folders that are alike where names are made safe, one is made; their files lie in it together.
    made = {f"{plain_path(place)}/": modified for _pk, place, modified in folders}
    names = member_names(paths, [name.rstrip("/") for name in made])
    members = [Member(name, 0, 0, modified) for name, modified in made.items()]
    members += [
        Member(name, size, crc32 or 0, datetime.fromtimestamp(seconds, UTC), key)
        for name, (_folder, _name, size, seconds, crc32, key) in zip(names, rows, strict=True)
    ]
    return Zip(members)


def content_rows(files: FileQuerySet) -> list[tuple[Any, ...]]:
    """Folder, name, size, time (seconds since 1970), CRC-32 and storage key of each, by path."""
    columns = ("folder_id", "name", "size", "seconds", "blob__crc32", "blob__storage_key")
    # To read tens of thousands of times as text takes longer than all the rest.
    seconds = Func(
        "modified_at",
        template="FLOOR(EXTRACT(EPOCH FROM %(expressions)s))::bigint",
        output_field=BigIntegerField(),
    )
    ordered = files.annotate(seconds=seconds).order_by("drive_id", "folder__path", "name", "pk")
    return list(ordered.values_list(*columns)[: MAX_MEMBERS + 1])


def subtrees(tops: Sequence[Folder]) -> Any:
    """These folders and all below them."""
    each = (Q(drive=top.drive_id) & (Q(path=top.path) | Q(path__startswith=f"{top.path}/")) for top in tops)
    return reduce(or_, each)


def folders_of(tops: Sequence[Folder]) -> list[tuple[UUID, str, datetime]]:
    """Ids, paths in the archive and times of the folders and all below them, by path. Raises TooManyItems."""
    if not tops:
        return []
    roots = {(top.drive_id, top.path) for top in tops}
    rows = list(
        Folder.objects.filter(subtrees(tops))
        .order_by("drive_id", "path")
        .values_list("pk", "drive_id", "path", "updated_at")[: MAX_MEMBERS + 1]
    )
    if len(rows) > MAX_MEMBERS:
        raise TooManyItems(limit=MAX_MEMBERS)
    cut: dict[tuple[UUID, str], int] = {}
    found = []
    for pk, drive_id, path, modified in rows:
        parent, _name = split(path)
        # Parents come first, so what lies above a folder that was asked for is known.
        above = cut.get((drive_id, parent))
        if above is None and (drive_id, path) in roots:
            above = 0 if parent == "/" else len(parent)
        if above is None:
            continue
        cut[drive_id, path] = above
        found.append((pk, path[above:], modified))
    return found
