"""What a job left as a whole: a sheet of its frames, a film of them, one ZIP. Drawn beside the nodes, at its end."""

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil, sqrt
from pathlib import Path
from shutil import which
from threading import Timer
from typing import Any, TypeVar
from uuid import UUID

from django.db import transaction
from django.db.models import Case, Count, IntegerField, Q, Sum, Value, When
from PIL import Image, ImageDraw, ImageFont

from accounts.models import User
from common.realtime import end_turn, take_turn
from drives.models import Archive, Drive, File, Folder
from drives.services.archives import keep_archive, zip_of
from drives.services.blobs import store_file
from drives.storage import blob_storage
from drives.zips import Zip
from rendering import messages
from rendering.models import Frame, FrameOutput, JobFile, RenderJob, RenderStep, SceneReport
from rendering.services import news

Item = TypeVar("Item")
DRAWING_SECONDS = 900
"""After so long whoever looks has the sheet and the film of a job made anew."""
FORGOTTEN = timedelta(days=1)
MAX_CELLS = 120
MAX_COLUMNS = 12
SHEET_WIDTH = 1920
CELL_WIDTH = 480
LABEL_HEIGHT = 20
GROUND, BEHIND, INK = (24, 24, 24), (48, 48, 48), (200, 200, 200)
MAX_FILM_FRAMES = 20_000
FILM_SECONDS = 600
"""How long a film may be in the making."""
DEFAULT_FPS = 24.0


@dataclass(frozen=True)
class Shown:
    """A rendered frame and where its preview is stored."""

    step: str
    number: int
    storage_key: str

    def picture(self) -> Image.Image:
        """Raises FileNotFoundError, StorageError."""
        with blob_storage().open_blob(self.storage_key) as file, Image.open(file) as image:
            return image.convert("RGBA")


# --- When -------------------------------------------------------------------------------------------------------


def ask_drawing(job_id: UUID) -> None:
    """Have sheet and film of a job drawn once the transaction at hand is committed, unless that is under way."""

    def ask() -> None:
        if take_turn(turn_of(job_id), DRAWING_SECONDS):
            messages.send("draw_results", str(job_id))

    transaction.on_commit(ask, robust=True)


def turn_of(job_id: UUID) -> str:
    return f"results:{job_id}"


def undrawn_jobs(now: datetime) -> list[UUID]:
    """Jobs that have ended lately with frames, and of which nobody has drawn a sheet."""
    ended = RenderJob.objects.filter(
        status__in=RenderJob.FINAL_STATUSES, completed_at__gt=now - FORGOTTEN, done_frames__gt=0
    )
    return list(
        ended.filter(contact_sheet__isnull=True).order_by("completed_at").values_list("pk", flat=True)[:100]
    )


def draw_results(*, job_id: UUID) -> None:
    """Draw the sheet and the film of a job that is over. Twice does no harm. Raises StorageError."""
    job = RenderJob.objects.filter(pk=job_id, status__in=RenderJob.FINAL_STATUSES).first()
    found = shown_frames(job) if job else []
    if job is None or not found:
        return
    with tempfile.TemporaryDirectory(prefix="results-") as folder:
        sheet = Path(folder) / "sheet.jpg"
        draw_sheet(found).save(sheet, quality=85)
        # Of a job that went on meanwhile it would be the sheet of an earlier end; `undrawn_jobs` finds its last.
        same_end = RenderJob.objects.filter(pk=job.pk, completed_at=job.completed_at)
        is_current = same_end.update(contact_sheet=store_file(sheet))
        film = Path(folder) / "film.mp4"
        if is_current and len(found) > 1 and draw_film(found, film, fps=fps_of(job)):
            same_end.update(preview_video=store_file(film))
    end_turn(turn_of(job.pk))
    if is_current:
        news.tell_results(job)


def shown_frames(job: RenderJob) -> list[Shown]:
    """Every rendered frame with the preview of the picture itself, or of its first layer; by step and number."""
    outputs = FrameOutput.objects.filter(
        frame__job=job, frame__status=Frame.Status.DONE, preview__isnull=False
    )
    is_layer = Case(When(layer="", then=Value(0)), default=Value(1), output_field=IntegerField())
    rows = (
        outputs.order_by("frame__step__name", "frame__number", is_layer, "name")
        .distinct("frame__step__name", "frame__number")
        .values_list("frame__step__name", "frame__number", "preview__storage_key")
    )
    return [Shown(*row) for row in rows]


def evenly(items: Sequence[Item], count: int) -> list[Item]:
    """At most `count` of them, the first and the last among them."""
    if len(items) <= count:
        return list(items)
    return [items[place * (len(items) - 1) // (count - 1)] for place in range(count)]


# --- The sheet --------------------------------------------------------------------------------------------------


def draw_sheet(found: Sequence[Shown]) -> Image.Image:
    """A grid of previews with the numbers of their frames; of many frames some, evenly chosen."""
    chosen = evenly(found, MAX_CELLS)
    has_steps = len({shown.step for shown in chosen}) > 1
    columns = min(ceil(sqrt(len(chosen))), MAX_COLUMNS)
    rows = ceil(len(chosen) / columns)
    width = min(CELL_WIDTH, SHEET_WIDTH // columns)
    first = chosen[0].picture()
    height = max(1, min(round(width * first.height / first.width), 2 * width))
    sheet = Image.new("RGB", (columns * width, rows * (height + LABEL_HEIGHT)), GROUND)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=13)
    for place, shown in enumerate(chosen):
        left, top = place % columns * width, place // columns * (height + LABEL_HEIGHT)
        cell = fitted(shown.picture(), width - 4, height - 4, BEHIND)
        sheet.paste(cell, (left + (width - cell.width) // 2, top + (height - cell.height) // 2))
        text = f"{shown.step} {shown.number}" if has_steps else str(shown.number)
        middle = (left + width / 2, top + height + LABEL_HEIGHT / 2)
        pen.text(middle, text[-width // 8 :], INK, font, anchor="mm")
    return sheet


def fitted(picture: Image.Image, width: int, height: int, ground: tuple[int, int, int]) -> Image.Image:
    """A picture within a size, on a ground where one sees through it."""
    picture.thumbnail((max(width, 1), max(height, 1)))
    below = Image.new("RGBA", picture.size, ground)
    below.alpha_composite(picture)
    return below.convert("RGB")


# --- The film ---------------------------------------------------------------------------------------------------


def draw_film(found: Sequence[Shown], target: Path, *, fps: float) -> bool:
    """An H.264 film of the previews, each frame that is there once; False where ffmpeg is not there or cannot."""
    if which("ffmpeg") is None:
        return False
    first = found[0].picture()
    size = (even(first.width), even(first.height))
    command = [
        "ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}",
        "-framerate", f"{fps:g}", "-i", "pipe:0", "-vf", "scale=out_color_matrix=bt709", "-colorspace", "bt709",
        "-color_primaries", "bt709", "-color_trc", "bt709", "-c:v", "libx264", "-preset", "veryfast",
        "-crf", "20", "-pix_fmt", "yuv420p", "-threads", "2", "-movflags", "+faststart", "-y", str(target),
    ]  # fmt: skip
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    assert process.stdin is not None  # noqa: S101  (a pipe was asked for)
    limit = Timer(FILM_SECONDS, process.kill)
    limit.start()
    try:
        with process, process.stdin as pipe:
            for pixels in film_pixels(evenly(found, MAX_FILM_FRAMES), size):
                pipe.write(pixels)
    except BrokenPipeError:
        return False
    finally:
        limit.cancel()
    return process.returncode == 0


def film_pixels(found: Sequence[Shown], size: tuple[int, int]) -> Iterator[bytes]:
    for shown in found:
        canvas = Image.new("RGB", size)
        picture = fitted(shown.picture(), *size, (0, 0, 0))
        canvas.paste(picture, ((size[0] - picture.width) // 2, (size[1] - picture.height) // 2))
        yield canvas.tobytes()


def even(length: int) -> int:
    """Colours of an H.264 film are kept for two by two pixels."""
    return max(length // 2 * 2, 2)


def fps_of(job: RenderJob) -> float:
    """Frames a second as the scene says."""
    scenes = JobFile.objects.filter(job=job, is_scene=True).values("blob")
    report = SceneReport.objects.filter(blob__in=scenes, engine=job.engine).first()
    said: Any = report.data.get("fps") if report else None
    return min(max(float(said), 1.0), 120.0) if isinstance(said, int | float) and said else DEFAULT_FPS


# --- All of it --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StepCounts:
    """Frames and pictures of a step; size in bytes."""

    step: str
    total_frames: int
    done_frames: int
    failed_frames: int
    output_count: int
    size: int


def step_counts(job: RenderJob) -> list[StepCounts]:
    """By the names of the steps."""
    frames = {
        row["step"]: row
        for row in Frame.objects.filter(job=job)
        .values("step")
        .annotate(
            total=Count("pk"),
            done=Count("pk", filter=Q(status=Frame.Status.DONE)),
            failed=Count("pk", filter=Q(status=Frame.Status.FAILED)),
        )
    }
    outputs = {
        row["frame__step"]: row
        for row in FrameOutput.objects.filter(frame__job=job)
        .values("frame__step")
        .annotate(count=Count("pk"), size=Sum("blob__size"))
    }
    nothing = {"total": 0, "done": 0, "failed": 0, "count": 0, "size": 0}
    counts = []
    for step in RenderStep.objects.filter(job=job).order_by("name"):
        row: dict[str, Any] = nothing | frames.get(step.pk, {}) | outputs.get(step.pk, {})
        counts.append(
            StepCounts(step.name, row["total"], row["done"], row["failed"], row["count"], row["size"])
        )
    return counts


def results_folder_of(job: RenderJob, user: User) -> Folder | None:
    """The folder of the results where `user` may read it; also one that was renamed or moved since.

    None where there is none, and for somebody who has left the team of the drive.
    """
    if not job.output_folder or not Drive.objects.visible_to(user).filter(pk=job.drive_id).exists():
        return None
    folders = Folder.objects.living().filter(drive=job.drive_id)
    folder = folders.filter(path=job.output_folder).first()
    if folder is not None or job.steps.count() > 1:
        return folder
    landed = FrameOutput.objects.filter(frame__job=job, layer="").values("file")
    living = (
        File.objects.living()
        .select_related("folder")
        .filter(pk__in=landed, drive=job.drive_id)
        .order_by("-pk")
        .first()
    )
    return living.folder if living else None


def zip_of_results(*, folder: Folder, actor: User, seconds: int, now: datetime) -> tuple[Archive, Zip]:
    """One ZIP of the results as they are; who asks again gets the same as long as it is good and nothing changed.

    Raises NotVisible (an empty folder), NotVerifiedYet, TooManyItems.
    """
    found = zip_of([folder.pk])
    good = now + timedelta(seconds=seconds / 2)
    kept = Archive.objects.filter(entry_ids=[folder.pk], etag=found.etag, expires_at__gt=good, share=None)
    archive = kept.order_by("-expires_at").first()
    return archive or keep_archive(found=found, entries=[folder], actor=actor, seconds=seconds), found
