"""How the bytes of files in a request reach the staging area: hashed as they pass, never all in memory."""

from datetime import datetime
from typing import Any, BinaryIO

from django.conf import settings
from django.core.exceptions import TooManyFilesSent
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.http import UnreadablePostError
from django.utils import timezone
from rest_framework.request import Request

from common.bodies import arriving
from common.ids import new_id
from drives.services.blobs import Digests, Hasher
from drives.storage import blob_storage
from drives.storage.staging import in_writes
from uploads.errors import StorageFailed, TooManyFiles
from uploads.services.whole import IN_MEMORY


class StagedFile(UploadedFile):
    """A file of the form, in the staging area. If nobody has kept it, it is removed when the request is closed."""

    def __init__(self, staging_id: str, digests: Digests, name: str, started_at: datetime) -> None:
        super().__init__(file=None, name=name, size=digests.size)
        self.staging_id, self.digests, self.started_at = staging_id, digests, started_at

    def close(self) -> None:
        blob_storage().discard(self.staging_id)


class StagingHandler(FileUploadHandler):
    """Writes each file of a multipart form to the staging area and keeps its digests."""

    chunk_size = 1 << 18  # what is behind the end of a small file is copied, so not more

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self.staging_id, self.hasher, self.started_at = new_id().hex, Hasher(), timezone.now()
        self.target: BinaryIO = blob_storage().staging_path(self.staging_id).open("wb")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self.hasher.update(raw_data)
        self.target.write(raw_data)

    def file_complete(self, file_size: int) -> StagedFile:
        self.target.close()
        return StagedFile(self.staging_id, self.hasher.digests(), self.file_name or "", self.started_at)

    def upload_interrupted(self) -> None:
        if hasattr(self, "target"):
            self.target.close()
            blob_storage().discard(self.staging_id)


def small_body(request: Request) -> memoryview | None:
    """The body of the request in memory, where its declared length is small; fewer bytes if the client disconnects."""
    declared = request.META.get("CONTENT_LENGTH") or ""
    if not declared.isdecimal() or int(declared) > min(IN_MEMORY, settings.UPLOAD_DIRECT_MAX_SIZE):
        return None
    memory = memoryview(bytearray(int(declared) or 1))
    return memory[: sum(len(piece) for piece in arriving(request._request, memory))]


def staged_body(request: Request) -> StagedFile:
    """The body of the request as a file, written to the staging area while it arrives. Raises StorageFailed."""
    staging_id, hasher, started_at = new_id().hex, Hasher(), timezone.now()
    try:
        with blob_storage().staging_path(staging_id).open("wb", buffering=0) as target:
            for block in arriving(request._request):
                hasher.update(block)
                target.writelines(in_writes(block))
    except OSError as error:
        blob_storage().discard(staging_id)
        raise StorageFailed(retry_after=5) from error
    return StagedFile(staging_id, hasher.digests(), "body", started_at)


def staged_files(request: Request) -> list[tuple[str, StagedFile]]:
    """Every file of the form by its field, in the order of the fields. Call this before anything reads the form.

    The bytes go straight to the staging area. Raises TooManyFiles, StorageFailed.
    """
    request._request.upload_handlers = [StagingHandler(request._request)]
    try:
        found = request.FILES
    except TooManyFilesSent as error:
        raise TooManyFiles(limit=settings.DATA_UPLOAD_MAX_NUMBER_FILES) from error
    except UnreadablePostError:  # an OSError, too: the client went away
        raise
    except OSError as error:
        raise StorageFailed(retry_after=5) from error
    return [(name, file) for name, files in found.lists() for file in files if isinstance(file, StagedFile)]
