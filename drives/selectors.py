"""Reads of drives."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Exists, Func, OuterRef, Sum, TextField, Value
from django.db.models.functions import StrIndex, Substr

from accounts.models import User
from drives.models import Drive, Favourite, File, FileQuerySet, Folder, FolderQuerySet, NameGrams
from drives.paths import with_ancestors

SORTS = ("name", "size", "type", "created_at", "updated_at", "modified_at")


def ordering(sort: str, *, folders: bool) -> list[str]:
    """Columns for one of SORTS, with `-` in front for the other way round; folders have neither size nor type."""
    sign, key = ("-", sort[1:]) if sort.startswith("-") else ("", sort)
    column = {"type": "mime_type"}.get(key, key)
    if folders:
        column = {"size": "name", "type": "name", "modified_at": "updated_at"}.get(key, key)
    return [f"{sign}{column}", *(["name"] if column != "name" else []), "pk"]


def listing(
    drive: Drive, folder: Folder | None, user: User, sort: str = "name"
) -> tuple[FolderQuerySet, FileQuerySet]:
    """Living folders and files directly in a folder (None is the root), each with `is_favourite`."""
    folders, files = contents(drive, folder, sort)
    return folders.with_favourite(user), files.with_favourite(user)


def contents(drive: Drive, folder: Folder | None, sort: str) -> tuple[FolderQuerySet, FileQuerySet]:
    """Living folders and files directly in a folder (None is the root)."""
    folders = Folder.objects.living().filter(drive=drive, parent=folder)
    files = File.objects.filter(drive=drive, folder=folder, trashed_at__isnull=True)
    return (
        folders.order_by(*ordering(sort, folders=True)),
        files.for_lists().order_by(*ordering(sort, folders=False)),
    )


def breadcrumbs(drive: Drive, path: str) -> list[Folder]:
    """The folders on the way to a clean path, the folder itself last; none for the root."""
    return list(Folder.objects.filter(drive=drive, path__in=with_ancestors({path})).order_by("path"))


def folder_tree(drive: Drive, path: str, depth: int) -> FolderQuerySet:
    """Living folders below a clean path, at most `depth` levels down, by path; each with `has_children`."""
    prefix = "/" if path == "/" else f"{path}/"
    levels = rf"^{re.escape(prefix)}[^/]+(/[^/]+){{0,{depth - 1}}}$"
    children = Folder.objects.living().filter(parent=OuterRef("pk"))
    inside = Folder.objects.filter(drive=drive, path__startswith=prefix, path__regex=levels)
    return inside.annotate(has_children=Exists(children)).order_by("path")


MOST_FOUND = 2000
"""The most folders, and the most files, that a search finds: sorting more of them by name costs more than it helps."""


@dataclass(frozen=True)
class Hits:
    """What a search found of one kind: keys in order of name, and the rows behind them.

    `is_cut`: there are more, but it is not known how many.
    """

    rows: Any
    keys: Sequence[UUID]
    is_cut: bool

    def count(self) -> int:
        return len(self.keys)

    def part(self, first: int, count: int) -> list[Any]:
        """`count` rows from `first` on; without those that have gone since."""
        keys = self.keys[first : first + max(count, 0)]
        found = self.rows.in_bulk(keys) if keys else {}
        return [found[key] for key in keys if key in found]


def search(drive: Drive, keyword: str, user: User) -> tuple[Hits, Hits]:
    """Living folders and files whose names contain the keyword, in any case, by name; at most MOST_FOUND of each.

    They are found by pairs of characters, or by a single character beyond ASCII. A single ASCII character occurs
    nearly everywhere, so for it the names are scanned in order instead.
    """
    folders = Folder.objects.living().filter(drive=drive)
    files = File.objects.living().filter(drive=drive)
    return (
        hits(folders, Folder.objects.with_favourite(user), drive, keyword),
        hits(files, File.objects.for_lists().with_favourite(user), drive, keyword),
    )


def hits(rows: Any, shown: Any, drive: Drive, keyword: str) -> Hits:
    if grams := grams_of(drive, keyword):
        rows = rows.annotate(grams=NameGrams("drive", "name")).filter(grams__contains=grams).order_by()
    else:
        rows = rows.order_by("name")
    if len(keyword) > 2 or not grams:
        rows = rows.filter(name__icontains=keyword)
    found = list(rows.values_list("name", "pk")[: MOST_FOUND + 1])
    return Hits(shown, [pk for _name, pk in sorted(found[:MOST_FOUND])], len(found) > MOST_FOUND)


def grams_of(drive: Drive, keyword: str) -> Any:
    """The terms that the index must hold for a name with this keyword, as `drives_name_grams` writes them."""
    lower = keyword.lower()
    grams = {lower[at : at + 2] for at in range(len(lower) - 1)}
    if len(lower) == 1 and not lower.isascii():
        grams = {lower}
    return [f"{drive.pk.hex[-12:]}{gram}" for gram in sorted(grams)]


def favourites(user: User) -> tuple[FolderQuerySet, FileQuerySet]:
    """Living folders and files that the user marked and may still see, by name."""
    marked = Favourite.objects.filter(user=user)
    folders = Folder.objects.visible_to(user).filter(pk__in=marked.values("folder")).with_favourite(user)
    files = File.objects.visible_to(user).filter(pk__in=marked.values("file")).with_favourite(user)
    return folders.order_by("name", "pk"), files.for_lists().order_by("name", "pk")


def usage_by_type(drive: Drive) -> list[dict[str, Any]]:
    """Living files by the first half of their type (`image`, `video`, …), the biggest first."""
    kind = Substr("mime_type", 1, StrIndex("mime_type", Value("/")) - 1)
    living = File.objects.living().filter(drive=drive, mime_type__contains="/").annotate(kind=kind).order_by()
    sums = living.values("kind").annotate(total_size=Sum("size"), file_count=Count("pk"))
    return [dict(row) for row in sums.order_by("-total_size", "kind")]


def usage_by_folder(drive: Drive, path: str) -> list[dict[str, Any]]:
    """What each folder directly in `path` holds at any depth, the biggest first. One statement."""
    prefix = "/" if path == "/" else f"{path}/"
    inside = File.objects.filter(drive=drive, trashed_at__isnull=True, folder__path__startswith=prefix)
    rest = Substr("folder__path", len(prefix) + 1)
    first = Func(rest, Value("/"), Value(1), function="SPLIT_PART", output_field=TextField())
    sums = (
        inside.annotate(top=first)
        .order_by()
        .values("top")
        .annotate(total_size=Sum("size"), file_count=Count("pk"))
    )
    return [dict(row) for row in sums.order_by("-total_size", "top")]


# Folders of the first level with all below them; what was put into the trash is in none.
BIGGEST = """
SELECT split_part(folder.path, '/', 2) AS name, count(file.id), coalesce(sum(file.size), 0) AS size
  FROM drives_folder folder JOIN drives_file file ON file.folder_id = folder.id AND file.trashed_at IS NULL
 WHERE folder.drive_id = %s AND folder.path LIKE '/%%'
 GROUP BY 1 ORDER BY size DESC, name LIMIT %s
"""


def biggest_folders(drive: Drive, limit: int = 10) -> list[tuple[str, int, int]]:
    """Folders of the first level by what lies below them: name, files, bytes."""
    with connection.cursor() as cursor:
        cursor.execute(BIGGEST, [drive.pk, limit])
        return [(name, int(files), int(size)) for name, files, size in cursor.fetchall()]
