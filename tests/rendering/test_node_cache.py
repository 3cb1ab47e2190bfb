"""Input files on a node: fetched once, shared, forgotten for want of room, kept from harm."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from django.db import connections

from accounts.models import User
from drives.models import Blob
from drives.services.blobs import store_chunks
from drives.storage import StorageError, blob_storage
from rendering.models import JobFile, RenderJob, RenderNode
from rendering.node import cache as cache_module
from rendering.node import patience
from rendering.node.cache import BlobCache, InputGone
from rendering.node.inputs import InputFolders
from tests.racing import race, wait_for
from tests.rendering import makers

pytestmark = pytest.mark.django_db
MIB = 1 << 20


@pytest.fixture
def cache(tmp_path: Path) -> BlobCache:
    return BlobCache(tmp_path / "cache")


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each key of the storage was read."""
    count: Counter[str] = Counter()
    storage = type(blob_storage())
    real = storage.open_blob

    def open_blob(self: Any, key: str, *args: Any, **kwargs: Any) -> BinaryIO:
        count[key] += 1
        return real(self, key, *args, **kwargs)

    monkeypatch.setattr(storage, "open_blob", open_blob)
    return count


class Stopped(Exception):
    pass


def blob_of(size: int = 100) -> Blob:
    return store_chunks([os.urandom(size)])


def content(blob: Blob) -> bytes:
    with blob_storage().open_blob(blob.storage_key) as file:
        return file.read()


def laid_out(cache: BlobCache, root: Path, *blobs: Blob) -> list[Path]:
    cache.lay_out([(f"/proj/{number}.tex", blob) for number, blob in enumerate(blobs)], root)
    return [root / "proj" / f"{number}.tex" for number in range(len(blobs))]


# --- fetching ---


def test_what_is_laid_out_is_read_only_and_carries_the_time_of_its_blob(
    cache: BlobCache, tmp_path: Path
) -> None:
    blobs = [blob_of(), blob_of(3 * MIB)]

    paths = laid_out(cache, tmp_path / "root", *blobs)

    assert [path.read_bytes() for path in paths] == [content(blob) for blob in blobs]
    for path, blob in zip(paths, blobs, strict=True):
        found = path.stat()
        assert (found.st_mode & 0o777, found.st_mtime) == (0o444, int(blob.created_at.timestamp()))
        assert path.samefile(cache.path_of(blob))


def test_a_content_under_many_names_is_fetched_once(
    cache: BlobCache, tmp_path: Path, fetched: Counter[str]
) -> None:
    blob = blob_of()
    laid_out(cache, tmp_path / "a", blob, blob, blob)
    laid_out(cache, tmp_path / "b", blob)

    assert fetched == {blob.storage_key: 1}


@pytest.mark.django_db(transaction=True)
def test_attempts_that_want_the_same_at_once_fetch_it_once(tmp_path: Path, fetched: Counter[str]) -> None:
    """Each with a cache of its own over one folder, as the nodes of a machine have."""
    blobs = [blob_of(MIB) for _ in range(6)]

    def lay_out(number: int) -> list[Path]:
        return laid_out(BlobCache(tmp_path / "cache"), tmp_path / f"root-{number}", *blobs)

    for paths in race(4, lay_out):
        assert [path.stat().st_size for path in paths] == [MIB] * 6
    assert fetched == {blob.storage_key: 1 for blob in blobs}
    assert not list((tmp_path / "cache").rglob("*.part"))


def test_one_process_waits_while_another_fetches(
    cache: BlobCache, tmp_path: Path, fetched: Counter[str]
) -> None:
    blob = blob_of()
    partial = cache.path_of(blob).with_name(cache.path_of(blob).name + ".part")
    partial.parent.mkdir(parents=True)
    code = "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print(1, flush=True); time.sleep(9)"
    with subprocess.Popen([sys.executable, "-c", code, str(partial)], stdout=subprocess.PIPE) as other:
        assert other.stdout and other.stdout.readline()
        asked: list[int] = []

        def check() -> None:
            asked.append(1)
            if len(asked) == 3:
                assert not fetched
                other.kill()  # a fetch that died leaves what is as good as nothing

        cache.lay_out([("/a", blob)], tmp_path / "root", check=check)
    assert (tmp_path / "root" / "a").read_bytes() == content(blob)


@pytest.mark.parametrize("harm", ["cut short", "written to", "grown"])
def test_a_cached_file_that_is_not_what_it_was_is_fetched_again(
    cache: BlobCache, tmp_path: Path, harm: str
) -> None:
    blob = blob_of()
    [path] = laid_out(cache, tmp_path / "a", blob)
    path.chmod(0o644)
    path.write_bytes({"cut short": b"", "written to": os.urandom(100), "grown": os.urandom(200)}[harm])

    [again] = laid_out(cache, tmp_path / "b", blob)

    assert again.read_bytes() == content(blob)


def test_where_no_links_can_be_made_files_are_copied(
    cache: BlobCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_link(source: Path, target: Path) -> None:
        Path(source).stat()
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(cache_module.os, "link", no_link)
    blob = blob_of()

    [path] = laid_out(cache, tmp_path / "root", blob)

    assert path.read_bytes() == content(blob)
    assert (path.stat().st_mode & 0o777, path.stat().st_nlink) == (0o444, 1)


@contextmanager
def storage_away(monkeypatch: pytest.MonkeyPatch, error: Exception, times: int) -> Iterator[list[str]]:
    """The storage fails `times` times."""
    storage = type(blob_storage())
    real = storage.open_blob
    failed: list[str] = []

    def open_blob(self: Any, key: str, *args: Any, **kwargs: Any) -> BinaryIO:
        if len(failed) < times:
            failed.append(key)
            raise error
        return real(self, key, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(storage, "open_blob", open_blob)
        patch.setattr(patience, "PAUSE_SECONDS", 0)
        yield failed


def test_a_storage_that_is_away_for_a_moment_is_awaited(
    cache: BlobCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = blob_of()
    with storage_away(monkeypatch, StorageError("no answer"), times=3) as failed:
        [path] = laid_out(cache, tmp_path / "root", blob)
    assert path.read_bytes() == content(blob)
    assert len(failed) == 3


@pytest.mark.parametrize(
    ("error", "told"),
    [(OSError(28, "No space left on device"), OSError), (FileNotFoundError("gone"), InputGone)],
)
def test_what_waiting_does_not_mend_is_told_at_once(
    cache: BlobCache,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: OSError,
    told: type[Exception],
) -> None:
    blobs = [blob_of() for _ in range(40)]
    with storage_away(monkeypatch, error, times=100) as failed, pytest.raises(told):
        laid_out(cache, tmp_path / "root", *blobs)
    assert len(failed) == len(set(failed))
    assert not list((tmp_path / "cache").rglob("*.part"))


def test_who_is_asked_to_stop_stops_fetching(cache: BlobCache, tmp_path: Path) -> None:
    def stop() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        cache.lay_out([("/a", blob_of())], tmp_path / "root", check=stop)
    assert not [path for path in cache.folder.rglob("*") if path.is_file()]


# --- room ---


def test_what_was_wanted_least_lately_makes_room(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path / "cache", size_limit=3 * MIB)
    first, second, third, fourth = (blob_of(MIB) for _ in range(4))
    laid_out(cache, tmp_path / "a", first, second, third)
    shutil.rmtree(tmp_path / "a")
    laid_out(cache, tmp_path / "b", first)
    shutil.rmtree(tmp_path / "b")

    laid_out(cache, tmp_path / "c", fourth)

    assert [cache.path_of(blob).exists() for blob in (first, second, third, fourth)] == [
        True,
        False,
        True,
        True,
    ]


def test_what_a_job_is_at_work_on_is_never_forgotten(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path / "cache", size_limit=2 * MIB)
    first, second, third = (blob_of(MIB) for _ in range(3))
    used, _also = laid_out(cache, tmp_path / "a", first, second)

    laid_out(cache, tmp_path / "b", third)

    assert used.samefile(cache.path_of(first))
    assert all(cache.path_of(blob).exists() for blob in (first, second, third))


def test_a_disk_without_room_makes_the_cache_give_some(
    cache: BlobCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = blob_of(MIB), blob_of(MIB)
    laid_out(cache, tmp_path / "a", old)
    shutil.rmtree(tmp_path / "a")
    monkeypatch.setattr(cache_module, "FREE_SIZE", shutil.disk_usage(tmp_path).free)

    laid_out(cache, tmp_path / "b", new)

    assert [cache.path_of(blob).exists() for blob in (old, new)] == [False, True]


def test_what_a_dead_fetch_left_is_removed(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path / "cache")
    orphan = cache.path_of(blob_of()).with_name("x.part")
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"half")

    laid_out(cache, tmp_path / "a", blob_of())

    assert not orphan.exists()


# --- the folder of a job ---


@pytest.fixture
def folders(cache: BlobCache, tmp_path: Path) -> InputFolders:
    return InputFolders(tmp_path / "inputs", cache)


@pytest.fixture
def job(owner: User, node: RenderNode) -> RenderJob:
    return makers.queued(owner, frames="1-2")


def roots(folders: InputFolders) -> list[Path]:
    return list(folders.folder.iterdir())


def test_attempts_of_a_job_share_its_folder_until_the_job_is_over(
    folders: InputFolders, job: RenderJob
) -> None:
    with folders.of(job) as first, folders.of(job) as second:
        assert first is second
        assert first.scene.read_bytes() == content(JobFile.objects.get(job=job).blob)
        assert first.root.stat().st_mode & 0o222 == 0
    folders.sweep()
    assert roots(folders) == [first.root]

    RenderJob.objects.filter(pk=job.pk).update(status=RenderJob.Status.CANCELLED)
    with folders.of(job) as again:
        folders.sweep()
        assert again.scene.exists()
    folders.sweep()
    assert roots(folders) == []


@pytest.mark.parametrize("kind", ["written to", "replaced", "one more"])
def test_a_folder_that_a_program_has_changed_is_not_used_again(
    folders: InputFolders, job: RenderJob, kind: str
) -> None:
    with folders.of(job) as before:
        before.scene.chmod(0o644)
        before.scene.parent.chmod(0o755)
        if kind == "replaced":
            before.scene.unlink()
        (before.scene.with_name("more") if kind == "one more" else before.scene).write_bytes(b"other")
        with folders.of(job) as after:
            assert after.root != before.root
            assert after.scene.read_bytes() == content(JobFile.objects.get(job=job).blob)
        assert before.scene.exists()
    assert roots(folders) == [after.root]


def test_other_files_of_a_job_are_laid_out_anew(folders: InputFolders, job: RenderJob) -> None:
    with folders.of(job) as before:
        pass
    JobFile.objects.create(job=job, path="/proj/late.tex", blob=blob_of())

    with folders.of(job) as after:
        assert after.local("/proj/late.tex").exists()
    assert roots(folders) == [after.root] != [before.root]


@pytest.mark.django_db(transaction=True)
def test_attempts_that_begin_together_lay_out_once(
    folders: InputFolders, job: RenderJob, fetched: Counter[str]
) -> None:
    def begin(_number: int) -> Path:
        with folders.of(job) as inputs:
            time.sleep(0.2)
            return inputs.root

    assert len(set(race(3, begin))) == 1
    assert set(fetched.values()) == {1}


@pytest.mark.django_db(transaction=True)
def test_who_fails_to_lay_out_leaves_it_to_the_next(folders: InputFolders, job: RenderJob) -> None:
    results: list[bytes] = []

    def second() -> None:
        with folders.of(job) as inputs:
            results.append(inputs.scene.read_bytes())
        connections.close_all()

    thread = threading.Thread(target=second)

    def stop() -> None:
        thread.start()
        wait_for(lambda: any(inputs.users == 2 for inputs in folders.current.values()))
        raise Stopped

    with pytest.raises(Stopped), folders.of(job, check=stop):
        pass
    thread.join(10)
    assert results == [content(JobFile.objects.get(job=job).blob)]
    assert roots(folders) == []
