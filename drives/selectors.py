"""What people want to know about a drive."""

import re
from dataclasses import dataclass
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db.models import Count, Exists, Func, OuterRef, Q, QuerySet, Sum, TextField, Value
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
        files.select_related("folder", "blob").order_by(*ordering(sort, folders=False)),
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
"""Most folders, and most files, that a search finds: to sort more of them by name costs more than it helps."""


def some(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Keys of at most MOST_FOUND of the rows, of whichever are found first."""
    return rows.order_by().values("pk")[:MOST_FOUND]


def search(drive: Drive, keyword: str) -> tuple[FolderQuerySet, FileQuerySet]:
    """Living folders and files whose names contain the keyword, whatever its case, by name; at most MOST_FOUND of each.

    Two characters and more are looked up by their pairs; one is found along the index of names.
    """
    pairs = sorted({keyword.lower()[at : at + 2] for at in range(len(keyword) - 1)})
    matching = Q(name__icontains=keyword)
    folders, files = Folder.objects.all(), File.objects.all()
    if pairs:
        wanted = Value(pairs, output_field=ArrayField(TextField()))
        folders = folders.annotate(grams=NameGrams("name")).filter(grams__contains=wanted)
        files = files.annotate(grams=NameGrams("name")).filter(grams__contains=wanted)
    folders = Folder.objects.filter(pk__in=some(folders.living().filter(matching, drive=drive)))
    files = File.objects.filter(pk__in=some(files.living().filter(matching, drive=drive)))
    return folders.order_by("name", "pk"), files.select_related("folder", "blob").order_by("name", "pk")


def favourites(user: User) -> tuple[FolderQuerySet, FileQuerySet]:
    """Living folders and files that the user marked and may still see, by name."""
    marked = Favourite.objects.filter(user=user)
    folders = Folder.objects.visible_to(user).filter(pk__in=marked.values("folder")).with_favourite(user)
    files = File.objects.visible_to(user).filter(pk__in=marked.values("file")).with_favourite(user)
    return folders.order_by("name", "pk"), files.select_related("folder", "blob").order_by("name", "pk")


@dataclass(frozen=True)
class FolderSize:
    """What lies in a folder at any depth; size in bytes."""

    size: int
    file_count: int
    folder_count: int


def size_below(folders: FolderQuerySet, files: FileQuerySet) -> FolderSize:
    """Sums over both, in two statements."""
    found = files.aggregate(size=Sum("size", default=0), count=Count("pk"))
    return FolderSize(found["size"], found["count"], folders.count())


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
