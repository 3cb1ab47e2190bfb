"""Pictures that a renderer wrote: whether every part is complete, whether they show anything, and their previews.

Pictures are read in bands, so that one with many layers or of 16384 pixels needs little more memory than a small one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path

import numpy as np
import OpenImageIO as oiio  # noqa: N813  (its own documentation calls it so)
from PIL import Image

from drives.pictures import (
    PREVIEW_SIDE,
    BrokenPicture,
    is_main_layer,
    jpeg_is_whole,
    shown_channels,
    write_preview,
)

BAND_SIZE = 64 << 20
SHOWN_SIZE = 256 << 20
"""Bytes of a picture that are kept for its preview; of a larger one every second or third pixel."""
MAX_FILE_SIZE = 8 << 30
MAX_SIDE = 65_536
MAX_PARTS = 1000
MAX_DEEP_SIZE = 256 << 20
"""The largest file of deep pixels, in bytes, that is flattened to be shown; a larger one is only checked."""
DEEP_ROWS = 16


@dataclass(frozen=True)
class Look:
    """A complete picture: its size in pixels, whether it has a single colour, and what its preview is drawn from, if
    anything.
    """

    path: Path
    width: int
    height: int
    is_flat: bool
    pixels: np.ndarray | None
    channels: tuple[str, ...] = ()
    is_preview: bool = False
    """Small and in a format of browsers, so that it serves as its own preview."""

    def draw(self, target: Path) -> Path | None:
        """Its preview, written to `target` where there has to be one. Raises BrokenPicture."""
        if self.pixels is None:
            return None
        if self.is_preview:
            return self.path
        if is_plain(self.pixels):
            draw_plain(self.pixels[..., :3], target)
        else:
            write_preview(as_image(self.pixels, self.channels), target)
        return target


def look_at(path: Path, *, width: int | None, height: int | None) -> Look:
    """Read every pixel of every part and channel. Raises BrokenPicture.

    Also where the picture has another size than was asked for, or no number in it. The size is that of the display
    window: renderers leave out empty borders of an EXR, or write more than is to be seen.
    """
    size = path.stat().st_size if path.is_file() else 0
    if not size or size > MAX_FILE_SIZE:
        raise BrokenPicture(f"{path.name} is {'too large' if size else 'empty or missing'}")
    reader = oiio.ImageInput.open(str(path))
    if reader is None:
        raise BrokenPicture(f"{path.name} cannot be read: {oiio.geterror()[:200]}")
    try:
        parts = parts_of(path, reader)
        chosen = min(range(len(parts)), key=lambda place: rank(parts[place]))
        spec = parts[chosen]
        if (width and spec.full_width != width) or (height and spec.full_height != height):
            raise BrokenPicture(f"{path.name} is {spec.full_width}x{spec.full_height}, not {width}x{height}")
        pixels = [read_part(path, reader, part) for part in range(len(parts))][chosen]
    finally:
        reader.close()
    # The reader of JPEG fills up with grey what is not there.
    if reader.format_name() == "jpeg" and not jpeg_is_whole(path.read_bytes()):
        raise BrokenPicture(f"{path.name} is not whole")
    if spec.deep:
        pixels = flattened(path, chosen) if size <= MAX_DEEP_SIZE else None
    if pixels is None:
        return Look(path, spec.full_width, spec.full_height, is_flat=False, pixels=None)
    seen = in_window(pixels, spec)
    if seen.dtype.kind == "f" and not np.isfinite(seen[..., :3]).any():
        raise BrokenPicture(f"{path.name} holds no numbers")
    is_small = max(spec.full_width, spec.full_height) <= PREVIEW_SIDE and spec.format == oiio.UINT8
    is_preview = is_small and reader.format_name() == "png" and path.suffix.lower() == ".png"
    channels = tuple(spec.channelnames[channel].rpartition(".")[2] for channel in kept_channels(spec))
    return Look(path, spec.full_width, spec.full_height, is_flat(seen), seen, channels, is_preview)


def parts_of(path: Path, reader: oiio.ImageInput) -> list[oiio.ImageSpec]:
    """What the parts of a file say of themselves. Raises BrokenPicture where that cannot be."""
    parts: list[oiio.ImageSpec] = []
    while len(parts) < MAX_PARTS and reader.seek_subimage(len(parts), 0):
        spec = reader.spec()
        sides = (spec.width, spec.height, spec.full_width, spec.full_height)
        if min(sides) < 1 or max(sides) > MAX_SIDE or spec.depth > 1 or spec.nchannels < 1:
            raise BrokenPicture(f"{path.name} is {spec.width}x{spec.height}x{spec.depth}")
        parts.append(spec)
    if not parts:
        raise BrokenPicture(f"{path.name} has no picture in it")
    return parts


def rank(spec: oiio.ImageSpec) -> tuple[bool, bool, bool]:
    """The part of the lowest rank is the picture itself: colours of no layer, or of the main one."""
    name = spec.get_string_attribute("name") or spec.get_string_attribute("oiio:subimagename")
    shown = shown_channels(spec.channelnames)
    layer = spec.channelnames[shown[0]].rpartition(".")[0] or name
    return len(set(shown)) < 3, bool(layer) and not is_main_layer(layer), layer != ""


def read_part(path: Path, reader: oiio.ImageInput, part: int) -> np.ndarray | None:
    """All of a part is read; what is kept are the channels to be seen, of a large picture not every pixel.

    None for deep pixels. Raises BrokenPicture.
    """
    reader.seek_subimage(part, 0)
    spec = reader.spec()
    channels = kept_channels(spec)
    # Neighbours are looked at where they lie; others are copied.
    in_order = channels == list(range(channels[0], channels[0] + len(channels)))
    wanted = slice(channels[0], channels[0] + len(channels)) if in_order else channels
    step = max(1, ceil(sqrt(spec.width * spec.height * len(channels) * 4 / SHOWN_SIZE)))
    kept = []
    for first, last in bands(spec):
        deep = read_deep(reader, spec, part, first, last) if spec.deep else None
        band = None if spec.deep else read_band(reader, spec, part, first, last)
        if (deep is None and band is None) or reader.has_error:
            raise BrokenPicture(f"{path.name} cannot be read: {reader.geterror()[:200]}")
        if band is not None:
            kept.append(band[-(first - spec.y) % step :: step, ::step, wanted])
    return (kept[0] if len(kept) == 1 else np.concatenate(kept)) if kept else None


def kept_channels(spec: oiio.ImageSpec) -> list[int]:
    return list(dict.fromkeys(shown_channels(spec.channelnames)))


def bands(spec: oiio.ImageSpec) -> Iterator[tuple[int, int]]:
    """Rows from, to: whole tiles, as many as go into a band."""
    row_size = spec.width * spec.nchannels * spec.format.size()
    rows = DEEP_ROWS if spec.deep else max(1, BAND_SIZE // row_size)
    if spec.tile_height:
        rows = max(1, rows // spec.tile_height) * spec.tile_height
    end = spec.y + spec.height
    for first in range(spec.y, end, rows):
        yield first, min(first + rows, end)


def read_band(
    reader: oiio.ImageInput, spec: oiio.ImageSpec, part: int, first: int, last: int
) -> np.ndarray | None:
    if spec.tile_height:
        right = spec.x + spec.width
        area = (spec.x, right, first, last, 0, 1, 0, spec.nchannels)
        return reader.read_tiles(part, 0, *area, spec.format)
    return reader.read_scanlines(part, 0, first, last, 0, 0, spec.nchannels, spec.format)


def read_deep(
    reader: oiio.ImageInput, spec: oiio.ImageSpec, part: int, first: int, last: int
) -> oiio.DeepData | None:
    if spec.tile_height:
        area = (spec.x, spec.x + spec.width, first, last, 0, 1, 0, spec.nchannels)
        return reader.read_native_deep_tiles(part, 0, *area)
    return reader.read_native_deep_scanlines(part, 0, first, last, 0, 0, spec.nchannels)


def flattened(path: Path, part: int) -> np.ndarray | None:
    """What is to be seen of deep pixels."""
    image = oiio.ImageBufAlgo.flatten(oiio.ImageBuf(str(path), part, 0))
    pixels = image.get_pixels(oiio.FLOAT)
    return None if pixels is None else pixels[..., kept_channels(image.spec())]


def in_window(pixels: np.ndarray, spec: oiio.ImageSpec) -> np.ndarray:
    """The pixels where they are to be seen; what was not written is empty."""
    data, full = (spec.x, spec.y, spec.width, spec.height), (
        spec.full_x, spec.full_y, spec.full_width, spec.full_height,
    )  # fmt: skip
    if data == full:
        return pixels
    step = ceil(spec.width / pixels.shape[1])
    height, width = ceil(spec.full_height / step), ceil(spec.full_width / step)
    seen = np.zeros((height, width, pixels.shape[2]), pixels.dtype)
    top, left = (spec.y - spec.full_y) // step, (spec.x - spec.full_x) // step
    inside = pixels[max(-top, 0) :, max(-left, 0) :][
        : max(height - max(top, 0), 0), : max(width - max(left, 0), 0)
    ]
    rows, columns = inside.shape[:2]
    seen[max(top, 0) : max(top, 0) + rows, max(left, 0) : max(left, 0) + columns] = inside
    return seen


def is_flat(pixels: np.ndarray) -> bool:
    """Whether all pixels are equal. In most pictures a few pixels show that they are not."""
    first = pixels[0, 0]
    return bool((pixels[::64, ::64] == first).all() and (pixels == first).all())


def is_plain(pixels: np.ndarray) -> bool:
    """Whether these are opaque colours of eight bits."""
    if pixels.dtype != np.uint8 or pixels.shape[2] not in (3, 4):
        return False
    return pixels.shape[2] == 3 or bool((pixels[..., 3] == 255).all())


def draw_plain(pixels: np.ndarray, target: Path) -> None:
    """The preview of a plain picture, as `write_preview` draws it, in a tenth of the time."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    scale = PREVIEW_SIDE / max(image.size)
    kind = Image.Resampling.BOX if scale <= 0.5 else Image.Resampling.BILINEAR
    image.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), kind, reducing_gap=2.0)
    image.save(target, "PNG", compress_level=3)


def as_image(pixels: np.ndarray, channels: tuple[str, ...]) -> oiio.ImageBuf:
    if pixels.dtype == np.float16:
        pixels = pixels.astype(np.float32)
    image = oiio.ImageBuf(np.ascontiguousarray(pixels))
    if len(channels) < 3:
        image.specmod().channelnames = channels
    return image
