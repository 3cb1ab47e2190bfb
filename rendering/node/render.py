"""One attempt on a node: lay out, run, watch, check, deliver."""

import logging
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.utils.translation import gettext as _

from drives import pictures
from drives.services.blobs import store_file
from rendering.engines import Engine, Failure, RenderSpec, engine_for
from rendering.errors import LateResult
from rendering.models import Attempt, JobFile
from rendering.node.cache import BlobCache
from rendering.runner import End, Limits, Outcome, run
from rendering.services import attempts, news
from rendering.services.attempts import FrameResult, Output, Usage

T = TypeVar("T")
logger = logging.getLogger(__name__)
DELIVERY_SECONDS = 120
DATABASE_AWAY = (OperationalError, InterfaceError)
MAX_LOG_SIZE = 64 << 20  # characters; the program says how much it prints, the disk is ours
MAX_TAIL_SIZE = 50_000


class FrameRun:
    """The run of one attempt: what its process says, and what is told of it."""

    def __init__(self, attempt: Attempt, engine: Engine, folder: Path, cache: BlobCache) -> None:
        self.attempt, self.job, self.engine, self.folder, self.cache = (
            attempt,
            attempt.job,
            engine,
            folder,
            cache,
        )
        self.numbers = sorted(attempt.frames.values_list("number", flat=True))
        self.input, self.output, self.work = folder / "input", folder / "output", folder / "work"
        self.progress, self.message = 0.0, ""
        self.error: tuple[str, str] | None = None
        self.tail: deque[str] = deque(maxlen=attempts.LOG_TAIL_LINES)
        self.log_room = MAX_LOG_SIZE
        self.log_path = folder / "log.txt"
        self.is_lost = False

    def spec(self) -> RenderSpec:
        scene = JobFile.objects.get(job=self.job, is_scene=True)
        return RenderSpec(
            scene=self.local(scene.path),
            frames=self.numbers,
            output_folder=self.output,
            width=self.job.width,
            height=self.job.height,
            output_format=self.job.output_format,
            project=self.input,
            version=self.job.maya_version,
            renderer=self.job.renderer,
            # What the artist ignores is not there.
            allow_missing=self.job.allow_missing or None in self.job.asset_choices.values(),
            options=self.job.engine_options,
            remap={named: str(self.local(path)) for named, path in self.job.asset_paths.items()},
        )

    def local(self, path: str) -> Path:
        return self.input / path.lstrip("/")

    def lay_out(self) -> None:
        for part in (self.input, self.output, self.work):
            part.mkdir(parents=True)
        files = JobFile.objects.filter(job=self.job).select_related("blob")
        self.cache.lay_out(((file.path, file.blob) for file in files), self.input)

    def on_line(self, line: str) -> None:
        meaning = self.engine.read_line(line)
        self.tail.append(line)
        if self.log_room > 0:
            self.log_room -= self.log.write(line + "\n")
        if meaning is None:
            return
        if meaning.error:
            self.error = meaning.error
        self.message = meaning.status or self.message
        if meaning.progress is not None:
            self.progress = meaning.progress
            news.tell_frame_progress(self.job, frame=self.numbers[0], percent=self.progress)

    def log_tail(self) -> str:
        return "\n".join(self.tail)[-MAX_TAIL_SIZE:]

    def renew(self) -> bool:
        """Renew the lease; False once the attempt is over."""
        try:
            return attempts.renew(
                attempt_id=self.attempt.pk,
                progress=self.progress,
                message=self.message,
                log_tail=self.log_tail(),
            )
        except DATABASE_AWAY as error:
            # A database that is away for a moment is no reason to throw work away; the lease judges.
            logger.warning("attempt %s could not renew its lease: %s", self.attempt.pk, error)
            connection.close_if_unusable_or_obsolete()
            return True

    @contextmanager
    def lease_kept(self) -> Iterator[None]:
        """Renew the lease from another thread: fetching the scene and storing a result may take longer than it."""
        over = threading.Event()

        def renew() -> None:
            while not over.wait(settings.RENDER_LEASE.total_seconds() / 3) and self.renew():
                continue
            connection.close()

        thread = threading.Thread(target=renew, name=f"lease-{self.attempt.pk}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def execute(self, is_stopping: Callable[[], bool]) -> Outcome:
        """Run the engine until it ends, the attempt is over, or the node stops."""

        def keep_going() -> bool:
            self.log.flush()
            self.is_lost = not self.renew()
            return not self.is_lost and not is_stopping()

        limits = Limits(wall=settings.RENDER_FRAME_TIMEOUT_SECONDS, idle=settings.RENDER_IDLE_TIMEOUT_SECONDS)
        spec = self.spec()
        with self.log_path.open("w", encoding="utf-8") as self.log:
            return run(
                self.engine.render_command(spec, self.work),
                cwd=self.work,
                variables=self.engine.environment(spec, self.work),
                token=str(self.attempt.pk),
                on_line=self.on_line,
                limits=limits,
                keep_going=keep_going,
                poll_seconds=settings.RENDER_HEARTBEAT_SECONDS,
            )

    def usage(self, outcome: Outcome) -> Usage:
        return Usage(
            exit_code=outcome.exit_code,
            cpu_seconds=outcome.cpu_seconds,
            peak_memory_size=outcome.peak_memory_size,
            log_tail=self.log_tail(),
            log_blob=store_file(self.log_path),
        )

    def results(self) -> list[FrameResult]:
        """The checked pictures of all frames. Raises BrokenPicture."""
        found: list[FrameResult] = []
        left = self.engine.outputs(self.spec())
        for number in self.numbers:
            if number not in left:
                raise pictures.BrokenPicture(f"no picture of frame {number}")
            outputs: list[Output] = []
            for path in left[number]:
                image = pictures.check(path, width=self.job.width, height=self.job.height)
                preview = self.work / f"preview-{number}-{len(outputs)}.png"
                pictures.write_preview(image, preview)
                spec = image.spec()
                name = str(path.relative_to(self.output))
                outputs.append(Output(name, store_file(path), store_file(preview), spec.width, spec.height))
            found.append(FrameResult(number, outputs))
        return found


def failure_of(outcome: Outcome, engine: Engine, error: tuple[str, str] | None) -> Failure:
    if outcome.end is End.TIMEOUT:
        return Failure("timeout", _("The frame took longer than allowed."))
    if outcome.end is End.IDLE:
        return Failure("hung", _("The program said nothing for too long and was ended."))
    return engine.failure(outcome.exit_code, error)


def render(attempt: Attempt, *, folder: Path, cache: BlobCache, is_stopping: Callable[[], bool]) -> None:
    """Render an attempt in `folder`, which is removed afterwards, and deliver its result."""
    engine = engine_for(attempt.job.engine)
    assert engine is not None  # noqa: S101  (a claim names an engine this node has)
    this_run = FrameRun(attempt, engine, folder, cache)
    try:
        with this_run.lease_kept():
            this_run.lay_out()
        outcome = this_run.execute(is_stopping)
        if outcome.end is End.STOPPED:
            if not this_run.is_lost:
                deliver(lambda: attempts.give_back(attempt_id=attempt.pk))
            return
        with this_run.lease_kept():
            hand_over(this_run, outcome)
    except LateResult:
        logger.info("attempt %s was over before its result came", attempt.pk)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def hand_over(this_run: FrameRun, outcome: Outcome) -> None:
    """Store what a run left and tell how it went. Raises LateResult."""
    attempt_id = this_run.attempt.pk
    usage = deliver(lambda: this_run.usage(outcome))
    if outcome.end is not End.EXITED or outcome.exit_code != 0:
        failure = failure_of(outcome, this_run.engine, this_run.error)
        deliver(lambda: attempts.fail(attempt_id=attempt_id, failure=failure, usage=usage))
        return
    try:
        results = deliver(this_run.results)
    except pictures.BrokenPicture as error:
        broken = Failure("broken_output", str(error))
        deliver(lambda: attempts.fail(attempt_id=attempt_id, failure=broken, usage=usage))
    else:
        deliver(lambda: attempts.succeed(attempt_id=attempt_id, results=results, usage=usage))


def deliver(call: Callable[[], T]) -> T:
    """Hand over a result, patiently while the database is away: hours of work are not dropped for a moment."""
    deadline = time.monotonic() + DELIVERY_SECONDS
    while True:
        try:
            return call()
        except DATABASE_AWAY as error:
            if time.monotonic() > deadline:
                raise
            logger.warning("the result could not be delivered, trying again: %s", error)
            # Django opens a new connection only where the broken one was closed.
            connection.close_if_unusable_or_obsolete()
            time.sleep(1)
