"""Blobs in a folder, `<2 digits>/<id>` each."""

import errno
import os
import shutil
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

from django.core.files.storage import FileSystemStorage

from common.ids import new_id
from drives.storage.base import BlobStorage, FileSlice, StorageError, StoredObject, key_of
from drives.storage.staging import write_at

syncing = ThreadPoolExecutor(8, thread_name_prefix="syncing")
"""A file and its folder are waited for at once: each takes as long as the disk does."""


def sync(path: Path) -> None:
    """Wait until a file or folder has been written to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class OwnFileSlice(FileSlice):
    """A slice that closes the file it reads."""

    def close(self) -> None:
        self.file.close()
        super().close()


class FileSystemBlobStorage(BlobStorage, FileSystemStorage):
    """Blobs in the folder `location`, which all processes share that touch files. Links are ours (drives.links)."""

    def take_in(self, path: Path, key: str) -> None:
        """A rename within one file system. Bytes and name are on the disk when it returns: who dies before leaves a
        blob that nobody has written down.

        Bytes that the disk has failed to take are gone for good: the kernel takes them for written from then on, and
        shows them to whoever reads them (fsync(2)).
        """
        target = Path(self.path(key))
        make_folder(target.parent)
        # The age of a blob counts from here on, not from its first part: fsck leaves young ones without a row alone.
        os.utime(path)
        if target.exists():
            sync(path)  # what the key has held is not given up for bytes that may be lost
        rename(path, target)
        name_synced = syncing.submit(sync, target.parent)
        try:
            sync(target)
        except OSError:
            target.unlink(missing_ok=True)
            raise
        try:
            name_synced.result()
        except OSError:
            shutil.move(target, path)  # as if nothing had been done
            raise

    def store(self, content: bytes | memoryview) -> str:
        """As `take_in`, where the file is not opened a second time, and nothing can be in its place."""
        staging_id = new_id().hex
        key, path = key_of(staging_id), self.staging_path(staging_id)
        target = Path(self.location, key)
        try:
            with path.open("xb", buffering=0) as file:
                write_at(file.fileno(), memoryview(content), 0)
                make_folder(target.parent)
                rename(path, target)
                name_synced = syncing.submit(sync, target.parent)
                os.fsync(file.fileno())
            name_synced.result()
        except BaseException:
            path.unlink(missing_ok=True)
            target.unlink(missing_ok=True)
            raise
        return key

    def open_blob(self, key: str, start: int = 0, stop: int | None = None) -> BinaryIO:
        file = Path(self.path(key)).open("rb")  # noqa: SIM115  (the caller closes it)
        if stop is not None:
            return cast(BinaryIO, OwnFileSlice(file, start, min(stop, os.fstat(file.fileno()).st_size)))
        file.seek(start)
        return file

    def require_whole(self, key: str, size: int) -> None:
        if (found := Path(self.path(key)).stat().st_size) < size:
            raise StorageError(f"{key} has {found} bytes, not {size}.")

    def copy_to(self, key: str, path: Path) -> None:
        shutil.copyfile(self.path(key), path)

    @contextmanager
    def local_copy(self, key: str) -> Iterator[Path]:
        """The blob's own file."""
        yield Path(self.path(key))

    def objects(self, prefix: str = "") -> Generator[StoredObject, None, None]:
        return (found for found in walk(Path(self.location), "") if found.key.startswith(prefix))


def make_folder(folder: Path) -> None:
    """Its name is on the disk when it has to be made."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        sync(folder.parent)


def rename(path: Path, target: Path) -> None:
    """Move a file to its place, also from another file system."""
    try:
        path.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy_across(path, target)


def copy_across(path: Path, target: Path) -> None:
    """Move a file to another file system: copied beside its place, so that the last step is a rename again."""
    partial = target.with_name(f".{new_id().hex}")
    try:
        shutil.copyfile(path, partial)
        sync(partial)
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    path.unlink()


def walk(folder: Path, prefix: str) -> Iterator[StoredObject]:
    """Files below a folder by their keys, a folder at a time in memory."""

    def key_of(entry: os.DirEntry[str]) -> str:
        return f"{prefix}{entry.name}/" if entry.is_dir(follow_symlinks=False) else f"{prefix}{entry.name}"

    if not folder.exists():
        return
    with os.scandir(folder) as entries:
        found = sorted(entries, key=key_of)
    for entry in found:
        with suppress(FileNotFoundError):  # deleted meanwhile
            if entry.is_dir(follow_symlinks=False):
                yield from walk(Path(entry.path), key_of(entry))
            else:
                status = entry.stat(follow_symlinks=False)
                yield StoredObject(
                    key_of(entry), status.st_size, datetime.fromtimestamp(status.st_mtime, UTC)
                )
