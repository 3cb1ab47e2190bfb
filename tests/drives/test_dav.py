"""/dav/: what a network drive shows and changes."""

import errno
import os
import resource
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from drives.models import Blob, Drive, DriveMember, File, FileOperation, FileVersion, Folder
from drives.storage import blob_storage
from tests.drives.dav import LOCK, Dav, properties
from tests.factories import put

pytestmark = pytest.mark.django_db
BOMB = """<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>
<D:propfind xmlns:D="DAV:"><D:prop><D:x>&b;</D:x></D:prop></D:propfind>"""


@pytest.fixture
def dav(owner: User, drive: Drive) -> Dav:
    Drive.objects.filter(pk=drive.pk).update(name="云盘")
    return Dav(owner)


def held(drive: Drive) -> dict[str, bytes | int]:
    """Paths of living files with their sizes."""
    rows = File.objects.living().filter(drive=drive).select_related("folder")
    return {f"{row.folder_path.rstrip('/')}/{row.name}": row.size for row in rows}


def to(path: str) -> str:
    return "http://testserver/dav" + quote(path)


def test_the_root_lists_the_drives_one_may_read(
    owner: User, stranger: User, drive: Drive, foreign_drive: Drive
) -> None:
    DriveMember.objects.create(drive=foreign_drive, user=owner, role="viewer")
    Drive.objects.update(name="A/B")
    dav = Dav(owner)
    second = f"A_B ({foreign_drive.pk.hex[-8:]})"
    assert set(dav.list("/")) == {"/dav/", "/dav/A_B/", "/dav" + quote(f"/{second}/", safe="/()")}
    assert len(dav.list("/A_B")) == len(dav.list(f"/{drive.pk}")) == len(dav.list(f"/{second}")) == 1
    assert set(Dav(stranger).list("/")) == {"/dav/", "/dav/A_B/"}
    assert Dav(stranger)("PROPFIND", f"/{drive.pk}").status_code == 404


def test_a_listing(dav: Dav, owner: User, drive: Drive) -> None:
    file = put(owner, "/镜头/a;b?c#1.txt", b"12345")
    moment = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
    File.objects.update(modified_at=moment)
    found = dav.list("/云盘/镜头")
    href = "/dav" + quote("/云盘/镜头/a;b?c#1.txt")
    assert set(found) == {"/dav" + quote("/云盘/镜头/"), href}
    assert found[href]["getcontentlength"] == "5"
    assert found[href]["getetag"] == f'"{file.blob.sha256}"'
    assert found[href]["getlastmodified"] == "Thu, 02 Jan 2020 03:04:05 GMT"
    # One question to Redis for each of 10,000 files would be too many.
    assert "lockdiscovery" not in found[href]
    body = '<propfind xmlns="DAV:"><prop><quota-used-bytes/><quota-available-bytes/></prop></propfind>'
    sizes = properties(dav("PROPFIND", "/云盘", body).content)["/dav" + quote("/云盘/")]
    assert sizes == {"quota-used-bytes": "5", "quota-available-bytes": str((drive.total_size or 0) - 5)}
    assert dav("PROPFIND", "/云盘/nothing").status_code == 404
    # Another spelling of the same letters.
    put(owner, "/é.txt", b"")
    assert dav("PROPFIND", "/云盘/e\u0301.txt").status_code == 207


def test_a_listing_costs_a_constant_number_of_queries(dav: Dav, owner: User) -> None:
    counts = []
    for number in range(2):
        for name in range(3):
            put(owner, f"/all/{number}-{name}.txt", b"x")
            put(owner, f"/all/{number}-{name}/x", b"x")
        dav.list("/云盘/all")
        with CaptureQueriesContext(connection) as queries:
            assert len(dav.list("/云盘/all")) == 1 + 6 * (number + 1)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 5


@pytest.mark.parametrize("depth", ["infinity", None])
def test_nobody_asks_for_everything(dav: Dav, depth: str | None) -> None:
    answer = dav.client.generic(
        "PROPFIND",
        "/dav/",
        headers={"Authorization": dav.authorization, **({"Depth": depth} if depth else {})},
    )
    assert answer.status_code == 403 and b"propfind-finite-depth" in answer.content


@pytest.mark.parametrize("method", ["PROPFIND", "PROPPATCH", "LOCK"])
def test_bombs_of_xml_are_refused(dav: Dav, owner: User, method: str) -> None:
    put(owner, "/a.txt", b"x")
    assert dav(method, "/云盘/a.txt", BOMB).status_code == 400
    assert dav(method, "/云盘/a.txt", b" " * (2**20 + 1)).status_code == 413


def test_reading(dav: Dav, owner: User) -> None:
    file = put(owner, "/a.txt", b"0123456789")
    whole = dav("GET", "/云盘/a.txt")
    assert (whole.status_code, b"".join(whole.streaming_content)) == (200, b"0123456789")
    part = dav("GET", "/云盘/a.txt", Range="bytes=4-", If_Range=whole["ETag"])
    assert (part.status_code, b"".join(part.streaming_content)) == (206, b"456789")
    assert part["Content-Range"] == "bytes 4-9/10"
    assert dav("GET", "/云盘/a.txt", If_None_Match=f'"{file.blob.sha256}"').status_code == 304
    assert dav("GET", "/云盘/a.txt", Range="bytes=10-").status_code == 416
    head = dav("HEAD", "/云盘/a.txt")
    assert (head.status_code, head["Content-Length"], head.content) == (200, "10", b"")
    assert dav("GET", "/云盘/").status_code == 405
    log = FileOperation.objects.get(action="download")
    assert (log.target_id, log.actor, log.path, log.device) == (file.pk, owner, "/a.txt", "测试机")


def test_writing(dav: Dav, owner: User, drive: Drive) -> None:
    new = dav.put("/云盘/a.txt", b"first", X_OC_Mtime="1577934245")
    assert (new.status_code, new["X-OC-Mtime"], new.content) == (201, "accepted", b"")
    file = File.objects.get()
    assert new["ETag"] == f'"{file.blob.sha256}"'
    assert file.modified_at == datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
    again = dav.put("/云盘/a.txt", b"second one")
    assert (again.status_code, again.has_header("X-OC-Mtime")) == (204, False)
    version = FileVersion.objects.select_related("blob").get()
    assert (version.file_id, version.size, version.modified_at) == (file.pk, 5, file.modified_at)
    drive.refresh_from_db()
    assert (held(drive), drive.used_size) == ({"/a.txt": 10}, 10)
    assert (
        list(FileOperation.objects.values_list("action", "actor", "device"))
        == [("upload", owner.pk, "测试机")] * 2
    )
    assert dav.put("/云盘/none/a.txt", b"x").status_code == 409
    assert dav.put("/a.txt", b"x").status_code == 403
    assert dav.put("/云盘/b.txt", b"x", X_OC_Mtime="soon").status_code == 400
    assert dav.put("/云盘/b.txt", b"x", Content_Range="bytes 0-0/9").status_code == 400
    assert held(drive) == {"/a.txt": 10}


def test_conditions(dav: Dav, drive: Drive) -> None:
    etag = dav.put("/云盘/a.txt", b"1")["ETag"]
    assert dav.put("/云盘/a.txt", b"22", If_None_Match="*").status_code == 412
    assert dav.put("/云盘/a.txt", b"22", If_Match='"other"').status_code == 412
    assert held(drive) == {"/a.txt": 1}
    assert dav.put("/云盘/a.txt", b"22", If_Match=etag).status_code == 204


def test_no_room(dav: Dav, drive: Drive) -> None:
    assert dav.put("/云盘/a.txt", b"12345678").status_code == 201
    Drive.objects.update(total_size=10)
    assert dav.put("/云盘/b.txt", b"123").status_code == 507
    assert dav("COPY", "/云盘/a.txt", Destination=to("/云盘/b.txt")).status_code == 507
    assert (held(drive), Blob.objects.count()) == ({"/a.txt": 8}, 1)
    # What takes the place of something needs only the difference.
    assert dav.put("/云盘/a.txt", b"1234567890").status_code == 204


@pytest.mark.parametrize(("number", "status"), [(errno.ENOSPC, 507), (errno.EIO, 503)])
def test_a_disk_that_fails(
    dav: Dav, drive: Drive, monkeypatch: pytest.MonkeyPatch, number: int, status: int
) -> None:
    """It is not the client's fault, and the same comes again; nothing of the first time stays."""

    def fail(storage: Any, path: Path, key: str) -> None:
        raise OSError(number, "the disk fails")

    dav.put("/云盘/a.txt", b"first")
    with monkeypatch.context() as failing:
        failing.setattr(type(blob_storage()), "take_in", fail)
        answer = dav.put("/云盘/a.txt", b"second one")
    assert (answer.status_code, b"disk" in answer.content) == (status, False)
    assert (held(drive), Blob.objects.count()) == ({"/a.txt": 5}, 1)
    assert not any(blob_storage().staging_path("").iterdir())
    assert dav.put("/云盘/a.txt", b"second one").status_code == 204


def test_a_disk_that_is_full_while_bytes_come(dav: Dav, drive: Drive) -> None:
    """Nothing is left of it, and the same is sent again."""
    content = os.urandom(9 * 2**20 + 5000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * 2**20, limits[1]))
    try:
        answer = dav.put("/云盘/a.bin", content)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (answer.status_code, held(drive), Blob.objects.count()) == (503, {}, 0)
    assert not any(blob_storage().staging_path("").iterdir())
    assert dav.put("/云盘/a.bin", content).status_code == 201
    assert b"".join(dav("GET", "/云盘/a.bin").streaming_content) == content


@pytest.mark.parametrize("name", ["CON", "nul.txt", "a.", "a\\b", "a\x01b", "x" * 256])
def test_names_no_file_system_should_be_given(dav: Dav, owner: User, drive: Drive, name: str) -> None:
    put(owner, "/a.txt", b"x")
    assert dav.put(f"/云盘/{name}", b"x").status_code == 400
    assert dav("MKCOL", f"/云盘/{name}").status_code == 400
    assert dav("MOVE", "/云盘/a.txt", Destination=to(f"/云盘/{name}")).status_code == 400
    assert held(drive) == {"/a.txt": 1} and not Folder.objects.exists()


def test_folders(dav: Dav, drive: Drive) -> None:
    assert dav("MKCOL", "/云盘/a").status_code == 201
    assert dav("MKCOL", "/云盘/a").status_code == 405
    assert dav("MKCOL", "/云盘/none/a").status_code == 409
    assert dav("MKCOL", "/other").status_code == 403
    assert [folder.path for folder in Folder.objects.all()] == ["/a"]


def test_deleting_is_the_trash(dav: Dav, owner: User, drive: Drive) -> None:
    put(owner, "/a/b.txt", b"x")
    put(owner, "/c.txt", b"x")
    assert dav("DELETE", "/云盘/a").status_code == dav("DELETE", "/云盘/c.txt").status_code == 204
    assert held(drive) == {} and Folder.objects.in_trash().count() == File.objects.in_trash().count() == 1
    assert dav("DELETE", "/云盘/a").status_code == 404
    assert dav("DELETE", "/云盘").status_code == dav("DELETE", "/").status_code == 403
    assert Drive.objects.get(pk=drive.pk).is_active


def test_moving(dav: Dav, owner: User, drive: Drive) -> None:
    file, folder = put(owner, "/a.txt", b"x"), put(owner, "/from/b.txt", b"22").folder
    assert dav("MOVE", "/云盘/a.txt", Destination=to("/云盘/from/c;d?e.txt")).status_code == 201
    assert dav("MOVE", "/云盘/from", Destination=to("/云盘/to/")).status_code == 201
    assert held(drive) == {"/to/c;d?e.txt": 1, "/to/b.txt": 2}
    file.refresh_from_db()
    assert file.folder == folder
    refused = dav("MOVE", "/云盘/to/b.txt", Destination=to("/云盘/to/c;d?e.txt"), Overwrite="F")
    assert refused.status_code == 412 and FileVersion.objects.count() == 0
    assert dav("MOVE", "/云盘/to/b.txt", Destination=to("/云盘/to/c;d?e.txt")).status_code == 204
    assert (held(drive), FileVersion.objects.get().size) == ({"/to/c;d?e.txt": 2}, 1)
    log = FileOperation.objects.exclude(action="upload").order_by("created_at", "pk")
    assert list(log.values_list("action", "path", "new_path")) == [
        ("move", "/a.txt", "/from/c;d?e.txt"),
        ("rename", "/from", "/to"),
        ("rename", "/to/b.txt", "/to/c;d?e.txt"),
    ]


def test_what_a_folder_takes_the_place_of_goes_into_the_trash(dav: Dav, owner: User, drive: Drive) -> None:
    put(owner, "/a/1.txt", b"1")
    put(owner, "/b/2.txt", b"22")
    assert dav("COPY", "/云盘/a", Destination=to("/云盘/b")).status_code == 204
    assert held(drive) == {"/a/1.txt": 1, "/b/1.txt": 1}
    assert Folder.objects.in_trash().count() == 1
    assert dav("COPY", "/云盘/a", Destination=to("/云盘/c"), Depth="0").status_code == 201
    assert held(drive) == {"/a/1.txt": 1, "/b/1.txt": 1} and Folder.objects.filter(path="/c").exists()
    assert dav("COPY", "/云盘/a/1.txt", Destination=to("/云盘/c/9.txt")).status_code == 201
    assert held(drive)["/c/9.txt"] == 1


@pytest.mark.parametrize(
    ("destination", "status"),
    [
        ("/dav/%E4%BA%91%E7%9B%98/../a", 400),
        ("/dav/%E4%BA%91%E7%9B%98/%ff%fe", 400),
        ("http://[::1/dav/%E4%BA%91%E7%9B%98/b", 400),
        ("/dav/%E4%BA%91%E7%9B%98/%2e%2e/%2e%2e/etc", 400),
        ("http://elsewhere/dav/%E4%BA%91%E7%9B%98/b", 502),
        ("/api/v1/files", 502),
        ("", 400),
        ("/dav/b", 403),
        ("/dav/%E4%BA%91%E7%9B%98", 403),
        ("/dav/%E4%BA%91%E7%9B%98/none/b", 409),
        ("/dav/%E4%BA%91%E7%9B%98/a", 403),
        ("/dav/%E4%BA%91%E7%9B%98/a/in", 403),
    ],
)
def test_bad_destinations(dav: Dav, owner: User, drive: Drive, destination: str, status: int) -> None:
    put(owner, "/a/x.txt", b"x")
    for method in ("MOVE", "COPY"):
        assert dav(method, "/云盘/a", Destination=destination).status_code == status
        assert dav(method, "/云盘/a/x.txt", Destination="/dav/%E4%BA%91%E7%9B%98/a").status_code == 403
    assert held(drive) == {"/a/x.txt": 1}
    assert dav("PROPFIND", "/云盘/a/../a").status_code == 400


def test_a_part_of_a_folder_is_not_the_folder(dav: Dav, owner: User, drive: Drive) -> None:
    """`DELETE /a#x` arrives as `/a`, beside what was sent."""
    put(owner, "/a/x.txt", b"x")
    path = f"/dav/{drive.pk}/a"
    headers = {"Authorization": dav.authorization}
    assert dav.client.delete(path, headers=headers, RAW_URI=f"{path}#x").status_code == 400
    assert held(drive) == {"/a/x.txt": 1}
    assert dav.client.delete(path, headers=headers, RAW_URI=path).status_code == 204


def requests(dav: Dav, name: str) -> list[Any]:
    patch = '<propertyupdate xmlns="DAV:"><set><prop><getlastmodified>9</getlastmodified></prop></set></propertyupdate>'
    return [
        dav.put(f"/{name}/new.txt", b"x"),
        dav.put(f"/{name}/a.txt", b"changed"),
        dav("MKCOL", f"/{name}/new"),
        dav("DELETE", f"/{name}/a.txt"),
        dav("MOVE", f"/{name}/a.txt", Destination=to(f"/{name}/b.txt")),
        dav("COPY", f"/{name}/a.txt", Destination=to(f"/{name}/b.txt")),
        dav("LOCK", f"/{name}/a.txt", LOCK),
        dav("LOCK", f"/{name}/new.txt", LOCK),
        dav("PROPPATCH", f"/{name}/a.txt", patch),
    ]


def test_who_may_only_read(dav: Dav, owner: User, stranger: User, drive: Drive) -> None:
    file = put(owner, "/a.txt", b"x")
    DriveMember.objects.create(drive=drive, user=stranger, role="viewer")
    reader = Dav(stranger)
    *answers, patched = requests(reader, "云盘")
    assert [answer.status_code for answer in answers] == [403] * 8
    assert b"403 Forbidden" in patched.content
    assert reader("GET", "/云盘/a.txt").status_code == 200
    DriveMember.objects.all().delete()
    assert {answer.status_code for answer in requests(reader, str(drive.pk))} <= {404, 409}
    assert held(drive) == {"/a.txt": 1}
    before = file.modified_at
    file.refresh_from_db()
    assert file.modified_at == before


def test_times_of_windows(dav: Dav, owner: User) -> None:
    put(owner, "/a.txt", b"x")
    body = """<D:propertyupdate xmlns:D="DAV:" xmlns:Z="urn:schemas-microsoft-com:"><D:set><D:prop>
    <Z:Win32CreationTime>Thu, 02 Jan 2020 03:04:05 GMT</Z:Win32CreationTime>
    <Z:Win32LastModifiedTime>Thu, 02 Jan 2020 03:04:05 GMT</Z:Win32LastModifiedTime>
    <Z:Win32FileAttributes>00000020</Z:Win32FileAttributes></D:prop></D:set></D:propertyupdate>"""
    answer = dav("PROPPATCH", "/云盘/a.txt", body)
    assert answer.status_code == 207 and b"200 OK" in answer.content and b"403" not in answer.content
    assert File.objects.get().modified_at == datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
    other = body.replace("Win32FileAttributes", "Other").replace("2020", "2021")
    assert b"403 Forbidden" in dav("PROPPATCH", "/云盘/a.txt", other).content
    assert File.objects.get().modified_at.year == 2020


def test_locks(dav: Dav, owner: User, stranger: User, drive: Drive) -> None:
    put(owner, "/in/a.txt", b"x")
    DriveMember.objects.create(drive=drive, user=stranger, role="editor")
    other = Dav(stranger)
    taken = dav("LOCK", "/云盘/in/a.txt", LOCK, Timeout="Second-60")
    assert (taken.status_code == 200 and b"Second-60" in taken.content) or b"Second-59" in taken.content
    token = taken["Lock-Token"]
    assert other("LOCK", f"/{drive.pk}/in/a.txt", LOCK).status_code == 423
    assert other.put(f"/{drive.pk}/in/a.txt", b"other").status_code == 423
    assert dav.put("/云盘/in/a.txt", b"without it").status_code == 423
    for path in ("in/a.txt", "in"):
        assert other("DELETE", f"/云盘/{path}").status_code == 423
        assert other("MOVE", f"/云盘/{path}", Destination=to("/云盘/b")).status_code == 423
    assert held(drive) == {"/in/a.txt": 1}
    assert other("UNLOCK", "/云盘/in/a.txt", Lock_Token=token).status_code == 403
    assert dav.put("/云盘/in/a.txt", b"mine", If=f"({token})").status_code == 204
    assert dav("LOCK", "/云盘/in/a.txt", If=f"({token})").status_code == 200
    assert dav("UNLOCK", "/云盘/in/a.txt", Lock_Token=token).status_code == 204
    assert other.put("/云盘/in/a.txt", b"theirs").status_code == 204
    assert held(drive) == {"/in/a.txt": 6}


def test_a_folder_moves_with_the_locks_in_it(dav: Dav, owner: User, stranger: User, drive: Drive) -> None:
    """For who holds all of them and says so (RFC 4918 §7.5); what is told of one in the way can be looked up."""
    put(owner, "/in/a.txt", b"x")
    put(owner, "/in/b.txt", b"y")
    DriveMember.objects.create(drive=drive, user=stranger, role="editor")
    tokens = [dav("LOCK", f"/云盘/in/{name}.txt", LOCK)["Lock-Token"] for name in "ab"]
    move = {"Destination": to("/云盘/out")}
    first = f"<{to('/云盘/in/a.txt')}> ({tokens[0]})"
    refused = dav("MOVE", "/云盘/in", **move, If=first)
    assert refused.status_code == 423
    assert f"<D:href>/dav/{drive.pk}/in/b.txt</D:href>".encode() in refused.content
    assert b"a.txt" not in refused.content
    both = f"{first} <{to('/云盘/in/b.txt')}> ({tokens[1]})"
    assert Dav(stranger)("MOVE", "/云盘/in", **move, If=both).status_code == 423
    assert held(drive) == {"/in/a.txt": 1, "/in/b.txt": 1}
    assert dav("MOVE", "/云盘/in", **move, If=both).status_code == 201
    assert held(drive) == {"/out/a.txt": 1, "/out/b.txt": 1}
    assert dav.put("/云盘/out/a.txt", b"free").status_code == 204
    token = dav("LOCK", "/云盘/out/a.txt", LOCK)["Lock-Token"]
    assert dav("DELETE", "/云盘/out").status_code == 423
    assert dav("DELETE", "/云盘/out", If=f"<{to('/云盘/out/a.txt')}> ({token})").status_code == 204
    assert held(drive) == {}


def test_a_file_as_explorer_and_finder_save_it(dav: Dav, drive: Drive) -> None:
    """Explorer locks a name, fills it with nothing, then with bytes, and sets its times; Finder fills it in chunks."""
    assert dav("PROPFIND", "/云盘/新建.txt").status_code == 404
    locked = dav("LOCK", "/云盘/新建.txt", LOCK, Timeout="Infinite, Second-4100000000")
    assert (locked.status_code, b"<D:lockdiscovery>" in locked.content) == (201, True)
    token = f"({locked['Lock-Token']})"
    assert dav("HEAD", "/云盘/新建.txt")["Content-Length"] == "0"
    for content in (b"", b"bytes"):
        assert dav.put("/云盘/新建.txt", content, If=token).status_code == 204
    body = """<D:propertyupdate xmlns:D="DAV:" xmlns:Z="urn:schemas-microsoft-com:"><D:set><D:prop>
    <Z:Win32LastModifiedTime>Thu, 02 Jan 2020 03:04:05 GMT</Z:Win32LastModifiedTime>
    </D:prop></D:set></D:propertyupdate>"""
    assert dav("PROPPATCH", "/云盘/新建.txt", body).status_code == 423
    assert b"200 OK" in dav("PROPPATCH", "/云盘/新建.txt", body, If=token).content
    assert dav("HEAD", "/云盘/新建.txt")["Last-Modified"] == "Thu, 02 Jan 2020 03:04:05 GMT"
    assert dav("UNLOCK", "/云盘/新建.txt", Lock_Token=locked["Lock-Token"]).status_code == 204
    for name in ("._新建.txt", ".DS_Store", "~$新建.docx"):
        assert dav.put(f"/云盘/{name}", b"beside it", X_Expected_Entity_Length="9").status_code == 201
    # A new folder gets a name that differs in its case alone.
    assert dav("MKCOL", "/云盘/new").status_code == 201
    assert dav("MOVE", "/云盘/new", Destination=to("/云盘/New"), Overwrite="F").status_code == 201
    assert dav("MKCOL", "/云盘/more", b"no xml").status_code == 415
    assert sorted(Folder.objects.living().values_list("path", flat=True)) == ["/New"]


def test_a_lock_of_what_is_not_there_yet(dav: Dav, drive: Drive) -> None:
    taken = dav("LOCK", "/云盘/new.txt", LOCK)
    assert (taken.status_code, held(drive)) == (201, {"/new.txt": 0})
    token = taken["Lock-Token"]
    assert dav("DELETE", "/云盘/new.txt", If=f"({token})").status_code == 204
    # The lock went along: its place is free.
    assert dav.put("/云盘/new.txt", b"x").status_code == 201


def test_options_and_strange_methods(dav: Dav) -> None:
    answer = dav("OPTIONS", "/云盘/")
    assert (answer.status_code, answer["DAV"], answer["MS-Author-Via"]) == (200, "1,2", "DAV")
    assert dav("POST", "/云盘/").status_code == dav("TRACE", "/").status_code == 405
