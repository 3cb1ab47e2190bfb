"""Files of a drive by path, without regard to case, fetched many folders at a time."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db.models.functions import Lower

from drives.models import Drive, File, Folder
from drives.paths import join
from rendering.services.asset_names import Pattern, key_of

MAX_FILES = 100_000
Parts = tuple[str, str, str]


@dataclass
class Found:
    """Files that a name stands for, by path; or, where several differ in case alone, one of each as candidates.

    `pattern` is the name as the drive has it, in `folder`; `numbers` are the parts of each file's name.
    """

    folder: str
    pattern: Pattern
    files: dict[str, File]
    numbers: dict[str, Parts]
    candidates: list[str]


class DriveIndex:
    def __init__(self, drive: Drive) -> None:
        self.drive = drive
        self.loaded: set[str] = set()
        # By the folder's path in lower case: folder, file, and the same by the file's name and key.
        self.by_name: dict[tuple[str, str], list[tuple[str, File]]] = {}
        self.by_key: dict[tuple[str, str], list[tuple[str, File]]] = {}
        self.by_folder: dict[str, list[tuple[str, File]]] = {}

    def load(self, folders: Iterable[str]) -> None:
        """Have the files of these folders at hand: two queries, none where they are."""
        wanted = {folder.lower() for folder in folders} - self.loaded
        if not wanted:
            return
        self.loaded |= wanted
        rows = Folder.objects.living().filter(drive=self.drive).annotate(folded=Lower("path"))
        paths: dict[UUID | None, str] = dict(rows.filter(folded__in=wanted).values_list("pk", "path"))
        files = File.objects.filter(drive=self.drive, trashed_at__isnull=True).select_related("blob")
        inside = files.filter(folder__in=list(paths))
        if "/" in wanted:
            paths[None] = "/"
            inside = inside | files.filter(folder__isnull=True)
        elif not paths:
            return
        for file in inside[:MAX_FILES]:
            self.add(paths[file.folder_id], file)

    def add(self, folder: str, file: File) -> None:
        folded, entry = folder.lower(), (folder, file)
        self.by_name.setdefault((folded, file.name.lower()), []).append(entry)
        self.by_key.setdefault((folded, key_of(file.name)), []).append(entry)
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
        spellings: dict[Parts, dict[str, tuple[File, Parts]]] = {}
        for place, file in near:
            if parts := pattern.split(file.name):
                spelling = (place, parts[0], parts[2])
                spellings.setdefault(spelling, {})[join(place, file.name)] = (file, parts)
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
            files={path: file for path, (file, _parts) in chosen.items()},
            numbers={path: parts for path, (_file, parts) in chosen.items()},
            candidates=[],
        )
