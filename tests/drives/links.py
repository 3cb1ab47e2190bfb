"""Share links in tests: made and opened through the doors."""

from typing import Any
from urllib.parse import urlsplit

from django.test import Client as Browser

from tests.conftest import Client
from tests.drives.manager import post

PNG = b"\x89PNG\r\n\x1a\n not much of a picture"


def share(api: Client, entry_id: str, code: int = 201, **body: Any) -> Any:
    return post(api, "/shares", code, entry_id=entry_id, **body)


def token_in(answer: Any) -> str:
    return str(answer["url"].rpartition("/s/")[2])


def open_share(api: Client, entry_id: str, **body: Any) -> str:
    """The address of the API's doors of a new link."""
    return f"/shared/{token_in(share(api, entry_id, **body))}"


def fetch(url: str) -> bytes:
    answer = Browser().get(urlsplit(url).path)
    assert answer.status_code == 200
    return b"".join(answer.streaming_content)  # type: ignore[attr-defined]


def refused(answer: Any, code: int, slug: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (code, slug), answer.content
