"""What was downloaded from drives, in bytes that went out whole; docs/billing.md says what is counted and what is not.

An answer counts when its last byte was handed to the connection. One that breaks off does not, a 304, a 416 and the
answer to a HEAD have no bytes, a range counts as the range: nobody is charged for more than they got. What nginx or a
bucket hands out is not seen here, and not counted.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import BinaryIO, cast
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from redis import RedisError

from common.realtime import connection
from drives.models import Drive, TrafficSample
from drives.storage.base import StorageError

logger = logging.getLogger(__name__)
KEPT_DAYS = 40
"""How long Redis keeps the counters of a day, which `sample_traffic` writes down."""


def key_of(day: date) -> str:
    return f"{settings.REDIS_PREFIX}:traffic:{day.isoformat()}"


def count_traffic(drive_id: UUID, size: int) -> None:
    """Add `size` bytes to what was downloaded from the drive today (UTC). What cannot be counted is not charged."""
    key = key_of(timezone.now().astimezone(UTC).date())
    try:
        pipe = connection().pipeline()
        pipe.hincrby(key, drive_id.hex, size)
        pipe.expire(key, timedelta(days=KEPT_DAYS))
        pipe.execute()
    except RedisError:
        logger.warning("%s bytes of drive %s were not counted", size, drive_id, exc_info=True)


def counted(blocks: Iterator[bytes], drive_id: UUID | None, size: int) -> Iterator[bytes]:
    """The same blocks; counted for the drive, where there is one, once all `size` bytes were taken."""
    left = size
    for block in blocks:
        yield block
        left -= len(block)
    if drive_id and not left:
        count_traffic(drive_id, size)


class CountedFile:
    """The bytes of an open file from where it stands, `start`, up to `stop`; counted for the drive, where there is one,
    once all of them have gone.

    A server reads them, or has the kernel send them (`socket.sendfile`, which seeks behind what it has sent). Where the
    file has lost its end that raises StorageError: gunicorn closes the connection then, on which a client that keeps it
    would wait for the rest.
    """

    def __init__(self, file: BinaryIO, drive_id: UUID | None, start: int, stop: int) -> None:
        self.file, self.drive_id, self.position, self.stop = file, drive_id, start, stop
        self.size = stop - start
        self.fileno, self.close = file.fileno, file.close

    def read(self, size: int) -> bytes:
        block = self.file.read(min(size, self.stop - self.position))
        if not block:  # so what came before has been sent
            if self.position < self.stop:
                raise self.cut_short(self.position)
            self.seek(self.position)
        self.position += len(block)
        return block

    def seek(self, position: int) -> None:
        """Note that what lies before has been sent."""
        self.position = position
        if position < self.stop and position >= os.fstat(self.file.fileno()).st_size:
            raise self.cut_short(position)
        if self.drive_id and position == self.stop:
            count_traffic(self.drive_id, self.size)

    def cut_short(self, position: int) -> StorageError:
        return StorageError(f"{self.file!r} ends at byte {position}, not {self.stop}.")

    def seekable(self) -> bool:
        """Not for Django, which would look for its end."""
        return False


async def counted_async(
    blocks: AsyncIterator[bytes], drive_id: UUID | None, size: int
) -> AsyncIterator[bytes]:
    left = size
    async for block in blocks:
        yield block
        left -= len(block)
    if drive_id and not left:
        await asyncio.to_thread(count_traffic, drive_id, size)


def sample_traffic(*, now: datetime, days: int) -> int:
    """Write the counters of the last `days` days (UTC) that are over down, each once; how many drives and days."""
    today, written = now.astimezone(UTC).date(), 0
    for number in range(1, days + 1):
        day = today - timedelta(days=number)
        counters = cast(dict[bytes, bytes], connection().hgetall(key_of(day)))
        sizes = {UUID(drive.decode()): int(size) for drive, size in counters.items()}
        known = set(TrafficSample.objects.filter(sample_date=day).values_list("drive", flat=True))
        there = Drive.objects.filter(pk__in=sizes.keys() - known).values_list("pk", flat=True)
        rows = [TrafficSample(drive_id=pk, sample_date=day, size=sizes[pk]) for pk in there]
        TrafficSample.objects.bulk_create(rows, ignore_conflicts=True, batch_size=1000)
        written += len(rows)
    return written
