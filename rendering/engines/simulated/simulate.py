"""Pretend to render: simulate.py FOLDER WIDTH HEIGHT SECONDS TITLE FRAME..., or to read a scene:
simulate.py --inspect OUT.json

Takes seconds (for each frame) to do nothing and writes a picture that says so. Needs only Python, and starts in a few
milliseconds: `python -S -E simulate.py`.
"""

# ruff: noqa: PTH123  (pathlib and json take longer to import than this to draw)

from __future__ import annotations

import sys
import time
import zlib
from binascii import a2b_base64

TITLE = "SIMULATED 模拟渲染"
WIDTH, HEIGHT = 960, 540
REPORT_INTERVAL = 0.2  # seconds between two lines of progress
WIDE = "模拟渲染"
LETTER_HEIGHT = 24
# Printable ASCII, 12 by 24, and WIDE, 24 by 24, each row in 3 bytes: drawn once with DejaVu Sans Mono Bold and Droid
# Sans Fallback, since a machine need not have fonts.
PACKED = (
    "eNq1WL2L40YUf7LEyIWQN01QIRyHhJTBaQ4fMestU9yfsIWqq1W6WHZNcJEqpFyIucsfcEXKLVKIEI4trkh5hcmJVFeEQ5AiKsRu"
    "3nszsiXra+TdG34s8uzo6c37mt8bgI804mYcLGgdxnUJDxpvGG/BviOQwF/BnMIoI+CDCAgd44xgJGCmIL4DcQb2GZgJGCnAOcAz"
    "sJ6BndKMXEmoG/YKRhE4jNEfYG8AQjAisOdgXQI8Z+DDvEsf/rRxS+8i0J5GDOa/YH/LGIP9I5i42f+65ARlHD08gCkjZDm1ARDw"
    "f+Uyr8HvK4CIsVtfhZTPy2h9w77Ec3Z3SsAH/PmgDRasJAPpcexWTRx2aOO+ao2WKnyURG4fDrty5/1pbpDcOxImEETLFjizzBuw"
    "/RznjPwn/gsX4LLOvMAcNMOGyGFgXiDaBwrBdBaYlT6AxIxfj8k7Ju/IzghacnwlB/WnLcxymT59QtWN9iGVTzjxESHt0Q5BhLka"
    "uw22DvwWAXKweta8ok+sVX/MH3I5IYv1C/7ytfyllJfmRSzzXcSqpsn6Znalg4yf/dc9ZeqSShr6KDle+cUMjK2yz2DGZT9+cCpp"
    "5pe+HM26MQAY0xFDkbkiUOxd8uSgd5FQlbDyrD8sPhNt1D9jHcb0gD9x0tIpfQl5Z1DM0KBsKH07pyTKdEEIEJfgIF4XcEmTGOrm"
    "Gow71rbVRzL8kGkQ2eDaJeubmYdWh2GTw4RSmVucyWhZ56aMjHTGDNpnfQ6qY2taAF1nB3kEvz4rK1DEjBfEWvleUuOgIunVVS05"
    "jGPsc8GQRWyjZ5+qQaSGlXmtehi3Qcc+FJ/ZvqpXoXnu2G7u3BkX+ZgjE3FTCAaX0CFHBzp+l1/8rYDzQ6qgZWefuLfCliGFSNfP"
    "c/ha50WJt5ShyVtUvs8L77KDaL5PPPfQB6vlSc/6k+SR4O9dr3ueSv0jDrmUGxwmRZpxOLojtOeFTp1vLF89ecKOZhBuFGS1J0ia"
    "p6GPI8B1FcQHEP8wXoEoRjgXok59pCby60WDyGNod/S0D9ctbK1Omq6di7xuWWB0kjyvdPOdQiXV83ucL64bAlQPsmtJVJspu5Vp"
    "oS31uKlpjmcySKgFtbipnZQUetOdRI84VB7VNt3BI3/LYEI1wN25RJmw56KTYsz3Eh/6nBdLDpUX6qBReMGTyz4KSYK3LlOgNU12"
    "nu/g7oHK014q+ujsq0YfKYfJM+nzPTennXlxwWuKfOCoeljyV/u+XBiMuRVK9fy1qa+u3U1uuO+dzeSo/l1PThFEbKKuffkFFhSX"
    "T8NO/sOvdJQv7MJO+zRfW3WvVYseco72V/XuJVMFbQf8SfmV9NenId97cKGueN6jXc6Wypfxt7qLOECP/JKcashNN/cdkgLhvkwd"
    "++z4v2y0q/FzxyGkb+da/jNnfbZ95EhHO+zrDV+wy9vIpJ/fkQs5kgjtWNAr4j+SuvTSh9TYKZAoffoetaVNvSWAlFm4hTYjghYX"
    "mjMR4rsjfIUuPXT4zyn79KBeJXRBR3d01VLWVEOCY3Gwl6iujiV8Hl3U9aoNdbXmpvR3imprru8fYQWERYZ/F+tg8TIVJx5i9Fk6"
    "+slz//TGL9NPDXiCwDXmSohI+KFYzkUwPOCGwpmKrwiLL6YC8TliIiYT+5fJaBKcToInk0B8GYivY/E0Ed9cC9M7FY5vDQ/usnyk"
    "8/epdZ9CNIR376fv3mMBda4SQATTAeIqEcEUgZPy6vzpffbJfSkMLAdGGHdX0clV5DuRNYwM79acvRHhrROnw2t6bYGfQFP9BcbP"
    "K9uLx96F53k4/z+jIrZs"
)
ROWS = zlib.decompress(a2b_base64(PACKED))
ORDER = {letter: place for place, letter in enumerate([*map(chr, range(32, 127)), *WIDE])}


def say(line: str) -> None:
    """Heard at the next flush: who listens is woken once for what is said together."""
    sys.stdout.write(line + "\n")


def letters(text: str) -> list[str]:
    """The rows of a text from top to bottom, each a string of 0 and 1; letters that it has not are question marks."""
    lines = [""] * LETTER_HEIGHT
    for letter in text:
        start = ORDER.get(letter, ORDER["?"]) * LETTER_HEIGHT * 3
        width = 24 if letter in WIDE else 12
        for row in range(LETTER_HEIGHT):
            at = start + 3 * row
            lines[row] += f"{int.from_bytes(ROWS[at : at + 3], 'big'):0{width}b}"
    return lines


def draw(width: int, height: int, number: int, texts: list[list[str]]) -> bytes:
    """A PNG with the texts below each other; the ground and the bar tell frames apart without reading.

    https://www.w3.org/TR/png-3/: colour type 3, one byte a pixel.
    """
    blank = bytes(width)
    bar_width = max(1, width // 10)
    bar_at = (number * bar_width // 2) % max(1, width - bar_width + 1)
    bar = (bytes(bar_at) + b"\1" * bar_width).ljust(width, b"\0")
    bar_height = max(1, height // 40)
    rows = [blank] * (height - bar_height) + [bar] * bar_height
    at = height // 8
    for lines in texts:
        scale = max(1, min(width * 9 // 10 // max(1, len(lines[0])), height // (LETTER_HEIGHT * 5)))
        left = max(0, (width - len(lines[0]) * scale) // 2)
        for line in lines:
            pixels = line.replace("0", "\0" * scale).replace("1", "\1" * scale).encode()
            row = (bytes(left) + pixels[: width - left]).ljust(width, b"\0")
            for y in range(at, min(at + scale, height)):
                rows[y] = row
            at += scale
        at += LETTER_HEIGHT * scale // 4
    shade = number % 8
    palette = bytes([30 + 12 * shade, 60 + 20 * (shade % 3), 140 - 10 * shade, 255, 255, 255])
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 3, 0, 0, 0])
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows), 1)
    chunks = [(b"IHDR", header), (b"PLTE", palette), (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
        for kind, body in chunks
    )


def render(folder: str, width: int, height: int, seconds: float, title: str, *frames: int) -> None:
    above, below = letters(TITLE), letters(title)
    for place, number in enumerate(frames):
        say(f"openjd_status: frame {number}: simulated, nothing is rendered")
        started = time.monotonic()
        while (gone := time.monotonic() - started) < seconds:
            say(f"openjd_progress: {100 * (place + gone / seconds) / len(frames):.1f}")
            sys.stdout.flush()
            time.sleep(min(REPORT_INTERVAL, seconds - gone))
        path = f"{folder}/simulated_{'-' if number < 0 else ''}{abs(number):04d}.png"
        with open(path, "wb") as file:
            file.write(draw(width, height, number, [above, letters(f"frame {number}"), below]))
        say(f"openjd_progress: {100 * (place + 1) / len(frames):.1f}")
        say(f"yuntu_frame: {number} {path}")
        sys.stdout.flush()


def inspect(out: str) -> None:
    """What is said of every scene: nobody looks into it."""
    import json

    report = {
        "scene": "", "renderer": "simulated", "frame_start": 1, "frame_end": 10, "frame_step": 1,
        "width": WIDTH, "height": HEIGHT, "fps": 24.0, "cameras": [], "active_camera": None,
        "output_format": "PNG", "assets": [],
    }  # fmt: skip
    with open(out, "w", encoding="utf-8") as file:
        json.dump(report, file)


if __name__ == "__main__":
    if sys.argv[1] == "--inspect":
        inspect(sys.argv[2])
    else:
        folder, width, height, seconds, title, *frames = sys.argv[1:]
        size = (int(width) or WIDTH, int(height) or HEIGHT)
        render(folder, *size, float(seconds), title, *map(int, frames))
