"""A tus client for the tests: it says exactly what a test wants said."""

import base64
from typing import Any

from tests.conftest import Client
from uploads.models import TaskFile

BYTES = "application/offset+octet-stream"


def metadata_of(**values: str) -> str:
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in values.items())


class Tus:
    """Requests of one user; each takes further headers as `HTTP_…`."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def ask(self, method: str, url: str, body: bytes = b"", kind: str = BYTES, **headers: Any) -> Any:
        headers = {"HTTP_TUS_RESUMABLE": "1.0.0", **headers}
        return self.client.generic(method, url, body, content_type=kind, **headers)

    def create(self, length: Any, body: bytes = b"", kind: str = "", **metadata: str) -> Any:
        told = metadata_of(**metadata)
        return self.ask("POST", "/tus", body, kind, HTTP_UPLOAD_LENGTH=str(length), HTTP_UPLOAD_METADATA=told)

    def begin(self, length: int, path: str = "/x.bin", **metadata: Any) -> str:
        """The address of a new upload."""
        folder, name = path.rsplit("/", 1)
        answer = self.create(length, filename=name, path=folder, **metadata)
        assert answer.status_code == 201, answer.content
        return str(answer["Location"])

    def head(self, url: str, **headers: Any) -> Any:
        return self.ask("HEAD", url, **headers)

    def patch(self, url: str, offset: Any, body: bytes, kind: str = BYTES, **headers: Any) -> Any:
        return self.ask("PATCH", url, body, kind, HTTP_UPLOAD_OFFSET=str(offset), **headers)

    def delete(self, url: str, **headers: Any) -> Any:
        return self.ask("DELETE", url, **headers)


def row_of(url: str) -> TaskFile:
    rows = TaskFile.objects.select_related("task", "file__blob", "file__folder")
    return rows.get(pk=url.rsplit("/", 1)[1])
