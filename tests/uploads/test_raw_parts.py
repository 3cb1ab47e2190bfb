"""PUT …/multipart/parts/{number}: the part is the body of the request."""

import errno
import os
import random
import zlib
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from pytest_django import Settings

from drives.models import Drive
from drives.services import hashing_ahead
from drives.services.garbage import collect_staged
from drives.services.hashing_ahead import Ahead
from drives.storage import blob_storage
from tests.conftest import Client
from tests.uploads.conftest import (
    PART,
    Sender,
    announced,
    assert_stored,
    begin,
    content_of,
    md5_of,
    staged,
    sums,
)
from tests.uploads.raw_parts import (
    CHANGED,
    CONTENT,
    OTHER,
    PARTS,
    declared,
    etag_of,
    hashed,
    put,
    send_all,
    sender,
)
from uploads.models import UploadPart
from uploads.services import files, parts

__all__ = ["sender"]  # a fixture

pytestmark = pytest.mark.django_db


def test_a_file_in_raw_parts_of_any_order(sender: Sender, drive: Drive) -> None:
    order = list(enumerate(PARTS, 1))
    random.Random(7).shuffle(order)
    for count, (number, part) in enumerate(order, 1):
        answer = put(sender, number, part)
        assert answer.status_code == 200
        etag = f"{zlib.crc32(part):08x}"
        assert answer.json() == {
            "chunk_index": number,
            "etag": etag,
            "chunk_etag": etag,
            "uploaded_chunks": count,
            "total_chunks": len(PARTS),
            "progress_percentage": round(100 * count / len(PARTS), 2),
        }
    etags = {str(number): f"{zlib.crc32(part):08x}" for number, part in order}
    assert sender.complete(chunk_etags=etags).status_code == 200
    assert_stored(sender, CONTENT)
    assert sums(drive) == (len(CONTENT), 0)


def test_a_declared_digest_is_held_to(sender: Sender) -> None:
    refused = put(sender, 1, PARTS[1], **declared(PARTS[0]))
    assert (refused.status_code, refused.json()["code"]) == (422, "digest_mismatch")
    assert not UploadPart.objects.exists()
    assert put(sender, 1, PARTS[0], **declared(PARTS[0])).json()["etag"] == md5_of(PARTS[0])


@pytest.mark.parametrize("header", ["x", "eA==", md5_of(b"")])
def test_a_malformed_digest_is_refused(sender: Sender, header: str) -> None:
    answer = put(sender, 1, PARTS[0], HTTP_CONTENT_MD5=header)
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["header", "Content-MD5"])
    assert not UploadPart.objects.exists()


def test_what_is_no_part_is_refused(sender: Sender) -> None:
    for number, content, code in (
        (0, PARTS[0], "part_number_invalid"),
        (len(PARTS) + 1, PARTS[0], "part_number_invalid"),
        (1, PARTS[0][:-1], "size_mismatch"),
        (1, PARTS[0] + b"x", "size_mismatch"),
        (1, b"", "size_mismatch"),
        (len(PARTS), PARTS[0], "size_mismatch"),
    ):
        answer = put(sender, number, content)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert put(sender, 1, PARTS[0], kind="text/plain").status_code == 415
    assert put(sender, "x", PARTS[0]).status_code == 404
    assert not UploadPart.objects.exists()


def test_nobody_else_sends_a_part(sender: Sender, stranger_api: Client, anonymous: Client) -> None:
    assert put(sender.again(stranger_api), 1, PARTS[0]).status_code == 404
    assert put(sender.again(anonymous), 1, PARTS[0]).status_code == 401
    elsewhere = Sender(sender.client, "0196e9f6-0000-7000-8000-000000000000", sender.file_id)
    assert put(elsewhere, 1, PARTS[0]).status_code == 404
    assert not UploadPart.objects.exists()


def test_a_part_that_is_not_held_in_memory(owner_api: Client, settings: Settings) -> None:
    settings.UPLOAD_PART_SIZE = 9 * 2**20
    content = os.urandom(settings.UPLOAD_PART_SIZE + 5)
    (sender,) = begin(owner_api, announced("/huge", content))
    sender.start()
    first = content[: settings.UPLOAD_PART_SIZE]
    refused = put(sender, 1, first, **declared(b"other"))
    assert (refused.status_code, refused.json()["code"]) == (422, "digest_mismatch")
    assert put(sender, 1, first, **declared(first)).status_code == 200
    assert put(sender, 2, content[settings.UPLOAD_PART_SIZE :]).status_code == 200
    assert sender.complete().status_code == 200
    assert_stored(sender, content)


class Died(BaseException):
    """The end of the server at this very point."""


def dies(*args: Any, **kwargs: Any) -> Any:
    raise Died


def test_a_part_comes_again_with_other_content(sender: Sender, drive: Drive) -> None:
    send_all(sender)
    for content in (OTHER, bytes(PART), OTHER, OTHER):
        answer = put(sender, 3, content)
        assert answer.json()["etag"] == etag_of(sender, 3) == f"{zlib.crc32(content):08x}"
        assert answer.json()["uploaded_chunks"] == len(PARTS)
        assert len(staged()) == 2  # the file, and what came last
    assert sender.complete().status_code == 200
    assert_stored(sender, CHANGED)
    assert sums(drive) == (len(CONTENT), 0)


def test_and_back_again(sender: Sender) -> None:
    send_all(sender)
    put(sender, 3, OTHER)
    assert put(sender, 3, PARTS[2]).status_code == 200
    assert sender.complete().status_code == 200
    assert_stored(sender, CONTENT)


def test_the_same_bytes_under_another_digest_are_written_once(sender: Sender) -> None:
    send_all(sender)
    assert put(sender, 3, PARTS[2], **declared(PARTS[2])).json()["etag"] == md5_of(PARTS[2])
    assert etag_of(sender, 3) == md5_of(PARTS[2])
    assert UploadPart.objects.exclude(staging_id="").count() == 0
    assert len(staged()) == 1


def test_a_refused_digest_leaves_the_part_that_was_there(sender: Sender) -> None:
    send_all(sender)
    refused = put(sender, 3, OTHER, **declared(PARTS[2]))
    assert (refused.status_code, refused.json()["code"]) == (422, "digest_mismatch")
    assert etag_of(sender, 3) == f"{zlib.crc32(PARTS[2]):08x}"
    assert sender.complete().status_code == 200
    assert_stored(sender, CONTENT)


def test_a_full_disk_leaves_the_part_that_was_there(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    send_all(sender)
    real = parts.Gathered.write_to

    def half(gathered: Any, file: Any, start: int) -> None:
        os.pwrite(file.fileno(), gathered.buffer[: PART // 2], start)
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(parts.Gathered, "write_to", half)
    answer = put(sender, 3, OTHER)
    monkeypatch.setattr(parts.Gathered, "write_to", real)
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
    assert len(staged()) == 1
    assert etag_of(sender, 3) == f"{zlib.crc32(PARTS[2]):08x}"
    assert sender.complete().status_code == 200
    assert_stored(sender, CONTENT)


def test_who_dies_before_the_new_part_is_written_down_keeps_the_old_one(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_all(sender)
    with monkeypatch.context() as patch:
        patch.setattr(parts, "note_part", dies)
        with pytest.raises(Died):
            put(sender, 3, OTHER)
    assert len(staged()) == 2  # the sweep's
    assert etag_of(sender, 3) == f"{zlib.crc32(PARTS[2]):08x}"
    assert sender.complete().status_code == 200
    assert content_of(sender.row().file) == CONTENT  # type: ignore[arg-type]


def test_who_dies_in_the_middle_of_a_completion_can_complete_again(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_all(sender)
    hashed(sender, len(CONTENT))
    put(sender, 3, OTHER)
    with monkeypatch.context() as patch:
        patch.setattr(files, "hash_parts", dies)
        with pytest.raises(Died):
            sender.complete()
    # As in another process, which has hashed what was there before.
    upload_id = sender.row().upload_id
    hashing_ahead.files[upload_id] = stale = Ahead(blob_storage().staging_path(upload_id), with_md5=False)
    stale.hasher.update(CONTENT)
    assert sender.complete().status_code == 200
    assert_stored(sender, CHANGED)


def test_the_sweep_leaves_what_is_staged_apart(sender: Sender) -> None:
    send_all(sender)
    put(sender, 3, OTHER)
    later = timezone.now() + 2 * settings.BLOB_GRACE
    assert list(collect_staged(now=later)) == []
    assert sender.complete().status_code == 200
    assert_stored(sender, CHANGED)


@pytest.mark.parametrize("way", ["abort", "cancel", "whole", "batch"])
def test_whatever_ends_the_parts_ends_what_is_staged_apart(sender: Sender, way: str) -> None:
    send_all(sender)
    put(sender, 3, OTHER)
    if way == "abort":
        assert sender.abort().status_code == 200
    elif way == "cancel":
        assert sender.client.put(f"/upload-tasks/{sender.task_id}/cancel").status_code == 200
    elif way == "whole":
        assert sender.whole(CONTENT).status_code == 200
    else:
        form = {sender.file_id: SimpleUploadedFile("x", CONTENT)}
        url = f"/upload-tasks/{sender.task_id}/files/batch"
        assert sender.client.post(url, form, format="multipart").json()["landed"] == 1
    assert (staged(), UploadPart.objects.count()) == ([], 0)
