from pathlib import Path

import numpy as np
import OpenImageIO as oiio  # noqa: N813  (its own documentation calls it so)
import pytest

from drives import pictures
from tests.rendering.makers import save_picture


@pytest.mark.parametrize("ending", ["png", "jpg", "exr", "tif"])
def test_a_whole_picture(tmp_path: Path, ending: str) -> None:
    path = save_picture(tmp_path / f"0001.{ending}")

    spec = pictures.check(path, width=64, height=36).spec()

    assert (spec.width, spec.height) == (64, 36)


@pytest.mark.parametrize("ending", ["png", "exr", "tif", "jpg"])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_picture_that_was_cut_short(tmp_path: Path, ending: str, share: float) -> None:
    path = save_picture(tmp_path / f"0001.{ending}", width=256, height=256)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])

    with pytest.raises(pictures.BrokenPicture):
        pictures.check(path, width=None, height=None)


def test_what_is_no_picture(tmp_path: Path) -> None:
    missing, empty, text = tmp_path / "missing.png", tmp_path / "empty.png", tmp_path / "text.png"
    empty.touch()
    text.write_text("no picture")
    for path in (missing, empty, text, tmp_path):
        with pytest.raises(pictures.BrokenPicture):
            pictures.check(path, width=None, height=None)


@pytest.mark.parametrize(("width", "height"), [(65, 36), (64, 37), (36, 64)])
def test_a_picture_of_another_size(tmp_path: Path, width: int, height: int) -> None:
    path = save_picture(tmp_path / "0001.png")
    with pytest.raises(pictures.BrokenPicture, match=r"64x36, not"):
        pictures.check(path, width=width, height=height)


@pytest.mark.parametrize(
    ("size", "preview"),
    [((64, 36), (64, 36)), ((960, 540), (480, 270)), ((300, 1200), (120, 480)), ((4000, 2), (480, 1))],
)
def test_previews_fit_into_480_pixels(
    tmp_path: Path, size: tuple[int, int], preview: tuple[int, int]
) -> None:
    path = save_picture(tmp_path / "0001.png", width=size[0], height=size[1])

    pictures.write_preview(pictures.check(path, width=None, height=None), tmp_path / "preview.png")

    spec = oiio.ImageBuf(str(tmp_path / "preview.png")).spec()
    assert (spec.width, spec.height, str(spec.format)) == (*preview, "uint8")


def test_the_preview_of_a_linear_picture_is_not_dark(tmp_path: Path) -> None:
    grey = np.full((8, 8, 3), 0.2, dtype=np.float32)
    assert oiio.ImageBuf(grey).write(str(tmp_path / "0001.exr"))

    image = pictures.check(tmp_path / "0001.exr", width=None, height=None)
    pictures.write_preview(image, tmp_path / "preview.png")

    pixels = oiio.ImageBuf(str(tmp_path / "preview.png")).get_pixels(oiio.UINT8)
    assert pixels is not None
    value = pixels[0, 0, 0]
    assert 120 <= value <= 128  # 0.2 linear is 0.48 in sRGB


def test_a_picture_of_many_channels_has_a_preview(tmp_path: Path) -> None:
    layers = np.zeros((36, 64, 9), dtype=np.float32)
    assert oiio.ImageBuf(layers).write(str(tmp_path / "0001.exr"))

    image = pictures.check(tmp_path / "0001.exr", width=64, height=36)
    pictures.write_preview(image, tmp_path / "preview.png")

    assert oiio.ImageBuf(str(tmp_path / "preview.png")).spec().nchannels in (3, 4)
