"""Signed, short-lived links to archives, for browsers that send no token."""

import json
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.http import HttpRequest
from django.utils import timezone

from common.ids import as_uuid
from drives.errors import LinkInvalid

SALT = "uploads.archive-link"


@dataclass(frozen=True)
class ArchiveLink:
    """An address that serves everything of an upload task under `name`; the signature covers the name, too."""

    task_id: UUID
    archive_id: UUID
    name: str
    expires_at: datetime

    def url(self, request: HttpRequest) -> str:
        """The address; relative to PUBLIC_URL or the request's host."""
        claims = {
            "t": self.task_id.hex,
            "a": self.archive_id.hex,
            "e": int(self.expires_at.timestamp()),
        }
        path = f"/archives/{signer(self.name).sign_object(claims)}/{quote(self.name, safe='')}"
        if settings.PUBLIC_URL:
            return settings.PUBLIC_URL.rstrip("/") + path
        return request.build_absolute_uri(path)


def signer(name: str) -> signing.Signer:
    return signing.Signer(salt=f"{SALT}:{name}")


def task_of_link(token: str, name: str) -> UUID:
    """The id of the task behind a link. Raises LinkInvalid."""
    try:
        claims = signer(name).unsign_object(token)
    except (signing.BadSignature, json.JSONDecodeError, ValueError) as error:
        raise LinkInvalid from error
    task_id = as_uuid(claims["t"])
    if task_id is None or claims["e"] < timezone.now().timestamp():
        raise LinkInvalid
    return task_id
