"""From the names in a scene to the files in the drive.

A scene is resolved level by level: the scene, what it links, what that links. Each level costs a constant number of
queries, however many files it names.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from common.errors import DomainError
from drives.models import Blob, File
from drives.paths import join, split, with_ancestors
from rendering import frame_range
from rendering.engines import engine_for
from rendering.models import RenderJob, SceneReport
from rendering.services.asset_names import Naming, base_name, pattern_of
from rendering.services.choices import Choices
from rendering.services.drive_index import DriveIndex, Entry, Found
from rendering.services.projects import find_project
from rendering.services.reports import ensure_reports, range_of, suffix_failure

MAX_DEPTH = 50  # scenes in scenes
MAX_LISTED = 10  # files named of one asset
PROBLEMS = ("missing", "ambiguous", "unreadable")


@dataclass
class AssetState:
    """What became of a file that a scene names.

    `status`: found; mapped or ignored by the artist; missing; ambiguous (`candidates` differ only in case);
    unreadable (a linked scene; `failure_code`). `expected_path` is where a file that was not found should be,
    `chosen_by` the choice that applies to it, `missing_frames` are the job's frames that a sequence lacks.
    """

    path: str
    kind: str
    named_by: str
    users: list[str]
    required: bool
    status: str = "missing"
    expected_path: str = ""
    found: list[str] = field(default_factory=list)
    found_count: int = 0
    candidates: list[str] = field(default_factory=list)
    missing_frames: str = ""
    failure_code: str = ""
    chosen_by: str = ""

    @property
    def is_problem(self) -> bool:
        return self.required and self.status in PROBLEMS

    def as_missing(self) -> dict[str, Any]:
        """In the form that the refusal of a submit uses."""
        return {
            "path": self.path,
            "kind": self.kind,
            "reason": self.status,
            "users": self.users[:MAX_LISTED],
            "named_by": self.named_by,
            "expected_path": self.expected_path,
            "candidates": self.candidates,
        }


@dataclass
class Resolution:
    """The files a job needs by the paths at which they are laid out, the local meaning of names from other machines,
    and what became of each name.

    `is_pending`: a linked scene is still being read. `cycle`: scenes that reference each other in a circle.
    """

    files: dict[str, Blob] = field(default_factory=dict)
    remap: dict[str, str] = field(default_factory=dict)
    assets: list[AssetState] = field(default_factory=list)
    is_pending: bool = False
    cycle: list[str] = field(default_factory=list)
    is_too_deep: bool = False

    @property
    def missing(self) -> list[dict[str, Any]]:
        return [asset.as_missing() for asset in self.assets if asset.is_problem]

    def counts(self) -> dict[str, int]:
        """How many assets there are of each status."""
        return dict(Counter(asset.status for asset in self.assets))


def resolve(job: RenderJob, report: SceneReport, scene: File) -> Resolution:
    """Find everything that the scene and the scenes it links need. `report` is that of the scene, and ready."""
    return Resolver(job, report, scene).resolve()


class Resolver:
    def __init__(self, job: RenderJob, report: SceneReport, scene: File) -> None:
        self.job, self.report, self.scene = job, report, scene
        self.choices = Choices(job.asset_choices)
        self.index = DriveIndex(job.drive)
        self.found = Resolution()
        self.scene_path = join(scene.folder_path, scene.name)
        # A scene of Blender says nothing of a format and names files by its own rules.
        has_project = "format" in report.data
        self.project = find_project(job.drive, scene.folder_path) if has_project else None
        self.naming = self.project.naming if self.project else None
        self.frames = frames_of(job, report)
        self.links: dict[str, set[str]] = {}
        self.aliases: dict[str, Blob] = {}

    def resolve(self) -> Resolution:
        found = self.found
        found.files[self.scene_path] = self.scene.blob
        if self.project and self.project.file:
            found.files[join(self.project.root, self.project.file.name)] = self.project.file.blob
        level = [(self.scene_path, self.report)]
        seen = {self.scene_path}
        for _depth in range(MAX_DEPTH):
            level = [each for each in self.next_level(level) if each[0] not in seen]
            seen.update(path for path, _report in level)
            if not level:
                break
        found.is_too_deep = bool(level)
        found.files |= without_conflicts(self.aliases, found.files)
        if self.project:
            found.cycle = cycle_in(self.links, self.scene_path)
        return found

    def next_level(self, scenes: list[tuple[str, SceneReport]]) -> list[tuple[str, SceneReport]]:
        """Find what these scenes name; returns the linked scenes that have been read already."""
        named = [
            (path, Naming(split(path)[0], self.naming), asset)
            for path, report in scenes
            for asset in self.assets_of(path, report)
        ]
        self.index.load(self.wanted_folders(named))
        linked: dict[str, tuple[AssetState, Entry]] = {}
        for scene_path, naming, asset in named:
            state, files = self.find(scene_path, naming, asset)
            self.found.assets.append(state)
            if asset["kind"] == "library" and files:
                path, file = next(iter(files.items()))
                self.links.setdefault(scene_path, set()).add(path)
                linked[path] = (state, file)
        return list(self.read(linked))

    def assets_of(self, path: str, report: SceneReport) -> list[dict[str, Any]]:
        engine = engine_for(self.job.engine)
        companions = engine.companions(self.scene.name) if engine and path == self.scene_path else []
        return [*report.data.get("assets", []), *companions]

    def wanted_folders(self, named: list[tuple[str, Naming, dict[str, Any]]]) -> set[str]:
        wanted: set[str] = set()
        for _path, naming, asset in named:
            choice = self.choices.of(asset["path"])
            if choice is None:
                wanted.update(naming.folders(asset["path"]))
            elif choice.path:
                wanted.add(split(choice.path)[0])
        return wanted

    def find(
        self, scene_path: str, naming: Naming, asset: dict[str, Any]
    ) -> tuple[AssetState, dict[str, Entry]]:
        """What became of an asset, and its files by their path in the drive."""
        named: str = asset["path"]
        state = AssetState(
            path=named,
            kind=asset["kind"],
            named_by=scene_path,
            users=asset.get("users", []),
            required=asset.get("required", True),
        )
        choice = self.choices.of(named)
        if choice:
            state.chosen_by = choice.key
        if choice and choice.path is None:
            state.status = "ignored"
            return state, {}
        folders, name = naming.folders(named), base_name(named)
        if choice and choice.path:
            folder, name = split(choice.path)
            folders = (folder,)
        found = self.index.find(folders, pattern_of(asset["kind"], name))
        if found is None or found.candidates:
            state.status = "ambiguous" if found else "missing"
            state.candidates = found.candidates[:MAX_LISTED] if found else []
            state.expected_path = choice.path if choice and choice.path else naming.place_for(named)
            return state, {}
        state.status = "mapped" if choice else "found"
        state.found, state.found_count = list(found.files)[:MAX_LISTED], len(found.files)
        state.missing_frames = self.missing_frames(asset, found)
        self.lay_out(naming, asset, found)
        return state, found.files

    def lay_out(self, naming: Naming, asset: dict[str, Any], found: Found) -> None:
        """Put the files where the renderer finds them without help, or tell it where they are."""
        self.found.files |= {path: file.blob for path, file in found.files.items()}
        named = asset["path"]
        own = naming.own_place(named)
        if own is None or not naming.is_relative(named):
            self.found.remap[named] = join(found.folder, found.pattern.name)
        if own is None:
            return
        folder, name = split(own)
        pattern = pattern_of(asset["kind"], name)
        for path, file in found.files.items():
            _before, number, _after = found.numbers[path]
            place = join(folder, pattern.before + number + pattern.after)
            if place != path and place != self.scene_path:
                self.aliases[place] = file.blob

    def missing_frames(self, asset: dict[str, Any], found: Found) -> str:
        """The job's frames that a sequence lacks.

        Blender's sequences may start anywhere: one that has none of the job's frames is taken for shifted.
        """
        if asset["kind"] != "sequence" or not self.frames or not found.pattern.number:
            return ""
        offset = asset.get("frame_offset")
        have = {int(number) for _before, number, _after in found.numbers.values() if number}
        lacking = [number for number in self.frames if number + (offset or 0) not in have]
        if offset is None and len(lacking) == len(self.frames):
            return ""
        return frame_range.compact(lacking)

    def read(self, linked: dict[str, tuple[AssetState, Entry]]) -> Iterator[tuple[str, SceneReport]]:
        """The reports of linked scenes that are ready; notes which of the others are still awaited, and which
        unreadable.
        """
        reports = ensure_reports(
            blobs=[file.blob for _state, file in linked.values()], engine=self.job.engine
        )
        for path, (state, file) in linked.items():
            report = reports[file.blob.pk]
            failure = suffix_failure(file.name, report)
            if report.status == SceneReport.Status.PENDING:
                self.found.is_pending = True
            elif report.status == SceneReport.Status.FAILED or failure:
                state.status = "unreadable"
                state.failure_code = failure.code if failure else report.failure_code
            else:
                yield path, report


def without_conflicts(aliases: dict[str, Blob], files: dict[str, Blob]) -> dict[str, Blob]:
    """The aliases that can be laid out beside `files`: no alias is a file where another path needs a folder, or the
    reverse.
    """
    folders = set(with_ancestors({split(path)[0] for path in files}))
    kept: dict[str, Blob] = {}
    for path, blob in sorted(aliases.items()):
        above = with_ancestors({split(path)[0]})
        if (
            path not in files
            and path not in folders
            and not any(each in files or each in kept for each in above)
        ):
            kept[path] = blob
            folders.update(above)
    return kept


def frames_of(job: RenderJob, report: SceneReport) -> list[int]:
    try:
        return frame_range.parse(range_of(job, report))
    except DomainError:  # said where the range is asked for
        return []


def cycle_in(links: dict[str, set[str]], start: str) -> list[str]:
    """The first circle of scenes that lead back to themselves, in order, or nothing."""
    on_the_way: list[str] = []
    done: set[str] = set()
    waiting = [(start, iter(sorted(links.get(start, ()))))]
    on_the_way.append(start)
    while waiting:
        path, children = waiting[-1]
        child = next(children, None)
        if child is None:
            waiting.pop()
            on_the_way.pop()
            done.add(path)
        elif child in on_the_way:
            return [*on_the_way[on_the_way.index(child) :], child]
        elif child not in done:
            waiting.append((child, iter(sorted(links.get(child, ())))))
            on_the_way.append(child)
    return []
