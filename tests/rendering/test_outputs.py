"""The pictures of a run: whole, of the size, believed, and named for the drive."""

import os
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import OpenImageIO as oiio  # noqa: N813  (its own documentation calls it so)
import pytest
from PIL import Image

from accounts.models import User
from drives.pictures import BrokenPicture
from rendering.models import Attempt, FrameOutput, JobLog, RenderJob, RenderNode
from rendering.node.outputs import OutputRefused, Picture, check_outputs, layers_of, names_of
from rendering.node.pictures import look_at
from rendering.services import attempts
from rendering.services.attempts import FrameResult, Usage
from rendering.services.landing import Output
from tests.rendering import makers

WIDTH, HEIGHT = 96, 54
RNG = np.random.default_rng(7)


def created(path: Path) -> oiio.ImageOutput:
    output = oiio.ImageOutput.create(str(path))
    assert output is not None
    return output


def write(path: Path, *parts: tuple[np.ndarray, dict[str, Any]]) -> Path:
    """A file of one or several parts, each its pixels and attributes of its header."""
    output = created(path)
    specs = [header(pixels, wishes) for pixels, wishes in parts]
    assert output.open(str(path), specs if len(specs) > 1 else specs[0]), output.geterror()
    for place, ((pixels, _wishes), spec) in enumerate(zip(parts, specs, strict=True)):
        if place:
            assert output.open(str(path), spec, "AppendSubimage"), output.geterror()
        assert output.write_image(pixels), output.geterror()
    assert output.close()
    return path


def header(pixels: np.ndarray, wishes: dict[str, Any]) -> oiio.ImageSpec:
    height, width, channels = pixels.shape
    spec = oiio.ImageSpec(width, height, channels, "half" if pixels.dtype.kind == "f" else "uint8")
    for name, value in wishes.items():
        if hasattr(spec, name):
            setattr(spec, name, value)
        else:
            spec.attribute(name, value)
    return spec


def noise(channels: int = 4, *, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    return RNG.random((height, width, channels), dtype=np.float32)


def layered() -> tuple[np.ndarray, dict[str, Any]]:
    names = ("R", "G", "B", "A", "depth.Z", "diffuse.R", "diffuse.G", "diffuse.B")
    return noise(8), {"channelnames": names}


def deep(path: Path) -> Path:
    spec = oiio.ImageSpec(WIDTH, HEIGHT, 5, "float")
    spec.channelnames = ("R", "G", "B", "A", "Z")
    spec.deep = True
    data = oiio.DeepData()
    data.init(WIDTH * HEIGHT, 5, [oiio.FLOAT] * 5, spec.channelnames)
    for pixel in range(WIDTH * HEIGHT):
        data.set_samples(pixel, 2)
        for sample in range(2):
            for channel, value in enumerate((pixel / 5184, 0.2, 0.1, 0.5, 1.0 + sample)):
                data.set_deep_value(pixel, channel, sample, value)
    output = created(path)
    assert output.open(str(path), spec)
    assert output.write_deep_image(data)
    assert output.close()
    return path


KINDS: dict[str, Callable[[Path], Path]] = {
    "layers": lambda path: write(path, layered()),
    "tiles": lambda path: write(path, (noise(), {"tile_width": 32, "tile_height": 32})),
    "parts": lambda path: write(
        path,
        (noise(3), {"name": "diffuse", "channelnames": ("R", "G", "B")}),
        (noise(4), {"name": "beauty", "channelnames": ("R", "G", "B", "A")}),
        (noise(1), {"name": "depth", "channelnames": ("Z",)}),
    ),
    "deep": deep,
    "dwaa": lambda path: write(path, (noise(), {"compression": "dwaa:45"})),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_exr_is_seen_and_drawn(tmp_path: Path, kind: str) -> None:
    path = KINDS[kind](tmp_path / "0001.exr")

    look = look_at(path, width=WIDTH, height=HEIGHT)

    assert (look.width, look.height, look.is_flat) == (WIDTH, HEIGHT, False)
    preview = look.draw(tmp_path / "preview.png")
    assert oiio.ImageBuf(str(preview)).spec().channelnames in (("R", "G", "B"), ("R", "G", "B", "A"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_an_exr_that_was_cut_short_is_not_taken(tmp_path: Path, kind: str, share: float) -> None:
    path = KINDS[kind](tmp_path / "0001.exr")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])

    with pytest.raises(BrokenPicture):
        look_at(path, width=WIDTH, height=HEIGHT)


def pixel_of(path: Path | None) -> list[int]:
    """As browsers read it: OpenImageIO would multiply by alpha."""
    assert path is not None
    with Image.open(path) as image:
        return list(image.getpixel((10, 10)))  # type: ignore[arg-type]


def test_the_main_part_is_what_is_seen(tmp_path: Path) -> None:
    grey, red = np.full((HEIGHT, WIDTH, 3), 0.2, np.float32), np.zeros((HEIGHT, WIDTH, 3), np.float32)
    red[..., 0] = 1
    path = write(tmp_path / "a.exr", (grey, {"name": "diffuse"}), (red, {"name": "beauty"}))

    assert pixel_of(look_at(path, width=WIDTH, height=HEIGHT).draw(tmp_path / "p.png")) == [255, 0, 0]


@pytest.mark.parametrize(
    ("light", "alpha", "pixel"),
    [
        (0.2, 1.0, [124, 124, 124, 255]),  # as it is: 0.2 linear is 0.48 in sRGB
        (0.1, 0.5, [124, 124, 124, 128]),  # colours as before they were multiplied by alpha
        (0.001, 1.0, [255, 255, 255, 255]),  # nothing would be seen
    ],
)
def test_light_in_a_preview(tmp_path: Path, light: float, alpha: float, pixel: list[int]) -> None:
    pixels = np.full((HEIGHT, WIDTH, 4), light, np.float32)
    pixels[..., 3] = alpha
    look = look_at(write(tmp_path / "a.exr", (pixels, {})), width=None, height=None)

    assert np.allclose(pixel_of(look.draw(tmp_path / "p.png")), pixel, atol=3)
    assert look.is_flat


def test_light_that_blinds_is_moved_by_stops(tmp_path: Path) -> None:
    pixels = noise(3) * 500
    preview = look_at(write(tmp_path / "a.exr", (pixels, {})), width=None, height=None).draw(
        tmp_path / "p.png"
    )
    shown = oiio.ImageBuf(str(preview)).get_pixels(oiio.UINT8)
    assert shown is not None
    assert 60 < shown.mean() < 200


def test_the_window_counts_not_what_was_written(tmp_path: Path) -> None:
    inner = np.full((10, 20, 3), 0.5, np.float32)
    wishes = {"x": 30, "y": 5, "full_x": 0, "full_y": 0, "full_width": WIDTH, "full_height": HEIGHT}
    cropped = look_at(write(tmp_path / "a.exr", (inner, wishes)), width=WIDTH, height=HEIGHT)
    assert not cropped.is_flat
    assert oiio.ImageBuf(str(cropped.draw(tmp_path / "p.png"))).spec().width == WIDTH

    wider = noise(3, width=WIDTH + 20, height=HEIGHT + 20)
    wishes = {"x": -10, "y": -10, "full_x": 0, "full_y": 0, "full_width": WIDTH, "full_height": HEIGHT}
    assert look_at(write(tmp_path / "b.exr", (wider, wishes)), width=WIDTH, height=HEIGHT).width == WIDTH


def test_no_numbers_are_no_picture(tmp_path: Path) -> None:
    pixels = np.full((HEIGHT, WIDTH, 3), np.nan, np.float32)
    path = write(tmp_path / "a.exr", (pixels, {}))
    with pytest.raises(BrokenPicture, match="no numbers"):
        look_at(path, width=None, height=None)

    pixels[10:, :] = 0.25
    look = look_at(write(path, (pixels, {})), width=None, height=None)
    assert pixel_of(look.draw(tmp_path / "p.png"))[0] > 100


def test_a_large_picture_is_drawn_from_some_of_its_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.exr", (noise(4, width=300, height=200), {}))
    monkeypatch.setattr("rendering.node.pictures.BAND_SIZE", 300 * 4 * 2 * 7)
    monkeypatch.setattr("rendering.node.pictures.SHOWN_SIZE", 300 * 200 * 2)

    look = look_at(path, width=300, height=200)

    assert look.pixels is not None
    assert (look.width, look.pixels.shape[:2]) == (300, (67, 100))


# --- Names ---


def test_layers_are_what_names_and_folders_do_not_share() -> None:
    def layers(*places: str) -> list[str]:
        return layers_of([PurePath(place) for place in places])

    assert layers("out/shot.0001.exr") == [""]
    assert layers("m/shot.0001.exr", "m/shot_depth.0001.exr") == ["", "depth"]
    assert layers("beauty/shot.0001.exr", "ao/shot.0001.exr") == ["", "ao"]
    assert layers("cam/a/s.0001.exr", "cam/b/s.0001.exr", "cam/b/s_z.0001.exr") == ["a", "b", "b/z"]
    assert layers("left.0001.exr", "right.0001.exr") == ["left", "right"]


def test_names_are_made_safe_and_stay_apart() -> None:
    places = ["a\x07b/x.0001.png", "con/x.0001.png", " x .png", "e\u0301.png", "nul.png", "deep\udcff/x.png"]
    assert names_of([PurePath(place) for place in places]) == [
        "a_b/x.0001.png", "_con/x.0001.png", "x .png", "\u00e9.png", "_nul.png", "deep_/x.png",
    ]  # fmt: skip
    long = [PurePath("木" * 90 + f"{letter}/" + "木" * 90 + "0001.png") for letter in "ab"]
    first, second = names_of(long)
    assert first.endswith("木0001.png") and len(first) <= 255
    assert first != second
    assert names_of([PurePath("a?/x.png"), PurePath("a\x07/x.png"), PurePath("a\x08/x.png")]) == [
        "a?/x.png", "a_/x.png", "a_/2-x.png",
    ]  # fmt: skip


# --- Taken or refused ---


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    root, work = tmp_path / "output", tmp_path / "work"
    root.mkdir()
    work.mkdir()
    return root, work


def checked(attempt: Attempt, folders: tuple[Path, Path], *paths: Path) -> list[Picture]:
    root, work = folders
    number = makers.frame_of(attempt)
    return check_outputs({number: list(paths)}, [number], attempt=attempt, root=root, work=work)


@pytest.mark.django_db
def test_links_lead_nowhere(
    owner: User, node: RenderNode, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    makers.queued(owner)
    attempt = makers.claimed(node)
    root, _work = folders
    outside = makers.save_picture(tmp_path / "0001.png")
    (root / "linked").symlink_to(tmp_path)
    (root / "0001.png").symlink_to(outside)
    os.mkfifo(root / "pipe.0001.png")
    for path in (root / "linked/0001.png", root / "0001.png", root / "pipe.0001.png", root / "../0001.png"):
        with pytest.raises(OutputRefused) as refusal:
            checked(attempt, folders, path)
        assert refusal.value.failure.code == "broken_output"


def flat(path: Path, value: int = 0) -> Path:
    image = oiio.ImageBuf(np.full((36, 64, 3), value, np.uint8))
    assert image.write(str(path))
    return path


def land(attempt: Attempt, pictures: list[Picture]) -> None:
    blob = makers.picture_blob()
    outputs = [
        Output(picture.name, blob, blob, picture.width, picture.height, picture.layer, picture.is_flat)
        for picture in pictures
    ]
    result = FrameResult(pictures[0].frame, outputs)
    attempts.succeed(attempt_id=attempt.pk, results=[result], usage=Usage())


@pytest.mark.django_db
def test_a_frame_of_one_colour_is_rendered_again_and_then_believed(
    owner: User, node: RenderNode, folders: tuple[Path, Path]
) -> None:
    root, _work = folders
    job = makers.queued(owner, frames="1-3")
    first = makers.claimed(node)
    land(first, checked(first, folders, makers.save_picture(root / "0001.png")))

    second = makers.claimed(node)
    with pytest.raises(OutputRefused) as refusal:
        checked(second, folders, flat(root / "0002.png"))
    assert refusal.value.failure.code == "suspicious_output"
    attempts.fail(attempt_id=second.pk, failure=refusal.value.failure, usage=Usage())

    again = makers.claimed(node)
    assert makers.frame_of(again) == 2
    land(again, checked(again, folders, root / "0002.png"))
    third = makers.claimed(node)
    land(third, checked(third, folders, flat(root / "0003.png", 9)))

    job.refresh_from_db()
    assert job.status == RenderJob.Status.COMPLETED
    assert list(FrameOutput.objects.order_by("name").values_list("is_flat", flat=True)) == [False, True, True]
    warning = job.logs.filter(log_level=JobLog.Level.WARNING).get()
    assert "2" in warning.message
    assert makers.audit() == {}


@pytest.mark.django_db
def test_a_mask_that_is_empty_raises_no_doubt(
    owner: User, node: RenderNode, folders: tuple[Path, Path]
) -> None:
    root, _work = folders
    makers.queued(owner, frames="1-2")
    first, second = makers.claimed(node), makers.claimed(node)
    land(
        first,
        checked(first, folders, *(makers.save_picture(root / f"{name}1.png") for name in ("a", "a_mask"))),
    )

    pictures = checked(second, folders, makers.save_picture(root / "a2.png"), flat(root / "a_mask2.png"))

    assert [(picture.layer, picture.is_flat) for picture in pictures] == [("", False), ("mask", True)]


@pytest.mark.django_db
def test_the_first_frame_and_a_last_try_are_believed(
    owner: User, node: RenderNode, folders: tuple[Path, Path]
) -> None:
    root, _work = folders
    job = makers.queued(owner, frames="1-2")
    first = makers.claimed(node)
    assert checked(first, folders, flat(root / "0001.png"))[0].is_flat
    land(first, checked(first, folders, makers.save_picture(root / "0001.png")))
    job.frames.filter(number=2).update(failures=2)
    assert checked(makers.claimed(node), folders, flat(root / "0002.png"))[0].is_flat
