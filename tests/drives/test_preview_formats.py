"""What previews are drawn of, beside the formats of OpenImageIO: by Pillow, and by the real ffmpeg and pdftoppm."""

import shutil
import struct
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from drives import pictures
from drives.models import BlobPreview
from drives.services.blobs import store_chunks
from drives.services.previews import kind_of
from tests.drives.previews import drawn, made, pixel_in_the_middle, sides

pytestmark = pytest.mark.django_db
State = BlobPreview.State
HEIC = Path(__file__).parent / "samples" / "lantern.heic"


def psd(width: int = 640, height: int = 360, *, channels: int = 3, mode: int = 3, depth: int = 8) -> bytes:
    """Adobe's format as its specification has it: a header, three empty sections, the picture as it is."""
    noise = np.random.default_rng(7).integers(0, 256, channels * width * height * depth // 8, dtype=np.uint8)
    header = b"8BPS" + struct.pack(">H6xHIIHH", 1, channels, height, width, depth, mode)
    return header + bytes(3 * 4) + b"\0\0" + noise.tobytes()


@pytest.mark.parametrize(
    "kind", [{}, {"channels": 4}, {"channels": 1, "mode": 1}, {"channels": 4, "mode": 4}, {"depth": 16}]
)
def test_photoshop_files(tmp_path: Path, kind: dict[str, int]) -> None:
    path = tmp_path / "made.psd"
    path.write_bytes(psd(**kind))
    assert kind_of(store_chunks([path.read_bytes()])) == "psd"
    assert drawn(path) == (480, 270)
    path.write_bytes(psd(**kind)[: 640 * 360])
    with pytest.raises(pictures.BrokenPicture):
        pictures.read_limited(path)


def avif(width: int = 640, height: int = 360, **options: Any) -> bytes:
    noise = np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(noise).save(file, "AVIF", speed=10, **options)
    return file.getvalue()


def test_photographs_of_telephones(tmp_path: Path) -> None:
    """The sample was written by libheif; what we install reads HEIC and does not write it."""
    heic = HEIC.read_bytes()
    for content, kind, size in ((heic, "heic", (96, 64)), (avif(), "avif", (480, 270))):
        assert kind_of(store_chunks([content])) == kind
        assert sides(made(content), tmp_path) == size
    assert pixel_in_the_middle(made(heic)) == pytest.approx((255, 160, 40), abs=12)


@pytest.mark.parametrize("share", [0.3, 0.95])
@pytest.mark.parametrize("kind", ["heic", "avif"])
def test_photographs_that_were_cut_short_are_broken(tmp_path: Path, kind: str, share: float) -> None:
    content = HEIC.read_bytes() if kind == "heic" else avif(64, 64)
    path = tmp_path / f"cut.{kind}"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(pictures.BrokenPicture):
        pictures.picture_of(path, 480)


def test_a_photograph_of_too_many_pixels_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.avif"
    path.write_bytes(avif(64, 36))
    monkeypatch.setattr(pictures, "MAX_PIXELS_SIZE", 64 * 36 * 4 - 1)
    with pytest.raises(pictures.UnsupportedPicture):
        pictures.picture_of(path, 480)


@pytest.mark.parametrize("ending", ["jpg", "avif"])
def test_photographs_stand_upright(tmp_path: Path, ending: str) -> None:
    """Cameras say how they were held; the pixels are as the sensor lay."""
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / f"held.{ending}"
    Image.new("RGB", (64, 36), "teal").save(path, exif=exif)
    assert drawn(pictures.picture_of(path, 480)) == (36, 64)


@pytest.fixture
def tools() -> None:
    missing = [name for name in ("ffmpeg", "pdftoppm") if shutil.which(name) is None]
    if missing:
        pytest.fail(f"{missing} is missing: install what scripts/system-packages.txt names.", pytrace=False)


def pdf() -> bytes:
    """A page of 600 by 300 points, half of it orange, and one of another shape after it."""
    file = BytesIO()
    first = Image.new("RGB", (600, 300), "white")
    first.paste("orange", (0, 0, 300, 300))
    first.save(file, "PDF", save_all=True, append_images=[Image.new("RGB", (100, 300))])
    return file.getvalue()


@pytest.mark.usefixtures("tools")
def test_the_first_page_of_a_pdf(tmp_path: Path) -> None:
    preview = made(pdf())
    assert sides(preview, tmp_path) == (480, 240)
    assert pixel_in_the_middle(preview, at=0.25) == pytest.approx((255, 165, 0), abs=8)
    assert made(pdf()[:200]).state == State.BROKEN


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv", "webm", "avi"])
def test_the_first_frame_of_a_video(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"made.{ending}"
    source = ["-f", "lavfi", "-i", "color=orange:size=640x360:duration=0.2:rate=10"]
    codec = {"webm": "libvpx", "avi": "mjpeg"}.get(ending, "mpeg4")
    command = ["ffmpeg", "-nostdin", "-v", "error", *source, "-c:v", codec, str(path)]
    subprocess.run(command, check=True, timeout=60)
    content = path.read_bytes()
    preview = made(content)
    assert sides(preview, tmp_path) == (480, 270)
    assert pixel_in_the_middle(preview) == pytest.approx((255, 165, 0), abs=12)


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize("content", [b"\0\0\0\x18ftypisom", b"\x1aE\xdf\xa3" + b"\0" * 99, b"%PDF-1.7\n"])
def test_videos_and_documents_that_are_none_are_broken(content: bytes) -> None:
    assert made(content).state == State.BROKEN
