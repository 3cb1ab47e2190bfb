"""Pictures of users: each is checked and redrawn, so that nothing of the uploaded file is ever served."""

import logging
import secrets
import threading
from functools import partial
from io import BytesIO
from typing import BinaryIO

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone
from PIL import Image, ImageOps

from accounts.errors import ImageInvalid
from accounts.models import AuditEvent, User
from accounts.services import audit
from common.errors import ServiceUnavailable, TooLarge

logger = logging.getLogger(__name__)
MAX_SIZE = 5 * 2**20
MAX_PIXELS = 40_000_000
MAX_SIDE = 12_000
SIDE = 256
FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
# A picture of MAX_PIXELS takes some 200 MB while it is read: one at a time in each process.
one_at_a_time = threading.Lock()
PATIENCE = 10  # seconds


def set_avatar(*, user: User, file: BinaryIO, size: int) -> User:
    """Store the picture as 256 × 256 WebP under a name nobody can guess, in place of the one before.

    Raises TooLarge (5 MiB), ImageInvalid, ServiceUnavailable.
    """
    if size > MAX_SIZE:
        raise TooLarge(max_size=MAX_SIZE)
    if not one_at_a_time.acquire(timeout=PATIENCE):
        raise ServiceUnavailable(retry_after=PATIENCE)
    try:
        picture = redraw(file)
    finally:
        one_at_a_time.release()
    name = default_storage.save(f"avatars/{secrets.token_hex(16)}.webp", ContentFile(picture))
    try:
        return replace(user, name)
    except BaseException:
        default_storage.delete(name)
        raise


def remove_avatar(*, user: User, actor: User | None = None) -> User:
    """Take the picture away; without one nothing happens."""
    return replace(user, "", actor=actor)


def redraw(file: BinaryIO) -> bytes:
    """The picture in `file`, its first frame, upright, cut to a square, without metadata, as WebP.

    The sides stand in the header and are looked at before a single pixel is read. Raises ImageInvalid.
    """
    try:
        with Image.open(file, formats=FORMATS) as image:
            if max(image.size) > MAX_SIDE or image.width * image.height > MAX_PIXELS:
                raise ImageInvalid(field="avatar")
            # JPEG can be read at an eighth of its sides at once; others ignore it.
            image.draft("RGB", (2 * SIDE, 2 * SIDE))
            image.load()
            return drawn(image)
    except ImageInvalid:
        raise
    except Exception as error:  # broken data leads Pillow's readers to errors of every kind
        raise ImageInvalid(field="avatar") from error


def drawn(image: Image.Image) -> bytes:
    if image.mode not in ("RGB", "RGBA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    # The square in the middle stays in the middle however it is turned, so the small picture is turned.
    square = ImageOps.exif_transpose(ImageOps.fit(image, (SIDE, SIDE), Image.Resampling.LANCZOS))
    square.info = {}
    buffer = BytesIO()
    square.save(buffer, "WEBP", quality=85)
    return buffer.getvalue()


def replace(user: User, name: str, *, actor: User | None = None) -> User:
    """Give the user the stored file `name` (none when empty); the one before goes once that is certain."""
    with transaction.atomic():
        mine = User.objects.select_for_update(of=("self",)).get(pk=user.pk)
        before = mine.avatar.name
        if before == name:
            return mine
        User.objects.filter(pk=mine.pk).update(avatar=name, updated_at=timezone.now())
        audit.record(
            AuditEvent.Action.PROFILE_CHANGED,
            user=mine,
            actor=actor or mine,
            target=mine,
            before={"avatar": before},
            after={"avatar": name},
        )
        if before:
            transaction.on_commit(partial(discard, before))
    mine.refresh_from_db()
    return mine


def discard(name: str) -> None:
    """Delete a file that nothing points to any more. One that remains costs a few kilobytes, but not the caller's
    work.
    """
    try:
        default_storage.delete(name)
    except OSError:
        logger.warning("%s was not deleted", name, exc_info=True)
