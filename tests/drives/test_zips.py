"""ZIPs that are computed: any range of one is that of the whole, and every tool reads the whole."""

import io
import itertools
import shutil
import subprocess
import zipfile
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from drives import zips
from drives.storage import StorageError, blob_storage, new_key
from drives.zips import Member, Zip, member_names, zip_name

NOON = datetime(2026, 3, 4, 12, 30, 10, tzinfo=UTC)
GIB = 2**30
CONTENTS = {"scene/木 1.png": b"wood", "scene/empty": b"", "readme.txt": bytes(range(256)) * 9000}
SMALL = {"木/a": b"abcdefghij", "empty": b"", "b": b"0123456789" * 8}


def zip_of(contents: dict[str, bytes]) -> Zip:
    """The storage key of each is its name."""
    return Zip([Member(name, len(data), zlib.crc32(data), NOON, name) for name, data in contents.items()])


def built(contents: dict[str, bytes], start: int = 0, stop: int | None = None) -> bytes:
    def open_blob(key: str, first: int, last: int | None) -> BinaryIO:
        return io.BytesIO(contents[key][first:last])

    return b"".join(zip_of(contents).read(start, stop, open_blob))


def read(content: bytes) -> dict[str, bytes]:
    """What Python's reader finds; it compares every checksum."""
    with zipfile.ZipFile(io.BytesIO(content)) as found:
        assert found.testzip() is None
        return {info.filename: found.read(info) for info in found.infolist()}


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    content = built(CONTENTS)
    assert len(content) == zip_of(CONTENTS).size
    assert read(content) == CONTENTS
    with zipfile.ZipFile(io.BytesIO(content)) as found:
        info = found.getinfo("readme.txt")
        assert (info.compress_type, info.date_time) == (zipfile.ZIP_STORED, (2026, 3, 4, 20, 30, 10))
    assert read(built({})) == {}
    target = tmp_path / "scene.zip"
    target.write_bytes(content)
    if tool := shutil.which("unzip"):
        subprocess.run([tool, "-tq", str(target)], check=True)
        subprocess.run(
            [tool, "-q", str(target), "-d", str(tmp_path / "out")], check=True, env={"LC_ALL": "C.UTF-8"}
        )
        assert {name: (tmp_path / "out" / name).read_bytes() for name in CONTENTS} == CONTENTS


@pytest.mark.parametrize("limit", [None, 50])
def test_any_range_is_that_of_the_whole(limit: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges that begin and end at, before and behind every border, with ZIP64 as well."""
    if limit:
        monkeypatch.setattr(zips, "LIMIT_32", limit)
    whole, found = built(SMALL), zip_of(SMALL)
    borders = {0, found.directory_start, found.size - 22, found.size}
    for start, member in zip(found.starts, found.members, strict=True):
        content = start + zips.local_size(member)
        borders |= {start, content, content + member.size}
    cuts = sorted(
        {at for border in borders for at in (border - 1, border, border + 1) if 0 <= at <= len(whole)}
    )
    assert len(cuts) > 20
    for start, stop in itertools.combinations(cuts, 2):
        assert built(SMALL, start, stop) == whole[start:stop], (start, stop)


def test_a_range_over_blocks_and_members() -> None:
    """Longer than a block, from the middle of one member into the next."""
    contents = {"a": bytes(range(256)) * 5000, "b": b"x" * 3_000_000}
    whole = built(contents)
    assert built(contents, 900_000, 3_500_000) == whole[900_000:3_500_000]


def test_large_members_and_far_offsets_take_zip64(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit lowered: every size and offset then stands in the ZIP64 fields."""
    for limit in (1, 100, 5000):
        monkeypatch.setattr(zips, "LIMIT_32", limit)
        content = built(CONTENTS)
        assert b"PK\6\6" in content
        assert read(content) == CONTENTS
    monkeypatch.setattr(zips, "LIMIT_16", 2)
    assert read(built(CONTENTS)) == CONTENTS


def test_more_members_than_the_old_format_counts() -> None:
    contents = {f"{number}": b"" for number in range(70_000)}
    content = built(contents)
    with zipfile.ZipFile(io.BytesIO(content)) as found:
        assert found.namelist() == list(contents)
    assert built(contents, 3_000_000, 3_000_100) == content[3_000_000:3_000_100]


class Ranged(io.RawIOBase):
    """A ZIP as a file to seek in, every read of which is a range; `opened` are the ranges of contents it took."""

    def __init__(self, found: Zip) -> None:
        self.zip, self.position, self.opened = found, 0, []  # type: ignore[var-annotated]

    def open_blob(self, key: str, start: int, stop: int | None) -> BinaryIO:
        self.opened.append((key, start, stop))
        return blob_storage().open_blob(key, start, stop)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self.position = offset + {0: 0, 1: self.position, 2: self.zip.size}[whence]
        return self.position

    def read(self, size: int | None = -1) -> bytes:
        stop = self.zip.size if size is None or size < 0 else min(self.position + size, self.zip.size)
        data = b"".join(self.zip.read(self.position, stop, self.open_blob))
        self.position += len(data)
        return data


def test_a_member_of_five_gigabytes() -> None:
    """Of a sparse file only the ends are read, and what comes behind it is found."""
    huge, key = 5 * GIB, new_key()
    path = Path(blob_storage().path(key))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(b"begin")
        file.seek(huge - 3)
        file.write(b"end")
    tail = new_key()
    Path(blob_storage().path(tail)).parent.mkdir(parents=True, exist_ok=True)
    Path(blob_storage().path(tail)).write_bytes(b"tail")
    try:
        found = Ranged(
            Zip([Member("huge", huge, 7, NOON, key), Member("t", 4, zlib.crc32(b"tail"), NOON, tail)])
        )
        with zipfile.ZipFile(found) as archive:
            assert [(info.filename, info.file_size) for info in archive.infolist()] == [
                ("huge", huge),
                ("t", 4),
            ]
            assert archive.read("t") == b"tail"
        assert found.opened == [(tail, 0, 4)]
        content = 30 + len("huge") + 20
        assert b"".join(found.zip.read(0, content + 5))[-5:] == b"begin"
        assert b"".join(found.zip.read(content + huge - 3, content + huge + 4)) == b"endPK\3\4"
    finally:
        path.unlink()


def test_content_that_is_shorter_than_it_was_breaks_off() -> None:
    """It may not be answered as if it were whole: what follows would stand in wrong places."""
    found = zip_of({"a": b"abc", "b": b"x"})
    blocks = found.read(0, None, lambda key, start, stop: io.BytesIO(b"ab"))
    with pytest.raises(StorageError):
        list(blocks)


def test_the_etag_is_that_of_the_bytes() -> None:
    def etag(**changes: Any) -> str:
        fields: dict[str, Any] = {"name": "a", "size": 1, "crc32": 5, "modified_at": NOON, "key": "k"}
        fields |= changes
        return Zip([Member(**fields), Member("z", 0, 0, NOON, "")]).etag

    assert etag() == etag()
    others = [
        etag(name="b"), etag(size=2), etag(crc32=6), etag(modified_at=NOON + timedelta(seconds=2)), etag(key="l"),
    ]  # fmt: skip
    assert len({etag(), *others}) == 6


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/a/b.png", "c"], ["a/b.png", "c"]),
        (["/../x", "/./x", "//x//y", "/"], ["_/x", "_/x (2)", "x/y", "_ (2)"]),
        (["/a:b", "/a|b", "/a_b"], ["a_b", "a_b (2)", "a_b (3)"]),
        (["/A.png", "/a.PNG", "/a/.x", "/a/.X"], ["A.png", "a (2).PNG", "a/.x", "a/.X (2)"]),
        (["/b.c/d", "/b.c/D"], ["b.c/d", "b.c/D (2)"]),
        (["/a\\..\\b", "/c\0d"], ["a_.._b", "c_d"]),
        (["/x:", "/x_/y", "/X?/z/z"], ["x_ (2)", "x_/y", "X_/z/z"]),
    ],
)
def test_names_are_safe_wherever_they_are_unpacked(paths: list[str], names: list[str]) -> None:
    assert member_names(paths) == names


def test_many_names_that_are_alike() -> None:
    names = member_names([f"/{'a' * 20}{mark}" for mark in ":|?*" * 10_000])
    assert len({name.casefold() for name in names}) == 40_000
    assert names[-1] == f"{'a' * 20}_ (40000)"


@pytest.mark.parametrize(
    ("name", "shown"), [("灯笼", "灯笼.zip"), ("x.ZIP", "x.ZIP"), ("../a", ".._a.zip"), ('a"b', "a_b.zip")]
)
def test_the_name_of_an_archive(name: str, shown: str) -> None:
    assert zip_name(name) == shown
