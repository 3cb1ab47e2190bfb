"""A file of small parts that are the bodies of their requests: for the tests of its doors and of its hashing."""

import base64
import os
from collections.abc import Iterator
from typing import Any

import pytest

from drives.models import Drive
from drives.services import hashing_ahead
from drives.services.blobs import Hasher
from tests.conftest import Client
from tests.uploads.conftest import PART, Sender, announced, begin, chunks, md5_of
from uploads.models import UploadPart

CONTENT = os.urandom(7 * PART + 13)
PARTS = chunks(CONTENT)
OTHER = bytes(range(250)) * 4
"""What comes as part 3 instead."""
CHANGED = CONTENT[: 2 * PART] + OTHER + CONTENT[3 * PART :]


def put(
    sender: Sender, number: Any, content: bytes, kind: str = "application/octet-stream", **headers: Any
) -> Any:
    url = f"{sender.url}/multipart/parts/{number}"
    return sender.client.generic("PUT", url, content, content_type=kind, **headers)


def declared(content: bytes) -> dict[str, str]:
    return {"HTTP_CONTENT_MD5": base64.b64encode(bytes.fromhex(md5_of(content))).decode()}


@pytest.fixture
def sender(owner_api: Client, drive: Drive) -> Sender:
    (found,) = begin(owner_api, announced("/big.blend", CONTENT))
    assert found.start().status_code == 200
    return found


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How far each file was hashed when it was completed; -1 where nothing of it could be used."""
    real, found = hashing_ahead.take, []

    def watched(*args: Any) -> Hasher | None:
        hasher = real(*args)
        found.append(hasher.size if hasher else -1)
        return hasher

    monkeypatch.setattr(hashing_ahead, "take", watched)
    yield found


def hashed(sender: Sender, size: int) -> None:
    """Wait until so much of the file is hashed."""
    ahead = hashing_ahead.files[sender.row().upload_id]
    with ahead.change:
        assert ahead.change.wait_for(lambda: ahead.hasher.size >= size and not ahead.busy, 20)


def send_all(sender: Sender) -> None:
    for number, part in enumerate(PARTS, 1):
        assert put(sender, number, part).status_code == 200


def etag_of(sender: Sender, number: int) -> str:
    return UploadPart.objects.get(task_file=sender.row(), number=number).etag
