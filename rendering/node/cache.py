"""Input files of a node: fetched once by content, laid out by hard links."""

import os
from collections.abc import Iterable
from pathlib import Path

from common.ids import new_id
from drives.models import Blob
from drives.storage import blob_storage


class BlobCache:
    """Blobs by sha256 in a folder of the node; read-only, so that a job cannot change what the next one reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path_of(self, blob: Blob) -> Path:
        digest = blob.sha256 or blob.pk.hex
        return self.folder / digest[:2] / digest

    def fetch(self, blob: Blob) -> Path:
        """The local file of a blob, copied on first use; whole or not there at all."""
        target = self.path_of(blob)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(f".{new_id().hex}")
            try:
                blob_storage().copy_to(blob.storage_key, partial)
                partial.chmod(0o444)
                partial.replace(target)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
        return target

    def lay_out(self, files: Iterable[tuple[str, Blob]], root: Path) -> None:
        """Put blobs at their drive paths below `root`."""
        for path, blob in files:
            place = root / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(self.fetch(blob), place)
