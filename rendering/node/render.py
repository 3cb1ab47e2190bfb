"""One attempt on a node: lay out, run, watch, check, deliver."""

import errno
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.utils.translation import gettext as _

from rendering import engines
from rendering.engines import Engine, Failure, Line, RenderSpec, engine_for, failures
from rendering.errors import LateResult
from rendering.models import Attempt
from rendering.node.cache import InputGone
from rendering.node.inputs import InputFolders, JobInputs
from rendering.node.landing import Landing
from rendering.node.log import AttemptLog
from rendering.node.outputs import OutputRefused, Picture
from rendering.node.patience import DATABASE_AWAY, patiently
from rendering.runner import End, Limits, Outcome, Places, run
from rendering.services import attempt_logs, attempts, news
from rendering.services.attempts import Usage

logger = logging.getLogger(__name__)
LOG_NAME = "log.txt"
ENGINE_SCRIPTS = Path(engines.__file__).parent
NEWS_SECONDS = 0.5
NO_ROOM_SIZE = 64 << 20  # bytes of a disk that is as good as full


class Interrupted(Exception):
    """The node stops, or is taken out of service: the attempt is given back."""


class FrameRun:
    """The run of one attempt: what its process says, and what is told of it."""

    def __init__(
        self, attempt: Attempt, engine: Engine, folder: Path, is_stopping: Callable[[], bool]
    ) -> None:
        self.attempt, self.job, self.engine, self.is_stopping = attempt, attempt.job, engine, is_stopping
        self.numbers = sorted(attempt.frames.values_list("number", flat=True))
        self.output, self.work = folder / "output", folder / "work"
        for part in (self.output, self.work):
            part.mkdir(parents=True)
        self.log = AttemptLog(folder / LOG_NAME)
        self.folder = folder
        self.progress, self.message = 0.0, ""
        self.told_progress, self.told_at = 0.0, 0.0
        self.places = Places({folder: "<work>"})
        self.error: tuple[str, str] | None = None
        self.seconds = self.loading_seconds = 0.0
        self.is_lost = False

    def spec(self, inputs: JobInputs) -> RenderSpec:
        return RenderSpec(
            scene=inputs.scene,
            frames=self.numbers,
            output_folder=self.output,
            project=inputs.root,
            version=self.job.engine_version or self.job.maya_version,
            camera=self.attempt.step.camera,
            layer=self.attempt.step.layer,
            width=self.job.width,
            height=self.job.height,
            output_format=self.job.output_format,
            renderer=self.job.renderer,
            # What the artist ignores is not there.
            allow_missing=self.job.allow_missing or None in self.job.asset_choices.values(),
            options=self.job.engine_options,
            remap={named: str(inputs.local(path)) for named, path in self.job.asset_paths.items()},
        )

    def check(self) -> None:
        """Raises LateResult once the attempt is over, Interrupted once it has to go back."""
        if self.is_lost:
            raise LateResult
        if self.is_stopping():
            raise Interrupted

    def renew(self) -> bool:
        """Renew the lease and show how far it is; False once the attempt is over."""
        try:
            self.is_lost = not attempts.renew(
                attempt_id=self.attempt.pk,
                progress=self.progress,
                message=self.message,
                log_tail=self.log.tail(),
            )
        except DATABASE_AWAY as error:
            # A database that is away for a moment is no reason to throw work away; the lease judges.
            logger.warning("attempt %s could not renew its lease: %s", self.attempt.pk, error)
            connection.close_if_unusable_or_obsolete()
        self.tell_progress()
        return not self.is_lost

    def tell_progress(self) -> None:
        """Report progress; of several reports within half a second, the last goes with the next heartbeat."""
        now = time.monotonic()
        if self.progress != self.told_progress and now - self.told_at >= NEWS_SECONDS:
            self.told_progress, self.told_at = self.progress, now
            news.tell_frame_progress(self.job, frame=self.numbers[0], percent=self.progress)

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

    def execute(self, spec: RenderSpec, landing: Landing) -> Outcome:
        """Run the engine until it ends or has to."""
        started = began = time.monotonic()
        self.places = self.places_for(spec)
        logger.info("attempt %s runs in %s", self.attempt.pk, self.folder)

        def on_line(line: str) -> None:
            nonlocal began
            self.log.write(self.places.plain(line))
            meaning = self.engine.read_line(line)
            if meaning is None:
                return
            if meaning.is_loaded:
                self.loading_seconds = time.monotonic() - started
            if meaning.frame is not None:
                now = time.monotonic()
                landing.finished(meaning.frame, now - began)
                began = now
            self.note(meaning)

        def keep_going() -> bool:
            landing.land_some()
            return self.renew() and not self.is_stopping()

        outcome = run(
            self.engine.render_command(spec, self.work),
            cwd=self.work,
            variables=self.engine.environment(spec, self.work),
            token=str(self.attempt.pk),
            on_line=on_line,
            limits=Limits(
                wall=settings.RENDER_FRAME_TIMEOUT_SECONDS * len(self.numbers),
                idle=settings.RENDER_IDLE_TIMEOUT_SECONDS,
                memory=self.attempt.memory_size or None,
            ),
            keep_going=keep_going,
            poll_seconds=settings.RENDER_HEARTBEAT_SECONDS,
        )
        self.seconds = time.monotonic() - started
        return outcome

    def places_for(self, spec: RenderSpec) -> Places:
        """What artists read instead of the folders of this machine; their own files as they lie in the drive."""
        names = {
            Path(settings.RENDER_NODE_FOLDER): "<node>",
            Path(settings.ENGINES_DIR): "<engines>",
            ENGINE_SCRIPTS: "<engines>",
            self.folder: "<work>",
            self.work: "<work>",
            self.output: "<output>",
        }
        return Places(names | ({spec.project: "/"} if spec.project else {}))

    def note(self, meaning: Line) -> None:
        if meaning.error:
            self.error = meaning.error
        self.message = self.places.plain(meaning.status) or self.message
        if meaning.progress is not None:
            self.progress = meaning.progress
            self.tell_progress()

    def hand_over(self, landing: Landing, outcome: Outcome) -> None:
        """Store what the run left and tell how it went. Raises LateResult, Interrupted, OSError."""
        failure = failure_of(outcome, self.engine, self.error)
        whole: list[Picture] = []
        blamed = landing.begun()
        if failure is None:
            try:
                whole = landing.rest()
            except OutputRefused as error:
                require_room(self.work)
                failure, blamed = error.failure, landing.left()
                whole = landing.whole(blamed)
        else:
            require_room(self.work)
            whole = landing.whole(landing.sound())
        self.log.flush()
        results, [log] = landing.stored(whole, self.log.path)
        usage = Usage(
            exit_code=outcome.exit_code,
            seconds=self.seconds,
            loading_seconds=self.loading_seconds,
            cpu_seconds=outcome.cpu_seconds,
            peak_memory_size=outcome.peak_memory_size,
            log_tail=self.log.tail(),
            log_blob=log,
        )
        attempt_id = self.attempt.pk
        if failure is None:
            ended = partial(attempts.succeed, attempt_id=attempt_id, results=results, usage=usage)
        else:
            ended = partial(
                attempts.fail,
                attempt_id=attempt_id,
                results=results,
                usage=usage,
                failure=replace(failure, message=self.places.plain(failure.message)),
                blamed=blamed,
            )
        patiently(ended, check=self.check)

    def give_up(self, failure: Failure) -> None:
        """End an attempt that did not come to a result: its frames must not wait for the lease."""
        end_badly(self.attempt, failure, Usage(log_tail=self.log.tail()))
        self.keep_log()

    def keep_log(self) -> None:
        """Keep the log of a run whose result nobody accepts: it may explain why."""
        try:
            self.log.flush()
            attempt_logs.keep(attempt_id=self.attempt.pk, path=self.log.path, tail=self.log.tail())
        except (*DATABASE_AWAY, OSError):
            logger.warning("the log of attempt %s is lost", self.attempt.pk, exc_info=True)


def end_badly(attempt: Attempt, failure: Failure, usage: Usage) -> None:
    try:
        patiently(lambda: attempts.fail(attempt_id=attempt.pk, failure=failure, usage=usage))
    except (LateResult, *DATABASE_AWAY):
        logger.warning("attempt %s is left to its lease", attempt.pk)


def fault_of_node() -> Failure:
    return Failure("node_fault", _("The render node had a fault of its own."))


def require_room(folder: Path) -> None:
    """Raises OSError where the disk is full: any program would fail here, while another node may render the frame."""
    if shutil.disk_usage(folder).free < NO_ROOM_SIZE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def failure_of(outcome: Outcome, engine: Engine, error: tuple[str, str] | None) -> Failure | None:
    """Why a run failed, or None where its program ended well."""
    if outcome.end is End.TIMEOUT:
        return Failure("timeout", _("The frame took longer than allowed."))
    if outcome.end is End.IDLE:
        return Failure("hung", _("The program said nothing for too long and was ended."))
    if outcome.end is End.MEMORY:
        return failures.named("out_of_memory", "", is_permanent=False)
    return engine.failure(outcome.exit_code, error) if outcome.exit_code else None


def render(attempt: Attempt, *, folder: Path, inputs: InputFolders, is_stopping: Callable[[], bool]) -> None:
    """Render an attempt in `folder` and deliver its result. Whatever goes wrong ends the attempt here.

    Errors that are neither the engine's nor the owner's are raised after that.
    """
    engine = engine_for(attempt.job.engine)
    assert engine is not None  # noqa: S101  (a claim names an engine this node has)
    try:
        this_run = FrameRun(attempt, engine, folder, is_stopping)
    except Exception:
        end_badly(attempt, fault_of_node(), Usage())
        raise
    try:
        with ExitStack() as held:
            with this_run.lease_kept():
                files = held.enter_context(inputs.of(attempt.job, check=this_run.check))
            spec = this_run.spec(files)
            landing = Landing(attempt, engine, spec, this_run.work, this_run.check)
            held.callback(landing.end)
            outcome = this_run.execute(spec, landing)
        if outcome.end is End.STOPPED:
            this_run.check()
            raise Interrupted
        with this_run.lease_kept():
            this_run.hand_over(landing, outcome)
    except Interrupted:
        patiently(lambda: attempts.give_back(attempt_id=attempt.pk))
        this_run.keep_log()
    except LateResult:
        logger.info("attempt %s was over before its result came", attempt.pk)
        this_run.keep_log()
    except InputGone:
        text = _("A file that the task needs is gone from the storage.")
        this_run.give_up(Failure("input_gone", text, is_permanent=True))
    except Exception:
        this_run.give_up(fault_of_node())
        raise
    finally:
        this_run.log.close()
