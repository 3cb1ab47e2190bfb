"""Frames of nothing from submit to the last result, and messages that do nothing. Needs Django set up.

A frame of nothing is all of a frame but its rendering: claimed, its scene laid out, a process of the simulated engine
run, its picture read and kept with a preview, a file in the drive, a row of the result, events, and at the end a bill.
"""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from celery import current_app
from django.utils import timezone

from accounts.models import User
from benchmarks.rendering.corpus import ENGINE
from billing.models import PriceRule
from billing.services.credits import credit
from common.ids import new_id
from drives.models import File
from drives.services.blobs import store_chunks
from drives.services.drives import default_drive
from drives.services.tree import NewFile, put_files
from rendering.models import Attempt, RenderJob, RenderNode, SceneReport
from rendering.services.creating import NewJob, create_job
from rendering.services.reports import inspect
from rendering.services.submitting import submit_job

REPOSITORY = Path(__file__).resolve().parents[2]
NODES, SLOTS = 2, 2
WIDTH, HEIGHT = 16, 9


@contextmanager
def processes(commands: list[list[str]], logs: Path) -> Iterator[None]:
    """Processes of this run, ended with it."""
    logs.mkdir(parents=True, exist_ok=True)
    started = []
    try:
        for number, command in enumerate(commands):
            with (logs / f"bench-{number}.log").open("w") as log:
                started.append(
                    subprocess.Popen(
                        [sys.executable, *command], cwd=REPOSITORY, stdout=log, stderr=subprocess.STDOUT,
                        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
                    )
                )  # fmt: skip
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(30)


def until(condition: Callable[[], Any], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.01)


def raw_rate(count: int, logs: Path) -> float:
    """Tasks a second, from the first message sent to the last task done, with as many workers and threads as nodes."""
    from benchmarks.rendering import noop

    worker = "-m celery -A benchmarks.rendering.noop worker --pool threads --without-gossip --without-mingle -l WARNING"
    commands = [[*worker.split(), "-c", str(SLOTS), "-n", f"noop-{each}@%h"] for each in range(NODES)]
    with processes(commands, logs / "noop"):

        def run(tasks: int) -> float:
            noop.counter.set(noop.DONE, 0)
            begun = time.perf_counter()
            for _task in range(tasks):
                noop.nothing.delay()
            until(lambda: int(noop.counter.get(noop.DONE) or 0) >= tasks, 120, "no-op tasks")
            return tasks / (time.perf_counter() - begun)

        run(200)
        return run(count)


@contextmanager
def farm(logs: Path) -> Iterator[None]:
    """Two nodes and the worker that takes what is submitted."""
    worker = (
        "-m celery -A config worker --pool threads -c 4 -Q default,preflight,previews -n worker@%h -l WARNING"
    )
    beat = "-m celery -A config beat --scheduler django_celery_beat.schedulers:DatabaseScheduler --pidfile= -l WARNING"
    nodes = [
        ["manage.py", "render_node", "--name", f"bench-{each}", "--slots", str(SLOTS)]
        for each in range(NODES)
    ]
    RenderNode.objects.all().delete()
    with processes([worker.split(), beat.split(), *nodes], logs / "farm"):
        until(lambda: RenderNode.objects.living().count() == NODES, 60, "the nodes register")
        time.sleep(2)  # connected to the broker
        yield


def studio() -> tuple[User, File]:
    """Somebody with money, no limit, and a scene that has been read."""
    # What a client would not see of a task is said to nobody here.
    logging.disable(logging.INFO)
    user = User.objects.create(username=f"studio-{new_id().hex[-12:]}", member_level=3)
    PriceRule.objects.get_or_create(
        engine=ENGINE, defaults={"price": Decimal("0.01"), "valid_from": timezone.now()}
    )
    credit(user=user, amount=Decimal(100_000), key=f"bench-{user.pk}", reason="bench")
    drive = default_drive(user=user)
    [file] = put_files(
        drive=drive, actor=user, new_files=[NewFile(None, "nothing.sim", store_chunks([b"nothing"]))]
    )
    return user, file


def submit(user: User, scene: File, frames: int, chunk: int | None) -> RenderJob:
    new = NewJob(
        task_name="nothing",
        scene_file_id=scene.pk,
        engine=ENGINE,
        engine_options={"seconds": 0},
        frames=f"1-{frames}",
        chunk_size=chunk,
        width=WIDTH,
        height=HEIGHT,
    )
    job = create_job(user=user, new=new)
    report = SceneReport.objects.filter(blob=scene.blob, engine=ENGINE).get()
    if report.status == SceneReport.Status.PENDING:
        inspect(report_id=report.pk)
    return submit_job(job=job)


def frame_rate(user: User, scene: File, frames: int, chunk: int | None) -> float:
    """Frames a second from submit to the job's end, by so many an attempt or as many as the farm chooses."""
    begun = time.perf_counter()
    job = submit(user, scene, frames, chunk)

    def is_over() -> bool:
        job.refresh_from_db(fields=["status"])
        return job.status in RenderJob.FINAL_STATUSES

    until(is_over, 300, f"{frames} frames by {chunk}")
    if job.status != RenderJob.Status.COMPLETED:
        raise SystemExit(f"the job is {job.status_name}")
    return frames / (time.perf_counter() - begun)


def is_idle() -> bool:
    """Whether nothing waits for the worker, twice in a second: what came before is through."""
    with current_app.connection_for_read() as broker:
        channel: Any = broker.default_channel
        for _look in range(2):
            time.sleep(0.5)
            if any(
                channel.queue_declare(name).message_count for name in ("default", "preflight", "previews")
            ):
                return False
    return True


def first_frame_seconds(user: User, scene: File) -> float:
    """From submit to the first frame running, on a farm that has done what it had to do."""
    until(is_idle, 60, "the worker is idle")
    begun = time.time()
    job = submit(user, scene, 1, 1)
    until(lambda: Attempt.objects.filter(job=job).exists(), 60, "the first frame")
    seconds = Attempt.objects.get(job=job).created_at.timestamp() - begun
    until(lambda: RenderJob.objects.filter(pk=job.pk, status=5).exists(), 60, "the only frame")
    return seconds
