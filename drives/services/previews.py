"""Previews: requested at a door, drawn by a worker in a separate process, stored as blobs."""

import os
import signal
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from django.db import transaction

import drives
from drives.messages import ask_drawing
from drives.models import Blob, BlobPreview
from drives.services.blobs import store_file
from drives.storage import blob_storage

State = BlobPreview.State
DUE = timedelta(minutes=5)
"""How long a preview may wait and be drawn before the next request for it starts it again."""
MAX_SIZE = 2 << 30
"""Bytes of a content that is read for a preview; a bucket sends it whole."""
WALL_SECONDS = 60
PROGRAM = Path(drives.__file__).parent / "pictures.py"
"""Run, not imported: web processes need no OpenImageIO, and a hostile picture can only harm its own process."""

MAGIC: list[tuple[int, bytes, str]] = [
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"\xff\xd8\xff", "jpg"),
    (0, b"GIF8", "gif"),
    (8, b"WEBP", "webp"),
    (0, b"BM", "bmp"),
    (0, b"\x76\x2f\x31\x01", "exr"),
    (0, b"II*\0", "tif"),
    (0, b"MM\0*", "tif"),
    (0, b"II+\0", "tif"),
    (0, b"MM\0+", "tif"),
    (0, b"8BPS", "psd"),
    (0, b"#?RADIANCE", "hdr"),
    (0, b"#?RGBE", "hdr"),
    (0, b"SDPX", "dpx"),
    (0, b"XPDS", "dpx"),
    (0, b"%PDF-", "pdf"),
    # Pictures in the container of videos, which names its kinds after it.
    (4, b"ftypavif", "avif"),
    (4, b"ftypavis", "avif"),
    (4, b"ftyphei", "heic"),
    (4, b"ftyphev", "heic"),
    (4, b"ftypmif1", "heic"),
    (4, b"ftypmsf1", "heic"),
    (4, b"ftyp", "mp4"),
    (4, b"moov", "mp4"),
    (4, b"mdat", "mp4"),
    (4, b"wide", "mp4"),
    (0, b"\x1aE\xdf\xa3", "mkv"),
    (8, b"AVI ", "avi"),
]
"""Bytes at a place in a file, and the ending by which readers know that format."""
TGA_END = b"TRUEVISION-XFILE.\0"
PREVIEW_ENDINGS = {
    ".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".exr", ".tif", ".tiff", ".psd", ".psb", ".hdr", ".dpx",
    ".tga", ".heic", ".heif", ".avif", ".pdf", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi",
}  # fmt: skip
"""Endings of names for which it is worth asking. The content decides."""


def ask_preview(*, blob: Blob, size: int, now: datetime) -> BlobPreview:
    """The preview of a content in its present state; the first of any number of requests has it made.

    `size` is one of BlobPreview.SIZES.
    """
    with transaction.atomic():
        preview, is_new = BlobPreview.objects.get_or_create(
            blob=blob, size=size, defaults={"due_at": now + DUE}
        )
        if is_new or is_forgotten(preview, now):
            ask_drawing(preview.pk)
    return preview


def is_forgotten(preview: BlobPreview, now: datetime) -> bool:
    """Whether nobody is making it any more. True for one caller only, who then has it made."""
    if preview.state != State.MAKING or preview.due_at > now:
        return False
    late = BlobPreview.objects.filter(pk=preview.pk, state=State.MAKING, due_at__lte=now)
    return bool(late.update(due_at=now + DUE))


def make_preview(*, preview_id: UUID) -> None:
    """Draw a preview and record the outcome. Doing it twice does no harm.

    Raises FileNotFoundError, StorageError; the preview is then made once it is due and somebody asks.
    """
    preview = BlobPreview.objects.select_related("blob").filter(pk=preview_id, state=State.MAKING).first()
    if preview is None:
        return
    with tempfile.TemporaryDirectory(prefix="preview-") as folder:
        target = Path(folder) / "preview.webp"
        state = draw(preview.blob, preview.size, target)
        # A preview that somebody uploaded may be its own; it must not keep itself alive.
        result = store_file(target) if state is State.READY else None
    if result == preview.blob:
        result = None
    BlobPreview.objects.filter(pk=preview_id, state=State.MAKING).update(state=state, result=result)


def draw(blob: Blob, size: int, target: Path) -> State:
    """Draw the preview of a content into a new file; returns the outcome."""
    kind = kind_of(blob)
    if not kind or blob.size > MAX_SIZE:
        return State.BROKEN if not blob.size else State.UNSUPPORTED
    with blob_storage().local_copy(blob.storage_key) as path:
        # Readers choose themselves by the ending, and blobs have none.
        source = target.with_name(f"source.{kind}")
        source.symlink_to(path)
        return run_program(source, target, size)


def kind_of(blob: Blob) -> str:
    """The ending for a content in a format that we can draw, told by its first bytes; else empty."""
    storage = blob_storage()
    with storage.open_blob(blob.storage_key, 0, 64) as file:
        head = file.read(64)
    for start, magic, kind in MAGIC:
        if head[start : start + len(magic)] == magic:
            return "avif" if kind == "heic" and b"avif" in head else kind
    with storage.open_blob(blob.storage_key, max(blob.size - len(TGA_END), 0)) as file:
        return "tga" if file.read() == TGA_END else ""


def run_program(source: Path, target: Path, size: int) -> State:
    """The program's answer. A program that crashes was given a broken picture; one that takes too long is ended."""
    process = subprocess.Popen(
        [sys.executable, "-I", str(PROGRAM), str(source), str(target), str(size)],
        cwd=target.parent,
        env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(target.parent)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with process:
        try:
            said, _nothing = process.communicate(timeout=WALL_SECONDS)
        except subprocess.TimeoutExpired:
            # With what it has started: a tool for videos or PDF.
            os.killpg(process.pid, signal.SIGKILL)
            return State.UNSUPPORTED
    if process.returncode == -signal.SIGXCPU:
        return State.UNSUPPORTED
    word = said.decode(errors="replace").strip()
    return State(word) if word in State.values and word != State.MAKING else State.BROKEN
