"""Pictures for tests, honest and dishonest ones. None is larger than a few kilobytes, whatever its header says."""

import struct
import zlib
from io import BytesIO
from typing import Any

from PIL import Image


def picture(kind: str = "PNG", size: tuple[int, int] = (40, 30), mode: str = "RGB", **options: Any) -> bytes:
    """A picture that is red on its left half and blue on its right."""
    image = Image.new(mode, size)
    colours = {"RGB": ((255, 0, 0), (0, 0, 255)), "RGBA": ((255, 0, 0, 255), (0, 0, 255, 128))}
    left, right = colours.get(mode, ((1,) * len(image.getbands()), (200,) * len(image.getbands())))
    image.paste(left if len(left) > 1 else left[0], (0, 0, size[0] // 2, size[1]))
    image.paste(right if len(right) > 1 else right[0], (size[0] // 2, 0, *size))
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    """A PNG whose header says that it is so large; there are hardly any pixels in it."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + chunk(b"IEND", b"")


def png_of_nothing(side: int) -> bytes:
    """A square PNG that really has all its pixels, all black, in very few bytes."""
    packed = zlib.compressobj(9)
    rows = b"".join(packed.compress(b"\0" * (1 + side)) for _ in range(side)) + packed.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


ZIPPED = zlib.compress(b"A" * 64_000_000, 9)
"""64 MB in 64 KB."""


def gif(screen: tuple[int, int], frame: tuple[int, int]) -> bytes:
    """A GIF with a screen of one size and a frame of another."""
    head = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return head + b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02\x02\x4c\x01\x00;"


def webp(width: int, height: int) -> bytes:
    """An animated WebP whose canvas is so large, in 30 bytes of frame header and no frame."""
    size = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    extended = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + size
    animation = b"ANIM" + struct.pack("<I", 6) + b"\0" * 6
    body = b"WEBP" + extended + animation
    return b"RIFF" + struct.pack("<I", len(body)) + body


def jpeg_of(width: int, height: int) -> bytes:
    """A JPEG whose header says that it is so large."""
    whole = picture("JPEG", (16, 16))
    place = whole.index(b"\xff\xc0") + 5
    return whole[:place] + struct.pack(">HH", height, width) + whole[place + 4 :]


def animated(kind: str) -> bytes:
    """Three frames: red, green, blue."""
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "lime", "blue")]
    buffer = BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], duration=100)
    return buffer.getvalue()


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>'
HTML = b"<!doctype html><script>alert(1)</script>"
