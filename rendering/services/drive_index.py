"""Files of a drive by path, without regard to case, loaded for many folders at a time."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from django.db.models.functions import Lower

from drives.models import Blob, Drive, File, Folder
from drives.paths import join
from rendering.services.asset_names import Pattern, key_of

MAX_FILES = 100_000
Parts = tuple[str, str, str]


class Entry(NamedTuple):
    """A file of the drive. Not a model, since there may be ten thousand; only the id of its blob has been read."""

    folder: str
    name: str
    blob: Blob

    @property
    def path(self) -> str:
        return join(self.folder, self.name)


@dataclass
class Found:
    """Files that a name stands for, by path; or, where several differ in case alone, one of each as candidates.

    `pattern` is the name as the drive has it, in `folder`; `numbers` are the parts of each file's name.
    """

    folder: str
    pattern: Pattern
    files: dict[str, Entry]
    numbers: dict[str, Parts]
    candidates: list[str]


class DriveIndex:
    def __init__(self, drive: Drive) -> None:
        self.drive = drive
        self.loaded: set[str] = set()
        # By the folder's path in lower case, and in it by name and by key.
        self.by_name: dict[tuple[str, str], list[Entry]] = {}
        self.by_key: dict[tuple[str, str], list[Entry]] = {}
        self.by_folder: dict[str, list[Entry]] = {}

    def load(self, folders: Iterable[str]) -> None:
        """Have the files of these folders at hand: two queries, none where they are."""
        wanted = {folder.lower() for folder in folders} - self.loaded
        if not wanted:
            return
        self.loaded |= wanted
        rows = Folder.objects.living().filter(drive=self.drive).annotate(folded=Lower("path"))
        paths: dict[UUID | None, str] = dict(rows.filter(folded__in=wanted).values_list("pk", "path"))
        files = File.objects.filter(drive=self.drive, trashed_at__isnull=True)
        inside = files.filter(folder__in=list(paths))
        if "/" in wanted:
            paths[None] = "/"
            inside = inside | files.filter(folder__isnull=True)
        elif not paths:
            return
        for folder_id, name, blob_id in inside.values_list("folder_id", "name", "blob_id")[:MAX_FILES]:
            self.add(Entry(paths[folder_id], name, Blob.from_db(None, ["id"], [blob_id])))

    def add(self, entry: Entry) -> None:
        folded = entry.folder.lower()
        self.by_name.setdefault((folded, entry.name.lower()), []).append(entry)
        self.by_key.setdefault((folded, key_of(entry.name)), []).append(entry)
        self.by_folder.setdefault(folded, []).append(entry)

    def find(self, folders: Iterable[str], pattern: Pattern) -> Found | None:
        """The files of the first of these folders that has any."""
        return next((found for folder in folders if (found := self.find_in(folder, pattern))), None)

    def find_in(self, folder: str, pattern: Pattern) -> Found | None:
        """An exact match wins; one that differs in case is taken; several are candidates."""
        folded = folder.lower()
        if not pattern.number:
            near = self.by_name.get((folded, pattern.before.lower()), [])
        elif pattern.key is not None:
            near = self.by_key.get((folded, pattern.key), [])
        else:
            near = self.by_folder.get(folded, [])
        spellings: dict[Parts, dict[str, tuple[Entry, Parts]]] = {}
        for entry in near:
            if parts := pattern.split(entry.name):
                spelling = (entry.folder, parts[0], parts[2])
                spellings.setdefault(spelling, {})[entry.path] = (entry, parts)
        if not spellings:
            return None
        exact = (folder, pattern.before, pattern.after)
        if exact not in spellings and len(spellings) > 1:
            return Found(folder, pattern, {}, {}, sorted(min(files) for files in spellings.values()))
        place, before, after = exact if exact in spellings else next(iter(spellings))
        chosen = dict(sorted(spellings[place, before, after].items()))
        return Found(
            folder=place,
            pattern=Pattern(before, pattern.number, pattern.token, after),
            files={path: entry for path, (entry, _parts) in chosen.items()},
            numbers={path: parts for path, (_entry, parts) in chosen.items()},
            candidates=[],
        )
