"""Signed, short-lived links to archives, for browsers, which send no token."""

import json
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote
from uuid import UUID

from django.core import signing
from django.http import HttpRequest
from django.utils import timezone

from common.ids import as_uuid
from drives.errors import LinkInvalid
from drives.links import address, signer

SALT = "uploads.archive-link"


@dataclass(frozen=True)
class ArchiveLink:
    """An address that serves everything of an upload task under `name`; the signature covers the name, too.

    `etag` is that of the archive when the link was made, or empty where it could not be told yet.
    """

    task_id: UUID
    archive_id: UUID
    name: str
    etag: str
    expires_at: datetime

    def url(self, request: HttpRequest) -> str:
        """The address; relative to PUBLIC_URL or the request's host."""
        claims = {
            "t": self.task_id.hex,
            "a": self.archive_id.hex,
            "v": self.etag,
            "e": int(self.expires_at.timestamp()),
        }
        token = signer(self.name, SALT).sign_object(claims)
        return address(f"/archives/{token}/{quote(self.name, safe='')}", request)


def read_archive_link(token: str, name: str) -> tuple[UUID, str]:
    """The id of the task behind a link, and the ETag that it was made with. Raises LinkInvalid."""
    try:
        claims = signer(name, SALT).unsign_object(token)
    except (signing.BadSignature, json.JSONDecodeError, ValueError) as error:
        raise LinkInvalid from error
    task_id = as_uuid(claims["t"])
    if task_id is None or claims["e"] < timezone.now().timestamp():
        raise LinkInvalid
    return task_id, claims["v"]
