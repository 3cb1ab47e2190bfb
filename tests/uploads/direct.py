"""A client of tests that puts parts straight into the bucket."""

import os
from dataclasses import dataclass
from typing import Any

import httpx
from celery import current_app
from django.conf import settings as live_settings

from drives.storage.buckets import BucketStorage
from tests.conftest import Client
from tests.uploads.conftest import (
    Sender,
    announced,
    begin,
)


@dataclass
class DirectSender(Sender):
    """A client that puts the parts of one file into the bucket."""

    def ask(self, step: str, **body: Any) -> Any:
        return self.client.post(f"{self.url}/direct/{step}", body)

    def listed(self) -> Any:
        return self.client.get(f"{self.url}/direct/parts")

    def put_parts(self, content: bytes, *numbers: int, size: int | None = None) -> None:
        """Begin, and send these parts of `content`, or all of them."""
        begun = self.ask("init").json()
        chunk = begun["chunk_size"]
        wanted = list(numbers) or list(range(1, begun["total_chunks"] + 1))
        answer = self.ask("urls", part_numbers=wanted)
        assert answer.status_code == 200, answer.content
        for part in answer.json()["urls"]:
            start = (part["part_number"] - 1) * chunk
            data = content[start : start + (size or part["size"])]
            assert httpx.put(part["url"], content=data, headers=part["headers"]).status_code == 200


def direct(client: Client, content: bytes, path: str = "/scene.blend", **fields: Any) -> DirectSender:
    (sender,) = begin(client, announced(path, content, **fields))
    return DirectSender(client, sender.task_id, sender.file_id)


def content_for(storage: BucketStorage) -> bytes:
    """Bytes of three parts, the last one short."""
    return os.urandom(2 * storage.min_part_size + 100)


def taken_message() -> tuple[str, list[str]]:
    """Name and arguments of the next message that is about storage."""
    with current_app.connection() as connection:
        queue = connection.SimpleQueue(live_settings.CELERY_TASK_DEFAULT_QUEUE)
        while True:
            message = queue.get(timeout=20)
            message.ack()
            name = message.headers["task"]
            if name != "uploads.tasks.tell_progress":
                return name, message.payload[0]
