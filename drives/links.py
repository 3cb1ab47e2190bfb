"""Signed, short-lived links to blobs and archives, for browsers and download managers, which send no token."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.http import HttpRequest
from django.utils import timezone

from common.ids import as_uuid
from drives.errors import LinkInvalid
from drives.models import Archive

SALT = "drives.blob-link"
ZIP_SALT = "drives.zip-link"
MIN_SECONDS, MAX_SECONDS = 60, 86400


def link_to(
    blob_id: UUID,
    name: str,
    *,
    request: HttpRequest | None,
    seconds: int | None = None,
    inline: bool = False,
    share_id: UUID | None = None,
    drive_id: UUID | None = None,
) -> str:
    """A URL that serves the blob under `name` until it expires; relative to PUBLIC_URL or the request's host.

    The signature covers the name, too. With `share_id` the link ends when that share does; with `drive_id` its
    downloads count as traffic of that drive.
    """
    life = min(max(seconds or settings.DOWNLOAD_LINK_SECONDS, MIN_SECONDS), MAX_SECONDS)
    claims = {"b": blob_id.hex, "e": int(timezone.now().timestamp()) + life, "i": int(inline)}
    if share_id:
        claims["s"] = share_id.hex
    if drive_id:
        claims["d"] = drive_id.hex
    token = signer(name).sign_object(claims)
    return address(f"/blobs/{token}/{quote(name, safe='')}", request)


def address(path: str, request: HttpRequest | None) -> str:
    """The full URL of one of our paths; relative to PUBLIC_URL or the request's host."""
    if settings.PUBLIC_URL or request is None:
        return settings.PUBLIC_URL.rstrip("/") + path
    return request.build_absolute_uri(path)


def signer(name: str, salt: str = SALT) -> signing.Signer:
    return signing.Signer(salt=f"{salt}:{name}")


def link_to_zip(archive: Archive, name: str, *, request: HttpRequest | None) -> str:
    """A URL that serves the archive under `name` as long as the archive is kept."""
    token = signer(name, ZIP_SALT).sign(archive.pk.hex)
    return address(f"/zips/{token}/{quote(name, safe='')}", request)


def read_zip_link(token: str, name: str) -> UUID:
    """The id of the archive behind a link. Raises LinkInvalid."""
    try:
        archive_id = as_uuid(signer(name, ZIP_SALT).unsign(token))
    except signing.BadSignature as error:
        raise LinkInvalid from error
    if archive_id is None:
        raise LinkInvalid
    return archive_id


@dataclass(frozen=True)
class Link:
    """The content of a link: the blob, whether to show it inline, for how many seconds it is still valid, the share
    it comes from, and the drive whose traffic it is.
    """

    blob_id: UUID
    inline: bool
    seconds: int
    share_id: UUID | None
    drive_id: UUID | None


def read_link(token: str, name: str) -> Link:
    """Raises LinkInvalid."""
    try:
        claims: dict[str, Any] = signer(name).unsign_object(token)
    except (signing.BadSignature, json.JSONDecodeError, ValueError) as error:
        raise LinkInvalid from error
    blob_id = as_uuid(claims["b"])
    seconds = int(claims["e"] - timezone.now().timestamp())
    if blob_id is None or claims["e"] < timezone.now().timestamp():
        raise LinkInvalid
    return Link(
        blob_id, bool(claims["i"]), max(seconds, 1), as_uuid(claims.get("s")), as_uuid(claims.get("d"))
    )
