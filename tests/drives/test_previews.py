"""Previews: small pictures of what people keep, and a word about what has none."""

import os
import zlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks

from accounts.models import User
from common.processes import tree_of
from common.realtime import connection as redis
from drives import pictures
from drives.models import Blob, BlobPreview, File
from drives.services import previews
from drives.services.blobs import store_chunks
from drives.services.garbage import collect_garbage
from drives.services.previews import DUE, ask_preview, kind_of, make_preview
from drives.storage import blob_storage
from drives.tasks import make_preview as task
from tests.conftest import Client
from tests.drives.manager import id_at
from tests.drives.previews import drawn, made, picture, sides, sides_of
from tests.factories import put
from tests.racing import race, wait_for

pytestmark = pytest.mark.django_db
State = BlobPreview.State
SIZES = BlobPreview.SIZES


def asked(client: Client, file_id: Any, **query: Any) -> tuple[int, dict[str, Any]]:
    answer = client.get(f"/files/{file_id}/preview", query)
    return answer.status_code, answer.json()


# --- At the door ------------------------------------------------------------------------------------------------


def test_it_is_made_when_somebody_asks(
    owner: User,
    owner_api: Client,
    tmp_path: Path,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    file = put(owner, "/场景/木头.png", picture(tmp_path))
    assert not BlobPreview.objects.exists()
    with django_capture_on_commit_callbacks() as messages:
        first = owner_api.get(f"/files/{file.pk}/preview")
    assert (first.status_code, first.headers["Retry-After"]) == (202, "1")
    assert first.json() == {"state": "making", "size": 480, "preview_url": None}
    assert len(messages) == 1
    task(str(BlobPreview.objects.get().pk))
    code, ready = asked(owner_api, file.pk)
    assert (code, ready["state"]) == (200, "ready")
    shown: Any = Client().get(ready["preview_url"].removeprefix("http://testserver"))
    assert (shown.status_code, shown.headers["Content-Type"]) == (200, "image/webp")
    assert shown.headers["Content-Disposition"].startswith("inline")
    (tmp_path / "shown.webp").write_bytes(b"".join(shown.streaming_content))
    assert sides_of(tmp_path / "shown.webp") == (480, 270)
    with django_capture_on_commit_callbacks() as messages:
        assert asked(owner_api, file.pk)[0] == 200
    assert messages == []
    assert asked(owner_api, file.pk, size=160)[0] == 202
    assert sorted(BlobPreview.objects.values_list("size", flat=True)) == [160, 480]


def test_equal_contents_share_it(
    owner: User, owner_api: Client, stranger: User, stranger_api: Client
) -> None:
    ours, theirs = put(owner, "/a.png", b"no picture"), put(stranger, "/b.exr", b"no picture")
    assert asked(owner_api, ours.pk)[0] == 202
    task(str(BlobPreview.objects.get().pk))
    assert asked(stranger_api, theirs.pk) == (200, {"state": "unsupported", "size": 480, "preview_url": None})


def test_who_may_not_read_gets_none(
    owner: User, owner_api: Client, stranger_api: Client, anonymous: Client
) -> None:
    file = put(owner, "/a/b.png", b"x")
    assert asked(stranger_api, file.pk)[0] == 404
    assert anonymous.get(f"/files/{file.pk}/preview").status_code == 401
    assert asked(owner_api, id_at("/a"))[0] == 404
    owner_api.delete(f"/files/{file.pk}")
    assert asked(owner_api, file.pk)[0] == 404
    assert not BlobPreview.objects.exists()


@pytest.mark.parametrize("size", ["0", "481", "-160", "big", "4800000"])
def test_other_sizes_are_refused(owner: User, owner_api: Client, size: str) -> None:
    file = put(owner, "/b.png", b"x")
    code, body = asked(owner_api, file.pk, size=size)
    assert (code, body["errors"][0]["loc"]) == (422, ["query", "size"])
    assert not BlobPreview.objects.exists()


def test_lists_say_where_to_ask_and_look_nothing_up(owner: User, owner_api: Client) -> None:
    file = put(owner, "/a/x.EXR", b"x")
    put(owner, "/a/y.blend", b"y")
    entries = owner_api.get("/files", {"folder_path": "/a"}).json()["files"]
    assert [entry["preview_url"] for entry in entries] == [f"/api/v1/files/{file.pk}/preview", None]
    assert owner_api.get("/files").json()["files"][0]["preview_url"] is None
    assert not BlobPreview.objects.exists()
    asked(owner_api, file.pk)
    task(str(BlobPreview.objects.get().pk))
    with CaptureQueriesContext(connection) as captured:
        asked(owner_api, file.pk)
    assert len(captured) <= 5


@pytest.mark.django_db(transaction=True)
def test_sixteen_who_ask_at_once_have_it_made_once(owner: User, owner_api: Client) -> None:
    file = put(owner, "/b.png", b"x")
    queue = f"{settings.REDIS_PREFIX}-celery:previews"
    before: Any = redis().llen(queue)
    clients = [Client(owner) for _number in range(16)]
    codes = race(16, lambda number: clients[number].get(f"/files/{file.pk}/preview").status_code)
    assert codes == [202] * 16
    assert BlobPreview.objects.count() == 1
    assert redis().llen(queue) == before + 1


@pytest.mark.django_db(transaction=True)
def test_a_preview_that_was_forgotten_is_asked_for_once_more() -> None:
    blob, now = store_chunks([b"x"]), timezone.now()
    queue = f"{settings.REDIS_PREFIX}-celery:previews"
    ask_preview(blob=blob, size=480, now=now)
    before: Any = redis().llen(queue)
    ask_preview(blob=blob, size=480, now=now + DUE - timedelta(seconds=1))
    assert redis().llen(queue) == before
    race(8, lambda number: ask_preview(blob=blob, size=480, now=now + DUE))
    assert redis().llen(queue) == before + 1
    make_preview(preview_id=BlobPreview.objects.get().pk)
    ask_preview(blob=blob, size=480, now=now + 9 * DUE)
    assert redis().llen(queue) == before + 1


# --- What is drawn ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "exr", "webp", "bmp", "tga", "hdr", "gif", "dpx"])
def test_pictures_of_every_kind(tmp_path: Path, ending: str) -> None:
    content = picture(tmp_path, ending)
    assert kind_of(store_chunks([content])) == ending
    assert drawn(tmp_path / f"made.{ending}") == (480, 270)


def test_an_exr_has_a_preview_in_each_size(tmp_path: Path) -> None:
    content = picture(tmp_path, "exr")
    found = [sides(made(content, size), tmp_path) for size in SIZES]
    assert found == [(160, 90), (480, 270), (640, 360)]


@pytest.mark.parametrize(("size", "expected"), [(160, (90, 160)), (480, (270, 480)), (1600, (720, 1280))])
def test_every_size(tmp_path: Path, size: int, expected: tuple[int, int]) -> None:
    picture(tmp_path, "png", 720, 1280)
    assert drawn(tmp_path / "made.png", size) == expected


@pytest.mark.parametrize("channels", [1, 2, 4, 9])
def test_pictures_of_other_channels(tmp_path: Path, channels: int) -> None:
    picture(tmp_path, "exr", channels=channels)
    assert drawn(tmp_path / "made.exr") == (480, 270)


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "exr", "webp"])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_picture_that_was_cut_short_is_broken(tmp_path: Path, ending: str, share: float) -> None:
    content = picture(tmp_path, ending)
    (tmp_path / f"cut.{ending}").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(pictures.BrokenPicture):
        pictures.read_limited(tmp_path / f"cut.{ending}")


def test_an_exr_that_was_cut_short_has_a_mark_and_no_picture(tmp_path: Path) -> None:
    preview = made(picture(tmp_path, "exr")[:-1000])
    assert (preview.state, preview.result) == (State.BROKEN, None)


def test_a_photograph_with_things_behind_it_is_whole(tmp_path: Path) -> None:
    """Cameras append videos and maps of depth, and put a small picture before the large one."""
    content = picture(tmp_path, "jpg")
    small = picture(tmp_path, "jpg", 16, 16)
    exif = b"\xff\xe1" + (len(small) + 8).to_bytes(2, "big") + b"Exif\0\0" + small
    large = content[:2] + exif + content[2:]
    path = tmp_path / "photograph.jpg"
    path.write_bytes(large + b"appended" * 99)
    assert drawn(path) == (480, 270)
    # The end of the small one is not the end of the large one.
    path.write_bytes(large[:-2])
    with pytest.raises(pictures.BrokenPicture):
        pictures.read_limited(path)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\3\4" + b"\0" * 90])
def test_what_is_no_picture_is_not_drawn(content: bytes) -> None:
    preview = made(content)
    assert (preview.state, preview.result) == (State.UNSUPPORTED if content else State.BROKEN, None)


@pytest.mark.parametrize("content", [b"%PDF-1.7\n", b"\0\0\0\x18ftypisom" + b"\0" * 90])
def test_without_its_tool_a_kind_is_unsupported(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert made(content).state == State.UNSUPPORTED


# --- What hostile pictures get ----------------------------------------------------------------------------------


def png_of(width: int, height: int) -> bytes:
    """The beginning of a PNG that claims to be large."""
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    body = b"IHDR" + size + b"\x08\x06\0\0\0"
    data = b"IDAT" + zlib.compress(b"\0" * 1000)
    chunks = [body, data, b"IEND"]
    wrapped = [
        (len(chunk) - 4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") for chunk in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(wrapped)


def test_a_picture_of_too_many_pixels_is_not_read() -> None:
    assert made(png_of(16_000, 16_000)).state == State.UNSUPPORTED


def test_the_limit_of_pixels_counts_the_channels_that_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path, "exr", 64, 36, 9)
    monkeypatch.setattr(pictures, "MAX_PIXELS_SIZE", 64 * 36 * 4 * 4)
    assert pictures.read_limited(tmp_path / "made.exr").spec().nchannels == 4
    monkeypatch.setattr(pictures, "MAX_PIXELS_SIZE", 64 * 36 * 4 * 4 - 1)
    with pytest.raises(pictures.UnsupportedPicture):
        pictures.read_limited(tmp_path / "made.exr")


def test_a_content_that_is_too_large_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = picture(tmp_path)
    monkeypatch.setattr(previews, "MAX_SIZE", len(content) - 1)
    assert made(content).state == State.UNSUPPORTED


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("import time; time.sleep(99)", State.UNSUPPORTED),
        ("import subprocess; subprocess.run(['sleep', '99'])", State.UNSUPPORTED),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", State.BROKEN),
        ("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", State.UNSUPPORTED),
        ("print('making')", State.BROKEN),
    ],
)
def test_a_program_that_hangs_or_dies_ends_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, expected: str
) -> None:
    program = tmp_path / "program.py"
    program.write_text(f"import os; open('{tmp_path}/group', 'w').write(str(os.getpgid(0)))\n{what}\n")
    monkeypatch.setattr(previews, "PROGRAM", program)
    monkeypatch.setattr(previews, "WALL_SECONDS", 2 if "99" in what else 60)
    assert made(picture(tmp_path)).state == expected
    group = int((tmp_path / "group").read_text())
    wait_for(lambda: not tree_of(group))  # killed, but not yet buried


def test_the_program_limits_itself_and_what_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "pdftoppm"
    script.write_text(f"#!/bin/sh\nulimit -v > {tmp_path}/limits\nulimit -t >> {tmp_path}/limits\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert made(b"%PDF-1.7\n").state == State.BROKEN
    memory, seconds = (tmp_path / "limits").read_text().split()
    assert (int(memory), int(seconds)) == (pictures.MEMORY_SIZE >> 10, pictures.CPU_SECONDS)


# --- What is kept -----------------------------------------------------------------------------------------------


def test_it_goes_with_the_content_it_shows(tmp_path: Path, owner: User) -> None:
    content = picture(tmp_path)
    file = put(owner, "/b.png", content)
    result = made(content).result
    assert result is not None
    later = timezone.now() + timedelta(days=30)
    assert list(collect_garbage(now=later)) == []
    File.objects.filter(pk=file.pk).delete()
    gone: list[str] = []
    for days in (40, 50, 60, 70):
        gone += [found.key for found in collect_garbage(now=timezone.now() + timedelta(days=days))]
    assert gone == [file.blob.storage_key, result.storage_key]
    assert not BlobPreview.objects.exists()
    assert not Blob.objects.exists()


def test_a_preview_that_is_its_own_does_not_keep_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = picture(tmp_path, "webp")
    (tmp_path / "copy.py").write_text("import shutil, sys; shutil.copy(*sys.argv[1:3]); print('ready')")
    monkeypatch.setattr(previews, "PROGRAM", tmp_path / "copy.py")
    preview = made(content)
    assert (preview.state, preview.result) == (State.READY, None)


def test_a_second_message_changes_nothing(tmp_path: Path) -> None:
    preview = made(picture(tmp_path))
    blobs = Blob.objects.count()
    task(str(preview.pk))
    task(str(preview.blob_id))  # no preview at all
    assert Blob.objects.count() == blobs
    assert BlobPreview.objects.get() == preview


def test_lost_bytes_say_nothing_about_the_content(tmp_path: Path) -> None:
    blob = store_chunks([picture(tmp_path)])
    preview = ask_preview(blob=blob, size=480, now=timezone.now())
    blob_storage().delete(blob.storage_key)
    with pytest.raises(FileNotFoundError):
        task(str(preview.pk))
    preview.refresh_from_db()
    assert preview.state == State.MAKING


@pytest.mark.parametrize("fault", [{"size": 481}, {"state": "broken"}])
def test_the_database_holds_the_rules(tmp_path: Path, fault: dict[str, Any]) -> None:
    preview = made(picture(tmp_path))
    with pytest.raises(IntegrityError), transaction.atomic():
        BlobPreview.objects.filter(pk=preview.pk).update(**fault)
    with pytest.raises(IntegrityError), transaction.atomic():
        BlobPreview.objects.create(blob=preview.blob, size=480, due_at=timezone.now())
