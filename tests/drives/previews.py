"""Previews as tests make and look at them."""

from io import BytesIO
from pathlib import Path

import numpy as np
import OpenImageIO as oiio  # noqa: N813  (its own documentation calls it so)
from django.utils import timezone
from PIL import Image

from drives import pictures
from drives.models import BlobPreview
from drives.services.blobs import store_chunks
from drives.services.previews import ask_preview
from drives.storage import blob_storage
from drives.tasks import make_preview as task
from tests.drives.storages import content_of


def picture(
    folder: Path, ending: str = "png", width: int = 640, height: int = 360, channels: int = 3
) -> bytes:
    """A picture that does not compress to nothing."""
    path = folder / f"made.{ending}"
    noise = np.random.default_rng(7).random((height, width, channels), dtype=np.float32)
    image = oiio.ImageBuf(noise)
    if ending != "exr":
        image.set_write_format("uint8")
    assert image.write(str(path)), image.geterror()
    return path.read_bytes()


def made(content: bytes, size: int = 480) -> BlobPreview:
    """The preview of a content, as the worker leaves it."""
    preview = ask_preview(blob=store_chunks([content]), size=size, now=timezone.now())
    task(str(preview.pk))
    preview.refresh_from_db()
    return preview


def sides(preview: BlobPreview, folder: Path) -> tuple[int, int]:
    """Width and height of what was drawn."""
    assert preview.result is not None, preview.state
    path = folder / "result.webp"
    path.write_bytes(content_of(blob_storage(), preview.result.storage_key))
    return sides_of(path)


def sides_of(path: Path) -> tuple[int, int]:
    spec = oiio.ImageBuf(str(path)).spec()
    return spec.width, spec.height


def pixel_in_the_middle(preview: BlobPreview, at: float = 0.5) -> tuple[int, ...]:
    """Red, green and blue at half the height, `at` of the width."""
    assert preview.result is not None, preview.state
    with Image.open(BytesIO(content_of(blob_storage(), preview.result.storage_key))) as image:
        return image.convert("RGB").getpixel((int(image.width * at), image.height // 2))  # type: ignore[return-value]


def drawn(path: Path, size: int = 480) -> tuple[int, int]:
    """Width and height of what the program draws of a picture, without a process of its own."""
    target = path.with_name("drawn.webp")
    pictures.write_preview(pictures.read_limited(path), target, size)
    return sides_of(target)
