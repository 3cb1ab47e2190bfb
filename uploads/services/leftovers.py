"""What an upload has sent so far, when nobody needs it any more."""

from dataclasses import dataclass
from typing import Self

from drives.storage import blob_storage
from uploads.messages import abandon_later
from uploads.models import TaskFile


@dataclass(frozen=True)
class SentSoFar:
    """The open upload of a file, as its row had it: empty where it had none."""

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
