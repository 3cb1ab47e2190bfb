"""Logs of attempts that ended without a last report of their node: stopped, lost, given back."""

from pathlib import Path
from uuid import UUID

from drives.services.blobs import store_file
from rendering.models import Attempt


def keep(*, attempt_id: UUID, path: Path, tail: str) -> None:
    """Keep the log of an attempt that has none yet; `tail` are its last lines.

    Nothing is kept for an attempt that is gone. Raises OSError, StorageError.
    """
    bare = Attempt.objects.filter(pk=attempt_id, log_blob__isnull=True)
    if path.stat().st_size and bare.exists():
        bare.update(log_blob=store_file(path), log_tail=tail)
