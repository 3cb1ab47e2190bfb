"""Files of accounts: what is accepted, where it is stored, how it is read."""

import hashlib
import logging
from collections.abc import Collection
from pathlib import PurePath

from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.files.uploadedfile import UploadedFile
from PIL import Image

from accounts.models import User
from billing.errors import DocumentRefused
from billing.models import Document
from common.errors import TooLarge
from common.ids import new_id

logger = logging.getLogger(__name__)
MAX_SIZE = 5 * 2**20
PDF = "application/pdf"
PICTURES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
KINDS = frozenset({PDF, *PICTURES.values()})


def store_document(*, file: UploadedFile, uploaded_by: User, kinds: Collection[str] = KINDS) -> Document:
    """Keep a PDF or a picture of at most MAX_SIZE bytes, of one of `kinds`; what it is, its content says.

    Never in a transaction: bytes are stored first, and taken back where the row cannot be written. Raises TooLarge,
    DocumentRefused.
    """
    if (file.size or 0) > MAX_SIZE:
        raise TooLarge(max_size=MAX_SIZE)
    content = file.read()
    kind = kind_of(file, content)
    if kind not in kinds:
        raise DocumentRefused
    key = f"{new_id().hex}{PurePath(file.name or '').suffix.lower()[:8]}"
    storage = storages["documents"]
    storage.save(key, ContentFile(content))
    try:
        return Document.objects.create(
            name=(file.name or key)[-200:],
            content_type=kind,
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            storage_key=key,
            uploaded_by=uploaded_by,
        )
    except BaseException:
        storage.delete(key)
        raise


def kind_of(file: UploadedFile, content: bytes) -> str:
    """The kind of file by its content; empty for anything else than a PDF or a picture."""
    if content.startswith(b"%PDF-"):
        return PDF
    try:
        file.seek(0)
        with Image.open(file, formats=tuple(PICTURES)) as image:
            image.verify()
            return PICTURES[image.format or ""]
    except Exception:  # broken data leads Pillow's readers to errors of every kind
        return ""


def content_of(document: Document) -> bytes:
    """The bytes. Raises OSError where the storage has lost them, or something else lies there."""
    with storages["documents"].open(document.storage_key) as file:
        content: bytes = file.read()
    if hashlib.sha256(content).hexdigest() != document.sha256:
        raise OSError(f"document {document.pk} is not what was stored")
    return content


def discard_document(document: Document) -> None:
    """Delete a document that nothing refers to. If its bytes remain, that costs only their space."""
    key = document.storage_key
    document.delete()
    try:
        storages["documents"].delete(key)
    except OSError:
        logger.warning("%s was not deleted", key, exc_info=True)
