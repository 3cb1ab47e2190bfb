"""PROPFIND: what is asked for, what is told, and what nobody is told."""

import hashlib
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from common.compiled import Compiled
from common.ids import new_id
from drives.dav.bodies import MAX_DEPTH, MAX_ELEMENTS
from drives.dav.properties import PAGE
from drives.models import Blob, Drive, File, FileOperation, FileVersion
from tests.drives.dav import LOCK, Dav, properties
from tests.factories import put

pytestmark = pytest.mark.django_db


@pytest.fixture
def dav(owner: User, drive: Drive) -> Dav:
    Drive.objects.filter(pk=drive.pk).update(name="d")
    found = Dav(owner)
    found("OPTIONS", "/")  # its first use is written down
    return found


def asking(*names: str) -> str:
    inside = "".join(f"<{name}/>" for name in names)
    return (
        f'<D:propfind xmlns:D="DAV:" xmlns:oc="http://owncloud.org/ns" xmlns:x="urn:&quot;x&amp;">'
        f"<D:prop>{inside}</D:prop></D:propfind>"
    )


def test_what_is_asked_for_by_name(dav: Dav, owner: User) -> None:
    put(owner, "/a/b&c.txt", b"12345")
    File.objects.update(created_at=datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC))
    body = asking("D:displayname", "D:creationdate", "oc:checksums", "x:other", "plain", "D:quota-used-bytes")
    answer = dav("PROPFIND", "/d/a/b&c.txt", body)
    [found] = properties(answer.content).values()
    assert found == {
        "displayname": "b&c.txt",
        "creationdate": "2020-01-02T03:04:05Z",
        "{http://owncloud.org/ns}checksums": "",
    }
    assert f"MD5:{hashlib.md5(b'12345', usedforsecurity=False).hexdigest()}".encode() in answer.content
    missing = answer.content.partition(b"404 Not Found")[0].rpartition(b"<D:propstat>")[2]
    assert missing.count(b"/>") == 3 and b"<plain/>" in missing and b"quota-used-bytes" in missing


def test_all_and_names(dav: Dav, owner: User) -> None:
    put(owner, "/a.txt", b"12345")
    [everything] = properties(dav("PROPFIND", "/d/a.txt").content).values()
    body = '<propfind xmlns="DAV:"><allprop/><include><supportedlock/></include></propfind>'
    [included] = properties(dav("PROPFIND", "/d/a.txt", body).content).values()
    assert set(included) - set(everything) == {"supportedlock"} and "lockdiscovery" not in everything
    body = '<propfind xmlns="DAV:"><propname/></propfind>'
    [names] = properties(dav("PROPFIND", "/d/a.txt", body).content).values()
    assert set(names.values()) == {""} and {"lockdiscovery", "getetag", "getcontentlength"} <= set(names)
    for bad in ("<propfind xmlns='DAV:'/>", "<other xmlns='DAV:'><prop/></other>", "<propfind"):
        assert dav("PROPFIND", "/d/a.txt", bad).status_code == 400
    assert dav("PROPFIND", "/d/a.txt", Depth="2").status_code == 400


def test_locks_are_told_to_who_asks(dav: Dav, owner: User) -> None:
    put(owner, "/in/a.txt", b"x")
    put(owner, "/in/b.txt", b"x")
    token = dav("LOCK", "/d/in/a.txt", LOCK)["Lock-Token"]
    answer = dav("PROPFIND", "/d/in", asking("D:lockdiscovery"), Depth="1")
    assert answer.content.count(token.strip("<>").encode()) == 1
    assert answer.content.count(b"<D:lockdiscovery/>") == 2


def test_a_folder_of_more_than_a_page(dav: Dav, owner: User, drive: Drive) -> None:
    first = put(owner, "/a/00000", b"x")
    rows = [
        File(drive=drive, folder=first.folder, name=f"{number:05}", blob=first.blob, size=1)
        for number in range(1, PAGE + 2)
    ]
    File.objects.bulk_create(rows)
    with CaptureQueriesContext(connection) as queries:
        answer = dav("PROPFIND", "/d/a", asking("D:displayname"), Depth="1")
    assert list(properties(answer.content).values())[1:] == [
        {"displayname": f"{number:05}"} for number in range(PAGE + 2)
    ]
    assert len(queries) == 6  # password, drives, folder, folders in it, two pages of files


@pytest.mark.parametrize("method", ["PROPFIND", "PROPPATCH", "LOCK"])
def test_bodies_that_are_small_and_do_harm(dav: Dav, owner: User, method: str) -> None:
    """Deep nests exhaust the stack of who walks through them; many names are answered for each file."""
    put(owner, "/a.txt", b"x")
    deep = "<a>" * (MAX_DEPTH + 1) + "</a>" * (MAX_DEPTH + 1)
    assert dav(method, "/d/a.txt", deep).status_code == 400
    many = asking(*(f"D:p{number}" for number in range(MAX_ELEMENTS)))
    assert dav(method, "/d/a.txt", many).status_code == 400
    assert dav(method, "/d/a.txt", b'<?xml version="1.0" encoding="none"?><a/>').status_code == 400


def test_what_a_put_asks_the_database(dav: Dav, owner: User, drive: Drive) -> None:
    put(owner, "/a/b/c.txt", b"old")
    with CaptureQueriesContext(connection) as queries:
        assert dav.put("/d/a/b/new.txt", b"new").status_code == 201
    assert len(queries) == 6  # password, drives, folders, file, content, and one that puts it there
    with CaptureQueriesContext(connection) as queries:
        assert dav("GET", "/d/a/b/c.txt").status_code == 200
    assert len(queries) == 5  # password, drives, folders, file, log
    Drive.objects.update(total_size=None)
    assert dav.put("/d/a/b/c.txt", b"without a limit").status_code == 204
    assert FileVersion.objects.get().size == 3


def test_a_checksum_that_is_declared_is_held_to(dav: Dav, drive: Drive) -> None:
    sums = [f"SHA1:{hashlib.sha1(b'x', usedforsecurity=False).hexdigest()}", f"md5:{'0' * 32}", "ADLER32:1"]
    statuses = [dav.put(f"/d/{place}", b"x", OC_Checksum=told).status_code for place, told in enumerate(sums)]
    assert statuses == [201, 400, 201]
    assert set(File.objects.values_list("name", flat=True)) == {"0", "2"}
    assert dav.put("/d/0", b"y", OC_Checksum=sums[0]).status_code == 400
    assert (Blob.objects.count(), FileVersion.objects.count(), FileOperation.objects.count()) == (1, 0, 2)


def test_a_lock_outside_of_a_transaction_is_a_mistake(drive: Drive, transactional_db: None) -> None:
    locked = Compiled(lambda pk: Drive.objects.select_for_update().filter(pk=pk), pk=new_id())
    with pytest.raises(TransactionManagementError):
        locked.rows(pk=drive.pk)
