"""From the names in a scene to the files in the drive."""

import posixpath
import re
from dataclasses import dataclass, field
from typing import Any

from drives.models import Blob, Drive, File
from drives.paths import join, split
from rendering.models import RenderJob, SceneReport
from rendering.services.reports import ensure_report

MAX_FILES = 100_000


@dataclass
class Resolution:
    """Files a job needs by their path in the drive, where absolute names point, what is missing, what is pending."""

    files: dict[str, Blob] = field(default_factory=dict)
    remap: dict[str, str] = field(default_factory=dict)
    missing: list[dict[str, Any]] = field(default_factory=list)
    is_pending: bool = False


def candidates(folder: str, named: str) -> list[str]:
    """Where in the drive the file may lie that a scene in `folder` names `named`, the most likely place first.

    A name relative to the scene (`//`) has one place. An absolute one is from another machine: its longest
    ending that exists below the scene's folder counts, then the same below the root.
    """
    path = named.replace("\\", "/")
    if path.startswith("//"):
        return [posixpath.normpath(join(folder, path[2:]))]
    parts = [part for part in re.sub(r"^[A-Za-z]:", "", path).split("/") if part not in ("", ".", "..")]
    endings = ["/".join(parts[start:]) for start in range(len(parts))]
    return [join(folder, ending) for ending in endings] + ["/" + ending for ending in endings]


def leads_there(folder: str, named: str) -> bool:
    """Whether the scene finds the file by itself, laid out as in the drive: not by another machine's name, and not
    by a way that climbs above the drive's root.
    """
    path = named.replace("\\", "/")
    return path.startswith("//") and ".." not in posixpath.normpath(join(folder, path[2:])[1:]).split("/")


def place_for(folder: str, named: str) -> str:
    """Where a client should put the file so that it is found."""
    path = named.replace("\\", "/")
    return candidates(folder, named)[0] if path.startswith("//") else join(folder, posixpath.basename(path))


def name_pattern(asset: dict[str, Any], name: str) -> re.Pattern[str]:
    """Which file names belong to an asset: itself, its tiles (UDIM), its numbers (sequence)."""
    if asset["kind"] == "udim":
        return re.compile(re.escape(name).replace(re.escape("<UDIM>"), r"\d{4}"))
    digits = list(re.finditer(r"\d+", name)) if asset["kind"] == "sequence" else []
    if digits:
        start, end = digits[-1].span()
        return re.compile(re.escape(name[:start]) + r"\d+" + re.escape(name[end:]))
    return re.compile(re.escape(name))


class DriveIndex:
    """Files of a drive by path, fetched a batch of folders at a time."""

    def __init__(self, drive: Drive) -> None:
        self.drive = drive
        self.folders: dict[str, dict[str, File]] = {}

    def load(self, folders: set[str]) -> None:
        wanted = {folder for folder in folders if folder not in self.folders}
        if not wanted:
            return
        self.folders |= {folder: {} for folder in wanted}
        rows = File.objects.living().filter(drive=self.drive).select_related("folder", "blob")
        inside = rows.filter(folder__path__in=wanted)
        if "/" in wanted:
            inside = inside | rows.filter(folder__isnull=True)
        for file in inside[:MAX_FILES]:
            self.folders[file.folder_path][file.name] = file

    def matching(self, path: str, asset: dict[str, Any]) -> dict[str, File]:
        folder, name = split(path)
        pattern = name_pattern(asset, name)
        files = self.folders.get(folder, {})
        if name in files and asset["kind"] not in ("udim", "sequence"):
            return {path: files[name]}
        return {join(folder, found): file for found, file in files.items() if pattern.fullmatch(found)}


def resolve(job: RenderJob, report: SceneReport, scene: File) -> Resolution:
    """Find everything the scene and its libraries need. `report` is that of the scene, ready."""
    found = Resolution()
    index = DriveIndex(job.drive)
    scene_path = join(scene.folder_path, scene.name)
    found.files[scene_path] = scene.blob
    waiting = [(scene_path, report)]
    while waiting:
        path, known = waiting.pop()
        folder = split(path)[0]
        assets = known.data.get("assets", [])
        index.load({split(place)[0] for asset in assets for place in candidates(folder, asset["path"])})
        for asset in assets:
            files = next(
                (hit for place in candidates(folder, asset["path"]) if (hit := index.matching(place, asset))),
                {},
            )
            if not files:
                if asset.get("required", True):
                    found.missing.append(missing_entry(asset, path, folder))
                continue
            first = next(iter(files))
            if not leads_there(folder, asset["path"]):
                base = posixpath.basename(asset["path"].replace("\\", "/"))
                found.remap[asset["path"]] = join(split(first)[0], base)
            if asset["kind"] == "library" and first not in found.files:
                library = ensure_report(blob=files[first].blob, engine=job.engine)
                if library.status == SceneReport.Status.PENDING:
                    found.is_pending = True
                elif library.status == SceneReport.Status.READY:
                    waiting.append((first, library))
            found.files |= {place: file.blob for place, file in files.items()}
    return found


def missing_entry(asset: dict[str, Any], scene_path: str, folder: str) -> dict[str, Any]:
    return {
        "path": asset["path"],
        "kind": asset["kind"],
        "users": asset.get("users", [])[:10],
        "named_by": scene_path,
        "expected_path": place_for(folder, asset["path"]),
    }
