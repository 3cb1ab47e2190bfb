"""How file bytes of a request reach the staging area: hashed as they pass, never whole in memory."""

from typing import Any, BinaryIO

from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler

from common.ids import new_id
from drives.services.blobs import Digests, Hasher
from drives.storage import blob_storage


class StagedFile(UploadedFile):
    """A file of the form that lies in the staging area; what nobody kept goes when the request is closed."""

    def __init__(self, staging_id: str, digests: Digests, name: str) -> None:
        super().__init__(file=None, name=name, size=digests.size)
        self.staging_id, self.digests = staging_id, digests

    def close(self) -> None:
        blob_storage().discard(self.staging_id)


class StagingHandler(FileUploadHandler):
    """Writes each file of a multipart form to the staging area and keeps its digests."""

    chunk_size = 1 << 20

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self.staging_id, self.hasher = new_id().hex, Hasher()
        self.target: BinaryIO = blob_storage().staging_path(self.staging_id).open("wb")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self.hasher.update(raw_data)
        self.target.write(raw_data)

    def file_complete(self, file_size: int) -> StagedFile:
        self.target.close()
        return StagedFile(self.staging_id, self.hasher.digests(), self.file_name or "")

    def upload_interrupted(self) -> None:
        if hasattr(self, "target"):
            self.target.close()
            blob_storage().discard(self.staging_id)
