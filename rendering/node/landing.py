"""Frames of a run on their way to the drive: those of a long run land while it renders others."""

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from django.db import connection

from drives.models import Blob
from rendering.engines import Engine, RenderSpec
from rendering.errors import LateResult
from rendering.models import Attempt
from rendering.node.outputs import OutputRefused, Picture, check_outputs
from rendering.node.patience import patiently
from rendering.node.storing import store_files
from rendering.services import attempts
from rendering.services.attempts import FrameResult
from rendering.services.landing import Output

logger = logging.getLogger(__name__)


class Landing:
    """Checks, stores and hands over what a run has written. `check` is called all along and may raise."""

    def __init__(
        self, attempt: Attempt, engine: Engine, spec: RenderSpec, work: Path, check: Callable[[], None]
    ) -> None:
        self.attempt, self.engine, self.spec, self.work, self.check = attempt, engine, spec, work, check
        self.seconds: dict[int, float] = {}
        self.landed: set[int] = set()
        self.pool = ThreadPoolExecutor(1, thread_name_prefix=f"land-{attempt.pk}")
        self.under_way: Future[None] | None = None

    def finished(self, number: int, seconds: float) -> None:
        """The engine reports that a frame is complete, `seconds` after the one before."""
        if number in self.spec.frames:
            self.seconds[number] = seconds

    def land_some(self) -> None:
        """Begin to land the complete frames, unless these are all frames or some are still on their way."""
        if len(self.spec.frames) == 1 or (self.under_way and not self.under_way.done()):
            return
        new = self.seconds.keys() - self.landed
        if new and len(self.landed) + len(new) < len(self.spec.frames):
            self.under_way = self.pool.submit(self.land, sorted(new))

    def land(self, numbers: list[int]) -> None:
        try:
            results, _log = self.stored(self.whole(numbers))
            if results:
                patiently(
                    lambda: attempts.land_frames(attempt_id=self.attempt.pk, results=results),
                    check=self.check,
                )
                self.landed.update(result.number for result in results)
        except LateResult:
            pass
        except Exception:
            # What has not landed is looked at again at the end of the run.
            logger.warning("frames %s did not land while the run went on", numbers, exc_info=True)
        finally:
            connection.close()

    def end(self) -> None:
        """Wait for what is under way."""
        self.pool.shutdown(wait=True)

    def whole(self, numbers: Iterable[int]) -> list[Picture]:
        """The complete pictures of these frames; frames with an incomplete one are left out."""
        found = self.engine.outputs(self.spec)
        whole: list[Picture] = []
        for number in numbers:
            try:
                whole += self.checked(found, [number])
            except OutputRefused as error:
                logger.info("attempt %s: %s", self.attempt.pk, error)
        return whole

    def rest(self) -> list[Picture]:
        """The pictures of all frames that have not landed. Raises OutputRefused."""
        return self.checked(self.engine.outputs(self.spec), self.left())

    def sound(self) -> list[int]:
        """Of a run that failed, the frames that were whole before: its last is not, where no other can be to blame."""
        left = self.left()
        done = [number for number in self.seconds if number in left]
        return done if len(done) < len(left) else done[:-1]

    def begun(self) -> list[int]:
        """The frames of a failed run that may be to blame: all that the program had begun, as far as it tells."""
        ended = [number for number in self.spec.frames if number in self.seconds or number in self.landed]
        unfinished = [number for number in self.spec.frames if number not in ended]
        return ended + (unfinished[:1] if self.engine.tells_frames else unfinished)

    def left(self) -> list[int]:
        return [number for number in self.spec.frames if number not in self.landed]

    def checked(self, found: dict[int, list[Path]], numbers: Iterable[int]) -> list[Picture]:
        root = self.spec.output_folder
        return check_outputs(found, numbers, attempt=self.attempt, root=root, work=self.work)

    def stored(self, whole: list[Picture], *more: Path) -> tuple[list[FrameResult], list[Blob]]:
        """Results out of pictures, and the blobs of further files that are stored with them."""
        files = [file for picture in whole for file in (picture.path, picture.preview) if file]
        blobs = dict(zip([*more, *files], store_files([*more, *files], check=self.check), strict=True))
        results: dict[int, FrameResult] = {}
        for picture in whole:
            output = Output(
                picture.name,
                blobs[picture.path],
                blobs[picture.preview] if picture.preview else None,
                picture.width,
                picture.height,
                picture.layer,
                picture.is_flat,
            )
            empty = FrameResult(picture.frame, [], self.seconds.get(picture.frame))
            results.setdefault(picture.frame, empty).outputs.append(output)
        return list(results.values()), [blobs[path] for path in more]
