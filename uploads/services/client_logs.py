"""Logs that clients send for support."""

from datetime import UTC, datetime

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from common.errors import Conflict, TooLarge
from common.limits import take
from drives.paths import clean_name
from drives.services.blobs import store_chunks
from drives.storage import blob_storage
from uploads.models import ClientLog

MAX_SIZE = 5 * 2**20
KEPT = 50
"""Logs that are kept of each user; the oldest are deleted first."""


def store_log(*, user: User, file_name: str, content: bytes, now: datetime) -> ClientLog:
    """Keep a log under its name and the time of day (UTC). Raises RateLimited, BadName, TooLarge."""
    take(("client_log", str(user.pk), settings.CLIENT_LOG_LIMIT))
    name = clean_name(file_name)
    if len(content) > MAX_SIZE:
        raise TooLarge(_("A log holds at most %(limit)s bytes."), limit=MAX_SIZE)
    moment = now.astimezone(UTC)
    blob = store_chunks([content])
    log = None
    for number in range(1, 10):
        stored = ClientLog(
            user=user,
            log_date=moment.date(),
            file_name=stamped(name, moment, number),
            blob=blob,
            size=len(content),
        )
        try:
            with transaction.atomic():
                stored.save(force_insert=True)
        except IntegrityError:
            continue  # another one of this name in the same second
        log = stored
        break
    if log is None:
        raise Conflict
    older = ClientLog.objects.filter(user=user).order_by("-created_at", "-pk").values("pk")[KEPT:]
    ClientLog.objects.filter(pk__in=list(older.values_list("pk", flat=True))).delete()
    return log


def stamped(name: str, moment: datetime, number: int) -> str:
    """`name` with the time of day before its ending, and a number from the second of the same name on; at most 255
    bytes.
    """
    stem, dot, ending = name.rpartition(".")
    if not stem:
        stem, dot, ending = name, "", ""
    tail = f"_{moment:%H%M%S}" + (f"_{number}" if number > 1 else "") + f"{dot}{ending}"[:20]
    room = 255 - len(tail.encode())
    return stem.encode()[:room].decode(errors="ignore") + tail


def content_of(log: ClientLog) -> bytes:
    """The log itself, at most 5 MiB."""
    with blob_storage().open_blob(log.blob.storage_key) as file:
        return file.read()


def path_of(log: ClientLog) -> str:
    """The place of the log, as the client is told; not a path on this server."""
    return f"{log.log_date}/{log.file_name}"
