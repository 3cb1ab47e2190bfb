"""Is a rendered picture whole, and what does it look like small (OpenImageIO)."""

from pathlib import Path

import OpenImageIO as oiio  # noqa: N813  (its own documentation calls it so)

PREVIEW_SIDE = 480
JPEG_END = b"\xff\xd9"


class BrokenPicture(Exception):
    """The file is not a whole picture of the size that was asked for."""


def check(path: Path, *, width: int | None, height: int | None) -> oiio.ImageBuf:
    """Read a picture to its last pixel. Raises BrokenPicture.

    A file that was cut short opens without complaint; only reading it all and asking for errors tells.
    """
    if not path.is_file() or path.stat().st_size == 0:
        raise BrokenPicture(f"{path.name} is empty or missing")
    image = oiio.ImageBuf(str(path))
    if not image.read(force=True) or image.has_error:
        raise BrokenPicture(f"{path.name} cannot be read: {image.geterror()[:200]}")
    if image.file_format_name == "jpeg" and path.read_bytes()[-2:] != JPEG_END:
        # The reader of JPEG fills up with grey what is not there.
        raise BrokenPicture(f"{path.name} is not whole")
    spec = image.spec()
    if (width and spec.width != width) or (height and spec.height != height):
        raise BrokenPicture(f"{path.name} is {spec.width}x{spec.height}, not {width}x{height}")
    return image


def write_preview(image: oiio.ImageBuf, target: Path) -> None:
    """A PNG whose longer side has at most PREVIEW_SIDE pixels, in sRGB. Raises BrokenPicture."""
    spec = image.spec()
    channels = min(spec.nchannels, 4)
    picture = oiio.ImageBufAlgo.channels(image, tuple(range(channels))) if spec.nchannels > 4 else image
    if spec.format.basetype in (oiio.HALF, oiio.FLOAT, oiio.DOUBLE):
        picture = oiio.ImageBufAlgo.colorconvert(picture, "lin_rec709", "sRGB")
    scale = PREVIEW_SIDE / max(spec.width, spec.height)
    if scale < 1:
        width, height = (max(round(side * scale), 1) for side in (spec.width, spec.height))
        picture = oiio.ImageBufAlgo.resize(picture, roi=oiio.ROI(0, width, 0, height, 0, 1, 0, channels))
    picture.set_write_format("uint8")
    if not picture.write(str(target)):
        raise BrokenPicture(f"no preview of {target.name}: {picture.geterror()[:200]}")
