"""The pictures that a run left: checked, and named for the drive."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from django.conf import settings
from django.utils.translation import gettext as _

from common.ids import new_id
from drives.errors import BadName
from drives.paths import FORBIDDEN, clean_name
from drives.pictures import BrokenPicture, is_main_layer
from rendering.engines import Failure
from rendering.models import Attempt, Frame, FrameOutput
from rendering.node.pictures import look_at
from rendering.services.attempts import SUSPICIOUS

MAX_OUTPUTS = 500
"""Most pictures of one frame."""
MAX_NAME = 255
MAX_PART_BYTES = 200


class OutputRefused(BrokenPicture):
    """A frame has no acceptable result; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@dataclass(frozen=True)
class Picture:
    """A whole picture of a frame, with a small one beside it; size in pixels.

    `name` is its place below the folder of the step, `layer` the layer or pass that it shows, empty for the picture
    itself.
    """

    frame: int
    path: Path
    name: str
    preview: Path | None
    width: int
    height: int
    layer: str
    is_flat: bool


def check_outputs(
    found: Mapping[int, Sequence[Path]], frames: Iterable[int], *, attempt: Attempt, root: Path, work: Path
) -> list[Picture]:
    """The pictures of `frames`, each read to its last pixel; previews are written to `work`.

    `found` are files below `root`, by frame. Raises OutputRefused for a frame that has no picture, an incomplete one,
    one of another size than was asked for, or one that holds no number; and, once, for a frame of a single colour
    where no other frame of its step was so (docs/adr/0013).
    """
    pictures: list[Picture] = []
    for number in frames:
        paths = [path for path in found.get(number, ()) if is_own(path, root)]
        if not 0 < len(paths) <= MAX_OUTPUTS:
            text = _("There are %(count)s pictures of frame %(number)s.")
            raise refused(text % {"count": len(paths), "number": number})
        own = list(pictures_of(number, paths, attempt, root, work))
        doubt(attempt, own, earlier=pictures)
        pictures += own
    return pictures


def refused(message: str, code: str = "broken_output") -> OutputRefused:
    return OutputRefused(Failure(code, message))


def is_own(path: Path, root: Path) -> bool:
    """Whether a file lies where it seems to: no part of its path below `root` is a link."""
    parts = path.relative_to(root).parts
    steps = [path, *path.parents][: len(parts)]
    return path.is_file() and ".." not in parts and not any(step.is_symlink() for step in steps)


def pictures_of(
    number: int, paths: Sequence[Path], attempt: Attempt, root: Path, work: Path
) -> Iterator[Picture]:
    """Raises OutputRefused."""
    job = attempt.job
    places = [path.relative_to(root) for path in paths]
    for path, name, layer in zip(paths, names_of(places), layers_of(places), strict=True):
        try:
            look = look_at(path, width=job.width, height=job.height)
            preview = look.draw(work / f"preview-{new_id().hex}.png")
        except BrokenPicture as error:
            raise refused(str(error)) from error
        yield Picture(number, path, name, preview, look.width, look.height, layer, look.is_flat)


# --- One colour -------------------------------------------------------------------------------------------------


def main_pictures(pictures: Iterable[Picture]) -> list[Picture]:
    """The pictures that show the frame itself; where it has only layers, all of these."""
    every = list(pictures)
    return [picture for picture in every if not picture.layer] or every


def doubt(attempt: Attempt, pictures: list[Picture], *, earlier: list[Picture]) -> None:
    """A frame of one colour is rendered once more, if possible elsewhere; then it is accepted.

    From then on so is any other of its step, since a film may fade to black. Raises OutputRefused.
    """
    if not all(picture.is_flat for picture in main_pictures(pictures)):
        return
    frame = Frame.objects.filter(step=attempt.step_id, number=pictures[0].frame).first()
    if frame is None or frame.failure_code == SUSPICIOUS:
        return
    if frame.failures + 1 >= settings.RENDER_MAX_ATTEMPTS:
        return
    landed = FrameOutput.objects.filter(frame__step=attempt.step_id)
    main = landed.filter(layer="")
    known = set((main if main.exists() else landed).values_list("is_flat", flat=True).distinct())
    known |= {picture.is_flat for picture in main_pictures(earlier)}
    if known == {False}:
        text = _("Frame %(number)s is of a single colour, which no other is; it is rendered once more.")
        raise refused(text % {"number": pictures[0].frame}, SUSPICIOUS)


# --- Names ------------------------------------------------------------------------------------------------------


def names_of(places: Sequence[PurePath]) -> list[str]:
    """Names of a frame's pictures that every drive takes, each once; folders are kept."""
    names: list[str] = []
    for place in places:
        name = "/".join(safe_name(part) for part in place.parts)
        if len(name) > MAX_NAME:
            name = name[-MAX_PART_BYTES:].rpartition("/")[2]
        number = 2
        candidate = name
        while candidate in names:
            folder, slash, last = name.rpartition("/")
            candidate = f"{folder}{slash}{number}-{last}"
            number += 1
        names.append(candidate)
    return names


def safe_name(name: str) -> str:
    """A program's file name in a form that a drive accepts. A name too long loses its beginning, since the ends
    differ.
    """
    name = FORBIDDEN.sub("_", unicodedata.normalize("NFC", name))
    name = name.encode()[-MAX_PART_BYTES:].decode(errors="ignore").strip().rstrip(".")
    try:
        return clean_name(name)
    except BadName:
        return clean_name(f"_{name or 'unnamed'}")


def layers_of(places: Sequence[PurePath]) -> list[str]:
    """The layer or pass of each picture of a frame, told by the parts in which their folders and names differ.

    `a/shot.0001.exr` beside `a/shot_depth.0001.exr`: the picture itself, and `depth`.
    """
    if len(places) == 1:
        return [""]
    folders = [place.parts[:-1] for place in places]
    shared = 0
    while all(len(parts) > shared for parts in folders) and len({parts[shared] for parts in folders}) == 1:
        shared += 1
    layers = []
    for place, parts in zip(places, folders, strict=True):
        beside = [stem_of(other) for other, their in zip(places, folders, strict=True) if their == parts]
        words = [*parts[shared:], pass_of(stem_of(place), beside)]
        layer = "/".join(safe_name(word) for word in words if word)[-MAX_NAME:]
        layers.append("" if is_main_layer(layer) else layer)
    return layers


def stem_of(place: PurePath) -> str:
    """The name without ending and frame number."""
    return place.stem.rstrip("0123456789").rstrip("-._")


def pass_of(stem: str, beside: Sequence[str]) -> str:
    """What a name has beyond the beginning that all names of its folder share."""
    shortest = min(beside, key=len)
    if len(set(beside)) > 1 and all(other.startswith(shortest) for other in beside):
        return stem.removeprefix(shortest).strip("-._ ")
    return stem if len(set(beside)) > 1 else ""
