"""Files of the node on their way to the storage."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from common.ids import new_id
from drives.models import Blob
from drives.services.blobs import BLOCK, Digests, Hasher, Kept, keep_all, write_down_all
from drives.storage import blob_storage
from drives.storage.staging import write_at
from rendering.node.patience import patiently

LARGE_SIZE = 4 << 20


def store_files(paths: Sequence[Path], *, check: Callable[[], None]) -> list[Blob]:
    """Blobs of local files, in their order, in a handful of statements for all, however many there are.

    Patient with a storage that is away for a moment. Raises OSError, StorageError.
    """
    found: dict[Path, Blob] = {}

    def store_rest() -> None:
        rest = [path for path in dict.fromkeys(paths) if path not in found]
        answers = dict(zip(rest, keep_all(staged=[stage(path) for path in rest]), strict=True))
        kept = {path: answer for path, answer in answers.items() if isinstance(answer, Kept)}
        new = list({each.blob.pk: each.blob for each in kept.values() if each.is_new}.values())
        written = {blob.pk: mine for blob, mine in zip(new, write_down_all(new), strict=True)} if new else {}
        found.update({path: written.get(each.blob.pk, each.blob) for path, each in kept.items()})
        for answer in answers.values():
            if isinstance(answer, OSError):
                raise answer

    patiently(store_rest, check=check)
    return [found[path] for path in paths]


def stage(path: Path) -> tuple[str, Digests]:
    """A copy of a local file where bytes wait to be kept, and its digests."""
    staging_id, hasher = new_id().hex, Hasher()
    place = blob_storage().staging_path(staging_id)
    try:
        with ExitStack() as held:
            # Unbuffered: of most files all is read and written at once.
            source = held.enter_context(path.open("rb", buffering=0))
            target = held.enter_context(place.open("wb", buffering=0))
            size = os.fstat(source.fileno()).st_size
            # A thread is worth its start for what is large.
            side = held.enter_context(ThreadPoolExecutor(1)) if size > LARGE_SIZE else None
            while block := source.read(min(BLOCK, size + 1)):
                write_at(target.fileno(), memoryview(block), hasher.size)
                hasher.update(block, beside=side)
    except BaseException:
        place.unlink(missing_ok=True)
        raise
    return staging_id, hasher.digests()
