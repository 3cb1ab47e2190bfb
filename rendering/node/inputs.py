"""What a job renders from, laid out once for all of its attempts on a node."""

import logging
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db.models import Count, Max

from common.ids import new_id
from rendering.models import JobFile, RenderJob
from rendering.node.cache import BlobCache, Check, go_on

logger = logging.getLogger(__name__)
Mark = tuple[int, int, int]


class JobInputs:
    """The input folder of a job, `root`: files under the names that the owner gave them, not to be changed."""

    def __init__(self, root: Path, job: RenderJob, version: Any) -> None:
        self.root, self.job, self.version = root, job, version
        self.lock = threading.Lock()
        self.users = 0
        self.scene = Path()
        self.marks: dict[str, Mark | None] | None = None

    def local(self, path: str) -> Path:
        """Where a path of the drive lies here."""
        return self.root / path.lstrip("/")

    def lay_out(self, cache: BlobCache, check: Check) -> None:
        """Put everything in its place, or leave nothing. Raises what `BlobCache.lay_out` does."""
        files = list(JobFile.objects.filter(job=self.job).select_related("blob"))
        self.scene = next(self.local(file.path) for file in files if file.is_scene)
        try:
            self.root.mkdir(parents=True)
            cache.lay_out(((file.path, file.blob) for file in files), self.root, check=check)
            folders = [Path(folder) for folder, _folders, _files in os.walk(self.root)]
            for folder in folders:
                folder.chmod(0o555)
        except BaseException:
            self.remove()
            raise
        paths = [str(path) for path in (*folders, *(self.local(file.path) for file in files))]
        self.marks = {path: mark_of(path) for path in paths}

    def is_intact(self) -> bool:
        """Whether all is as it was laid out: a program that may write anywhere (root's) changed nothing."""
        return self.marks is not None and all(mark_of(path) == mark for path, mark in self.marks.items())

    def remove(self) -> None:
        remove_tree(self.root)


class InputFolders:
    """The input folders of the jobs that a node is at work on."""

    def __init__(self, folder: Path, cache: BlobCache) -> None:
        self.folder, self.cache = folder, cache
        self.lock = threading.Lock()
        self.current: dict[UUID, JobInputs] = {}

    @contextmanager
    def of(self, job: RenderJob, *, check: Check = go_on) -> Iterator[JobInputs]:
        """The inputs of a job, laid out by the first who asks; others wait.

        Raises OSError, StorageError, InputGone, what `check` raises.
        """
        inputs = self.take(job)
        try:
            with inputs.lock:
                if inputs.marks is None:
                    inputs.lay_out(self.cache, check)
            yield inputs
        except BaseException:
            if inputs.marks is None:
                self.drop(inputs)
            raise
        finally:
            self.release(inputs)

    def take(self, job: RenderJob) -> JobInputs:
        rows = JobFile.objects.filter(job=job)
        version = tuple(rows.aggregate(Count("pk"), Max("updated_at")).values())
        with self.lock:
            inputs = self.current.get(job.pk)
            if (
                inputs is None
                or inputs.version != version
                or not (inputs.marks is None or inputs.is_intact())
            ):
                inputs = JobInputs(self.folder / new_id().hex, job, version)
                if before := self.current.get(job.pk):
                    self.forget(before)
                self.current[job.pk] = inputs
            inputs.users += 1
        return inputs

    def forget(self, inputs: JobInputs) -> None:
        """No further attempt shall use these. Call with the lock held."""
        if self.current.get(inputs.job.pk) is inputs:
            del self.current[inputs.job.pk]
        if not inputs.users:
            inputs.remove()

    def drop(self, inputs: JobInputs) -> None:
        with self.lock:
            self.forget(inputs)

    def release(self, inputs: JobInputs) -> None:
        with self.lock:
            inputs.users -= 1
            if not inputs.users and self.current.get(inputs.job.pk) is not inputs:
                inputs.remove()

    def sweep(self) -> None:
        """Remove what belongs to jobs that have nothing more to render, or not now."""
        with self.lock:
            idle = [inputs for inputs in self.current.values() if not inputs.users]
        if not idle:
            return
        living = RenderJob.objects.filter(
            pk__in=[inputs.job.pk for inputs in idle], status__in=RenderJob.CLAIMABLE_STATUSES
        )
        kept = set(living.values_list("pk", flat=True))
        with self.lock:
            for inputs in idle:
                if inputs.job.pk not in kept and not inputs.users:
                    self.forget(inputs)

    def remove_idle(self) -> None:
        """Remove what nobody is using, so that the cache may forget it."""
        with self.lock:
            for inputs in [each for each in self.current.values() if not each.users]:
                self.forget(inputs)


def mark_of(path: str) -> Mark | None:
    """What changes when a file or folder is written to or replaced."""
    try:
        found = os.stat(path)  # noqa: PTH116  (hundreds of them before each frame)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def remove_tree(root: Path) -> None:
    """Remove a folder, read-only ones in it, too. What cannot be removed is logged: the next start tries again."""
    for folder, _folders, _files in os.walk(root):
        Path(folder).chmod(0o700)
    if root.exists():
        shutil.rmtree(
            root, onerror=lambda _function, path, error: logger.warning("%s stays: %s", path, error[1])
        )
