"""What an upload has sent so far, once nobody needs it any more."""

from dataclasses import dataclass
from typing import Self

from django.db.models import QuerySet

from drives.storage import blob_storage
from uploads.messages import abandon_later
from uploads.models import TaskFile, UploadPart


@dataclass(frozen=True)
class SentSoFar:
    """The open upload of a file, according to its row; empty where it had none."""

    upload_id: str
    storage_key: str

    @classmethod
    def of(cls, row: TaskFile) -> Self:
        return cls(row.upload_id, row.storage_key)

    def let_go(self) -> None:
        """Discard the bytes; call it once the row is committed without them.

        Those in the bucket are removed by a message: no request waits for a bucket that does not answer.
        """
        if self.storage_key:
            abandon_later(self.storage_key, self.upload_id)
        elif self.upload_id:
            blob_storage().discard(self.upload_id)


def drop_parts(parts: QuerySet[UploadPart]) -> list[SentSoFar]:
    """Delete the rows of parts. Returns what is staged apart, to be discarded after the commit."""
    apart = list(parts.exclude(staging_id="").values_list("staging_id", flat=True))
    parts.all().delete()
    return [SentSoFar(staging_id, "") for staging_id in apart]
