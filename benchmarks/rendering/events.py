"""A job whose frames end in a burst: what its owner is told. Needs Django set up."""

import json
import multiprocessing
import time
from dataclasses import dataclass
from typing import Any

from django.db import connection

from benchmarks.rendering import corpus
from benchmarks.rendering.corpus import Size
from common import realtime
from rendering.models import RenderJob
from rendering.services import news

TELLERS = 4


@dataclass(frozen=True)
class Burst:
    """Frames told in so many seconds; events that left, of progress and of the log; whether the last told the end."""

    frames: int
    seconds: float
    progress: int
    log: int
    is_whole: bool


def burst(frames: int, seconds: float) -> Burst:
    """`frames` frames of one job end within `seconds`, told by several processes."""
    corpus.fill(Size(1, 1, frames))
    job = RenderJob.objects.select_related("user").get()
    realtime.connection().delete(realtime.stream_of(job.user_id))
    connection.close()
    began = time.monotonic()
    context = multiprocessing.get_context("fork")
    share = frames // TELLERS
    tellers = [context.Process(target=tell, args=(job, share, seconds)) for _teller in range(TELLERS)]
    for teller in tellers:
        teller.start()
    for teller in tellers:
        teller.join()
    gone = time.monotonic() - began
    entries: Any = realtime.connection().xrange(realtime.stream_of(job.user_id))
    events = [json.loads(fields[b"event"]) for _revision, fields in entries]
    progress = [event["data"] for event in events if event["event"] == "task:progress"]
    lines = [event["data"]["count"] for event in events if event["event"] == "task:log"]
    is_whole = progress[-1]["done_frames"] == share * TELLERS and sum(lines) == share * TELLERS
    return Burst(share * TELLERS, gone, len(progress), len(lines), is_whole)


def tell(job: RenderJob, frames: int, seconds: float) -> None:
    realtime.connection.cache_clear()
    began = time.monotonic()
    for number in range(frames):
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE rendering_renderjob SET done_frames = done_frames + 1 WHERE id = %s", [job.pk]
            )
        news.tell_progress(job, frame=number)
        news.log_frames(job, [news.Line(f"frame {number}")])
        time.sleep(max(0, began + seconds * (number + 1) / frames - time.monotonic()))
    # The last word waits for its turn.
    time.sleep(1.5)
