"""What tests of temporary keys share: the bucket, the service that gives keys, and a client that has some."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.files.storage import storages
from pytest_django import Settings

from drives.storage import blob_storage
from drives.storage.oss import OSSStorage
from tests.conftest import Client
from tests.drives.storages import Choose, keep
from tests.standins.oss import OSSServer
from tests.standins.sts import ROLE, STS, sts_server
from tests.uploads.conftest import Sender, announced, begin


@pytest.fixture
def giving(choose: Choose, oss: OSSServer, settings: Settings) -> Iterator[STS]:
    """OSS with temporary keys is the storage."""
    choose("oss")
    with sts_server(oss) as server:
        blobs = settings.STORAGES["blobs"]
        options = {**blobs["OPTIONS"], "sts_role_arn": ROLE, "sts_endpoint": server.endpoint}
        settings.STORAGES = {**settings.STORAGES, "blobs": {**blobs, "OPTIONS": options}}
        assert storages["blobs"] is blob_storage()
        yield server


def ours() -> OSSStorage:
    storage = blob_storage()
    assert isinstance(storage, OSSStorage)
    return storage


def announce(client: Client, content: bytes, path: str = "/scene.blend") -> Sender:
    return begin(client, announced(path, content))[0]


def keys_for(sender: Sender) -> dict[str, Any]:
    answer = sender.client.post(f"/upload-tasks/{sender.task_id}/credentials")
    assert answer.status_code == 200, answer.content
    keys: dict[str, Any] = answer.json()
    return keys


def client_with(keys: dict[str, Any]) -> OSSStorage:
    """A client's own access to the bucket: names are whole, as the client knows them."""
    names = ("access_key_id", "access_key_secret", "security_token", "bucket_name", "region", "endpoint")
    return OSSStorage(**{name: keys[name] for name in names}, location="", part_size=200 * 1024, attempts=1)


def put_with(keys: dict[str, Any], sender: Sender, content: bytes) -> str:
    """Put the file of `sender` where it belongs; the object's name."""
    return keep(client_with(keys), content, keys["prefix"] + sender.file_id)


def complete(sender: Sender, **body: Any) -> Any:
    return sender.client.post(f"{sender.url}/complete", body)
