"""Pictures: whether one is complete, and its preview (OpenImageIO).

Also a program, `python pictures.py SOURCE TARGET SIDE`, which prints `ready`, `broken` or `unsupported`: strangers'
files are read in a separate process with limits of memory and time. It imports nothing of the platform.
"""

import io
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import OpenImageIO as oiio  # noqa: N813  (its own documentation calls it so)
import pi_heif
from PIL import Image, ImageCms, ImageOps

PREVIEW_SIDE = 480
WEBP_QUALITY = 80
JPEG_END = b"\xff\xd9"
MAX_PIXELS_SIZE = 512 << 20
"""Bytes of a picture in memory, its first four channels: 8K in floats, 16384 x 8192 in bytes."""
MEMORY_SIZE = 4 << 30
CPU_SECONDS = 30
WRITTEN_SIZE = 64 << 20
MAIN_LAYERS = {"beauty", "combined", "rgb", "rgba", "composite", "masterlayer"}
GREYS = {"Y", "L", "A", "R", "G", "B"}
MIDDLE_GREY, TOO_BRIGHT, TOO_DARK = 0.18, 3.0, 1 / 64
NO_DEPTH = 1e10
"""Renderers write a larger value where a ray hits nothing."""


class BrokenPicture(Exception):
    """The file is not a complete picture of the expected size."""


class UnsupportedPicture(Exception):
    """Too large, of an unknown kind, or the tool for it is missing."""


def check(path: Path, *, width: int | None, height: int | None) -> oiio.ImageBuf:
    """Read a picture to its last pixel. Raises BrokenPicture.

    A file that was cut short opens without complaint; only reading it all and asking for errors tells.
    """
    if not path.is_file() or path.stat().st_size == 0:
        raise BrokenPicture(f"{path.name} is empty or missing")
    image = oiio.ImageBuf(str(path))
    require_whole(path, image, image.read(force=True))
    spec = image.spec()
    if (width and spec.width != width) or (height and spec.height != height):
        raise BrokenPicture(f"{path.name} is {spec.width}x{spec.height}, not {width}x{height}")
    return image


def require_whole(path: Path, image: oiio.ImageBuf, was_read: bool) -> None:
    """Raises BrokenPicture."""
    if not was_read or image.has_error:
        raise BrokenPicture(f"{path.name} cannot be read: {image.geterror()[:200]}")
    # The reader of JPEG fills up with grey what is not there.
    if image.file_format_name == "jpeg" and not jpeg_is_whole(path.read_bytes()):
        raise BrokenPicture(f"{path.name} is not whole")


def jpeg_is_whole(content: bytes) -> bool:
    """Whether the picture itself ends: small ones may stand before it (Exif), and cameras append all sorts of things.

    ITU-T T.81, B.1.1: segments with lengths up to the start of the scan; in what follows no FF D9 but the end.
    """
    at = 2
    while content[at : at + 1] == b"\xff" and (marker := content[at + 1 : at + 2]) != b"\xda":
        at += 1 if marker == b"\xff" else 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return content.find(JPEG_END, at) >= 0


def read_limited(path: Path) -> oiio.ImageBuf:
    """The first four channels of a stranger's picture, whole. Raises BrokenPicture, UnsupportedPicture."""
    image = oiio.ImageBuf(str(path))
    spec = image.spec()
    if not image.initialized or min(spec.width, spec.height, spec.nchannels) < 1:
        raise BrokenPicture(f"{path.name} cannot be opened: {image.geterror()[:200]}")
    channels = min(spec.nchannels, 4)
    size = spec.width * spec.height * max(spec.depth, 1) * channels * spec.format.size()
    if size > MAX_PIXELS_SIZE or spec.deep:
        raise UnsupportedPicture(f"{path.name} is too large")
    require_whole(path, image, image.read(0, 0, 0, channels, True, spec.format))
    return image


def write_preview(image: oiio.ImageBuf, target: Path, side: int = PREVIEW_SIDE) -> None:
    """A picture whose longer side has at most `side` pixels, in sRGB. Raises BrokenPicture."""
    spec = image.spec()
    order = shown_channels(spec.channelnames)
    picture = oiio.ImageBufAlgo.channels(image, order, newchannelnames=tuple("RGBA"[: len(order)]))
    if image.orientation != 1:
        picture = oiio.ImageBufAlgo.reorient(picture)
    is_linear = spec.format.basetype in (oiio.HALF, oiio.FLOAT, oiio.DOUBLE)
    if is_linear:
        is_data = spec.nchannels == 1 and spec.channelnames[0].rpartition(".")[2].upper() not in GREYS
        picture = exposed(picture, is_data=is_data)
    spec = picture.spec()
    scale = side / max(spec.width, spec.height)
    if scale < 1:
        width, height = (max(round(length * scale), 1) for length in (spec.width, spec.height))
        # The mean of the pixels that become one, for a thirtieth of the time of the library's own choice; where those
        # are not even two, it would show steps.
        name = "box" if scale <= 0.5 else "triangle"
        roi = oiio.ROI(0, width, 0, height, 0, 1, 0, len(order))
        picture = oiio.ImageBufAlgo.resize(picture, filtername=name, roi=roi)
    if is_linear:
        # Colours as they were before they were multiplied by alpha: the curve is not straight.
        picture = oiio.ImageBufAlgo.colorconvert(picture, "lin_rec709", "sRGB", unpremult=True)
    picture.set_write_format("uint8")
    if target.suffix == ".webp":
        # OpenImageIO has libwebp take its slowest way: with transparency 12 s instead of 0.03 for no byte less.
        pixels = picture.get_pixels(oiio.UINT8)
        if pixels is None:
            raise BrokenPicture(f"no preview of {target.name}: {picture.geterror()[:200]}")
        Image.fromarray(pixels).save(target, "WEBP", quality=WEBP_QUALITY, method=4)
    elif not picture.write(str(target)):
        raise BrokenPicture(f"no preview of {target.name}: {picture.geterror()[:200]}")


def shown_channels(names: Sequence[str]) -> tuple[int, ...]:
    """The three or four channels that a preview shows: colours without a layer; else those of the main layer, or of
    the first; else the first channel as grey.
    """
    groups: dict[str, dict[str, int]] = {}
    for place, name in enumerate(names):
        layer, _dot, channel = name.rpartition(".")
        groups.setdefault(layer, {}).setdefault(channel.lower()[:1], place)
    coloured = [layer for layer, found in groups.items() if {"r", "g", "b"} <= found.keys()]
    if not coloured:
        first = next(iter(groups.values()))
        grey = 0
        return (grey, grey, grey, first["a"]) if first.get("a", grey) != grey else (grey, grey, grey)
    layer = min(coloured, key=lambda layer: (layer != "", not is_main_layer(layer)))
    return tuple(groups[layer][channel] for channel in "rgba" if channel in groups[layer])


def is_main_layer(name: str) -> bool:
    """Whether a layer or pass is the picture itself, by the names that renderers give it."""
    return name.rpartition(".")[2].lower() in MAIN_LAYERS


def exposed(picture: oiio.ImageBuf, *, is_data: bool) -> oiio.ImageBuf:
    """A linear picture within 0 to 1. Pixels that are no numbers become black.

    The light stays as it is, except in pictures that would be all white or all black: those are moved by whole stops.
    Data of one channel (a depth) is stretched over the range.
    """
    pixels = picture.get_pixels(oiio.FLOAT)
    if pixels is None:
        raise BrokenPicture(f"no pixels: {picture.geterror()[:200]}")
    colours = pixels[..., :3]
    if is_data:
        finite = colours[np.isfinite(colours) & (np.abs(colours) < NO_DEPTH)]
        low, high = np.percentile(finite, (1, 99)) if finite.size else (0.0, 1.0)
        pixels[..., :3] = (colours - low) / max(high - low, 1e-9)
    pixels = np.nan_to_num(pixels, nan=0, posinf=NO_DEPTH, neginf=0)
    if not is_data:
        pixels[..., :3] *= 2.0 ** stops(pixels[::4, ::4, :3].max(axis=-1))
    result = oiio.ImageBuf(np.ascontiguousarray(np.clip(pixels, 0, 1), dtype=np.float32))
    result.specmod().channelnames = picture.spec().channelnames
    return result


def stops(light: np.ndarray) -> int:
    """By how many stops a picture has to be moved so that something is seen, 0 for most."""
    lit = light[light > 0]
    if not lit.size:
        return 0
    middle, bright = np.median(lit), np.percentile(lit, 99)
    if middle > TOO_BRIGHT:
        return -round(float(np.log2(middle / MIDDLE_GREY)))
    return -round(float(np.log2(bright))) if bright < TOO_DARK else 0


# --- The program ------------------------------------------------------------------------------------------------


def picture_of(source: Path, side: int) -> Path:
    """`source` itself, or its first page or frame beside it. Raises BrokenPicture, UnsupportedPicture."""
    page = source.with_name("first.png")
    demuxer = {".mp4": "mov", ".mkv": "matroska", ".avi": "avi"}.get(source.suffix)
    if demuxer is not None:
        scale = f"scale='min({side},iw)':'min({side},ih)':force_original_aspect_ratio=decrease"
        command = [
            "ffmpeg", "-nostdin", "-v", "error", "-threads", "1", "-protocol_whitelist", "file", "-f", demuxer,
            "-i", f"file:{source}", "-an", "-sn", "-frames:v", "1", "-vf", scale, f"file:{page}",
        ]  # fmt: skip
    elif source.suffix == ".pdf":
        command = ["pdftoppm", "-f", "1", "-singlefile", "-png", "-scale-to", str(side), str(source)]
        command.append(str(page.with_suffix("")))
    elif source.suffix in (".heic", ".avif"):
        write_photograph(source, page, side)
        return page
    else:
        return source
    if shutil.which(command[0]) is None:
        raise UnsupportedPicture(f"{command[0]} is not installed")
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    if done.returncode or not page.is_file():
        raise BrokenPicture(f"{command[0]} ended with {done.returncode}")
    return page


def write_photograph(source: Path, page: Path, side: int) -> None:
    """HEIC and AVIF, which OpenImageIO's wheel does not read, as a PNG in sRGB, upright, of at most `side` pixels.

    Raises BrokenPicture, UnsupportedPicture.
    """
    pi_heif.register_heif_opener(thumbnails=False)
    try:
        with Image.open(source) as image:
            if image.width * image.height * 4 > MAX_PIXELS_SIZE:
                raise UnsupportedPicture(f"{source.name} is too large")
            image.load()
            upright = ImageOps.exif_transpose(image)
            mode = "RGBA" if upright.has_transparency_data else "RGB"
            # Telephones write the wider colours of their screens.
            if (profile := image.info.get("icc_profile")) and upright.mode in ("RGB", "RGBA"):
                told = ImageCms.ImageCmsProfile(io.BytesIO(profile))
                ImageCms.profileToProfile(upright, told, ImageCms.createProfile("sRGB"), inPlace=True)
            upright = upright.convert(mode)
            upright.thumbnail((side, side))
            upright.save(page, compress_level=1, icc_profile=None, exif=b"")
    except (OSError, ValueError, SyntaxError, RuntimeError, ImageCms.PyCMSError) as error:
        raise BrokenPicture(f"{source.name} cannot be read: {error}") from error


def limit_resources() -> None:
    """Limits this process and what it starts. Its priority is the lowest, too."""
    os.nice(10)
    for kind, limit in (
        (resource.RLIMIT_AS, MEMORY_SIZE),
        (resource.RLIMIT_FSIZE, WRITTEN_SIZE),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))
    # The first limit says by its signal that it was the time.
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
    oiio.attribute("threads", 1)
    # The ending was chosen by what the file is; nobody shall guess anew.
    oiio.attribute("try_all_readers", 0)


def main(source: str, target: str, side: str) -> str:
    limit_resources()
    try:
        image = read_limited(picture_of(Path(source), int(side)))
        write_preview(image, Path(target), int(side))
    except BrokenPicture:
        return "broken"
    except (UnsupportedPicture, MemoryError):
        return "unsupported"
    return "ready"


if __name__ == "__main__":
    print(main(*sys.argv[1:]))  # noqa: T201  (its answer)
