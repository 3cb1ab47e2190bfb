"""OSS alone: faults on the way, checksums, temporary keys, encryption, the endpoints of links."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import oss2
import pytest

from drives.storage import StorageError, new_key
from drives.storage.base import FileSlice
from drives.storage.buckets import StoredPart, UploadGone
from drives.storage.oss import OSSStorage
from tests.drives.storages import PART, Choose, content_of, keep
from tests.standins.oss import OSSServer, oss_server, stored_names
from tests.standins.oss_signature import Credential

MIB = 2**20


@pytest.fixture
def storage(choose: Choose, oss: OSSServer) -> OSSStorage:
    found = choose("oss")
    assert isinstance(found, OSSStorage)
    return found


def asked(oss: OSSServer) -> list[str]:
    """What was asked since the last time."""
    operations = [operation for operation, _key in oss.log]
    oss.log.clear()
    return operations


# --- Faults on the way ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["unavailable", "silent"])
def test_a_fault_that_passes_is_not_noticed(storage: OSSStorage, oss: OSSServer, fault: str) -> None:
    """OSS does not answer, or does what it was asked and the answer gets lost. Bodies are sent anew from the start."""
    content = os.urandom(2 * PART + 5)
    for operation in (
        "PutObject", "InitiateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "GetObject", "HeadObject",
        "ListObjects", "DeleteObject", "AbortMultipartUpload", "ListParts", "ListMultipartUploads",
    ):  # fmt: skip
        oss.faults.append((operation, fault))
    small, large = keep(storage, b"small"), keep(storage, content)
    assert (content_of(storage, small), content_of(storage, large)) == (b"small", content)
    assert (storage.size(large), storage.exists(large)) == (len(content), True)
    assert {found.key for found in storage.objects()} == {small, large}
    upload_id = storage.start_parts("ab/parts")
    assert storage.parts("ab/parts", upload_id) == []
    # One begun by a request whose answer got lost stays until it is swept.
    begun = {found.upload_id for found in storage.open_uploads()}
    storage.abort_parts("ab/parts", upload_id)
    assert {found.upload_id for found in storage.open_uploads()} == begun - {upload_id}
    storage.delete(large)
    assert not storage.exists(large)
    assert oss.faults == []


def test_a_fault_that_stays_is_an_error(storage: OSSStorage, oss: OSSServer) -> None:
    oss.faults += [("HeadObject", "unavailable")] * 2
    with pytest.raises(StorageError, match="OSS could not look at ab/x: 503 ServiceUnavailable"):
        storage.size("ab/x")
    assert asked(oss) == ["HeadObject"] * 2
    with pytest.raises(FileNotFoundError):
        storage.size("ab/x")
    assert asked(oss) == ["HeadObject"]  # an answer is not asked for again


def test_a_completion_that_failed_for_good_is_an_error(storage: OSSStorage, oss: OSSServer) -> None:
    """No upload and no object either: not to be taken for a completion whose answer got lost."""
    with pytest.raises(UploadGone):
        storage.finish("ab/x", "gone", [StoredPart(1, "0" * 32, 5)])
    keep(storage, b"other", "ab/x")
    with pytest.raises(UploadGone):
        storage.finish("ab/x", "gone", [StoredPart(1, "0" * 32, 6)])
    storage.finish("ab/x", "gone", [StoredPart(1, "0" * 32, 5)])


def test_a_download_that_breaks_goes_on_where_it_was(
    storage: OSSStorage, oss: OSSServer, tmp_path: Path
) -> None:
    content = os.urandom(9 * MIB)
    key = keep(storage, content)
    asked(oss)
    oss.faults.append(("GetObject", "cut"))
    storage.copy_to(key, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content
    assert asked(oss) == ["GetObject"] * 2
    oss.faults.append(("GetObject", "cut"))
    assert content_of(storage, key, 5, 8 * MIB) == content[5 : 8 * MIB]
    oss.faults += [("GetObject", "cut")] * 2
    with pytest.raises(StorageError, match="broke off at byte"):
        storage.copy_to(key, tmp_path / "copy")


# --- CRC-64 -----------------------------------------------------------------------------------------------------


def test_what_arrives_otherwise_is_not_kept(storage: OSSStorage, oss: OSSServer, tmp_path: Path) -> None:
    path = tmp_path / "file"
    for operation, size in (
        ("PutObject", 100),
        ("UploadPart", 2 * PART),
        ("CompleteMultipartUpload", 2 * PART),
    ):
        path.write_bytes(os.urandom(size))
        oss.faults.append((operation, "wrong crc"))
        with pytest.raises(StorageError, match="changed on their way"):
            storage.take_in(path, new_key())
        assert (stored_names(oss), oss.bucket.uploads) == ([], {})
        assert path.stat().st_size == size


def test_what_comes_back_otherwise_is_an_error(storage: OSSStorage, oss: OSSServer, tmp_path: Path) -> None:
    key = keep(storage, b"content")
    (name,) = stored_names(oss)
    oss.bucket.objects[name].path.write_bytes(b"CONTENT")
    with pytest.raises(StorageError, match="changed on their way"):
        storage.copy_to(key, tmp_path / "copy")
    # Of a range nobody knows the sum.
    assert content_of(storage, key, 0, 3) == b"CON"


def test_the_sum_is_that_of_the_standard() -> None:
    """CRC-64/XZ by the catalogue of parametrised CRC algorithms: its check value is that of `123456789`."""
    assert oss2.utils.Crc64(0).crc == 0
    import fastcrc

    assert fastcrc.crc64.xz(b"123456789") == 0x995DC9BBDF1939FA
    reference = oss2.utils.Crc64()
    reference.update(b"content")
    assert fastcrc.crc64.xz(b"tent", fastcrc.crc64.xz(b"con")) == reference.crc


# --- Rules of parts ---------------------------------------------------------------------------------------------


def test_parts_keep_the_rules_of_the_bucket(storage: OSSStorage, oss: OSSServer, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(300 * 1024))
    with path.open("rb") as file:
        upload_id = storage.start_parts("ab/x")

        def send(number: int, size: int) -> StoredPart:
            return storage.write_part("ab/x", upload_id, number, FileSlice(file, 0, size))

        large, small = send(2, 100 * 1024), send(1, 100 * 1024 - 1)
        with pytest.raises(StorageError, match="400 EntityTooSmall"):
            storage.complete_parts("ab/x", upload_id, [small, large])
        with pytest.raises(StorageError, match="400 InvalidPart:"):
            storage.complete_parts("ab/x", upload_id, [StoredPart(2, small.etag, 5)])
        for number in (0, 10_001):
            with pytest.raises(StorageError, match="Part number must be"):
                send(number, 1)
        again = send(1, 100 * 1024)
        storage.complete_parts("ab/x", upload_id, [large, again])  # put in order before they are sent
    assert storage.size("ab/x") == 200 * 1024
    assert stored_names(oss) == [storage.name_of("ab/x")]


def test_long_lists_come_in_pages(storage: OSSStorage, oss: OSSServer, tmp_path: Path) -> None:
    oss.page_size = 2
    keys = sorted(keep(storage, b"x") for _number in range(5))
    assert [found.key for found in storage.objects()] == keys
    uploads = {storage.start_parts(f"ab/{number}") for number in range(5)}
    assert {found.upload_id for found in storage.open_uploads()} == uploads
    upload_id = storage.start_parts("ab/x")
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10)
    with path.open("rb") as file:
        for number in range(1, 6):
            storage.write_part("ab/x", upload_id, number, FileSlice(file, 0, number))
    assert [(part.number, part.size) for part in storage.parts("ab/x", upload_id)] == [
        (n, n) for n in range(1, 6)
    ]


def test_other_things_in_the_bucket_are_none_of_ours(storage: OSSStorage, oss: OSSServer) -> None:
    other = OSSStorage(**oss.options(location="scenes"))
    keep(other, b"older platform", "20250101/x")
    other.start_parts("20250101/y")
    key = keep(storage, b"ours")
    assert [found.key for found in storage.objects()] == [key]
    assert list(storage.open_uploads()) == []


# --- Temporary keys ---------------------------------------------------------------------------------------------

HOUR = timedelta(hours=1)


@pytest.fixture
def sts(storage: OSSStorage, oss: OSSServer) -> Iterator[OSSStorage]:
    """A client with the temporary keys of one upload: it may put objects below `direct/t1/` and nothing else."""
    policy = storage.upload_policy("direct/t1/")
    oss.credentials["STS.x"] = Credential("secret", "token", datetime.now(UTC) + HOUR, policy)
    yield OSSStorage(**oss.options(**client_options("token"), location=storage.location))


def client_options(token: str) -> dict[str, str]:
    return {"access_key_id": "STS.x", "access_key_secret": "secret", "security_token": token}


def test_temporary_keys_reach_their_prefix_alone(
    storage: OSSStorage, sts: OSSStorage, tmp_path: Path
) -> None:
    sts.part_size = PART
    mine = keep(sts, os.urandom(2 * PART), "direct/t1/a")
    keep(sts, b"small", "direct/t1/b")
    assert storage.size(mine) == 2 * PART
    path = tmp_path / "file"
    path.write_bytes(b"content")
    upload_id = sts.start_parts("direct/t1/c")
    assert sts.parts("direct/t1/c", upload_id) == []
    sts.abort_parts("direct/t1/c", upload_id)
    others = keep(storage, b"others")
    for act in (
        lambda: sts.take_in(path, "direct/t2/a"),
        lambda: sts.take_in(path, "direct/t1"),
        lambda: sts.take_in(path, others),
        lambda: sts.start_parts("direct/t2/a"),
        lambda: sts.open_blob(mine),
        lambda: sts.open_blob(others),
        lambda: sts.delete(mine),
        lambda: list(sts.objects()),
        lambda: list(sts.open_uploads()),
    ):
        with pytest.raises(StorageError, match="403 AccessDenied: The policy does not allow"):
            act()
    assert {found.key for found in storage.objects()} == {"direct/t1/a", "direct/t1/b", others}
    assert content_of(storage, others) == b"others"


def test_temporary_keys_need_their_token(storage: OSSStorage, sts: OSSStorage, oss: OSSServer) -> None:
    link = sts.upload_link("direct/t1/a", seconds=60)
    assert parse_qs(urlsplit(link.url).query)["x-oss-security-token"] == ["token"]
    assert httpx.put(link.url, content=b"x", headers=link.headers).status_code == 200
    other = link.url.replace("token=token", "token=other")
    assert httpx.put(other, content=b"y", headers=link.headers).status_code == 403
    for token, code in (("", "InvalidAccessKeyId"), ("other", "InvalidSecurityToken")):
        client = OSSStorage(**oss.options(**client_options(token)))
        with pytest.raises(StorageError, match=code):
            client.start_parts("direct/t1/a")
    oss.credentials["STS.x"] = Credential("secret", "token", datetime.now(UTC) - HOUR)
    with pytest.raises(StorageError, match="SecurityTokenExpired"):
        sts.start_parts("direct/t1/a")
    assert content_of(storage, "direct/t1/a") == b"x"


# --- Signatures, encryption, endpoints --------------------------------------------------------------------------


def test_older_signatures_and_other_regions_are_refused(oss: OSSServer) -> None:
    old = oss2.Bucket(oss2.Auth("ak", "sk"), oss.endpoint, oss.bucket.name)
    with pytest.raises(oss2.exceptions.OssError) as error:
        old.list_objects_v2()
    assert (error.value.status, error.value.code) == (403, "AccessDenied")
    elsewhere = OSSStorage(**oss.options(region="cn-beijing"))
    with pytest.raises(StorageError, match="The scope is not that of cn-hangzhou"):
        list(elsewhere.objects())
    assert httpx.get(f"{oss.endpoint}/{oss.bucket.name}/x").status_code == 403


def test_a_link_lives_a_week_at_most(storage: OSSStorage) -> None:
    key = keep(storage, b"content")
    for seconds, status in ((604_800, 200), (604_801, 400), (0, 400)):
        link = storage.link(key, seconds=seconds, content_type="text/plain", disposition="inline")
        assert (seconds, httpx.get(link).status_code) == (seconds, status)


def test_objects_are_encrypted_by_the_bucket(storage: OSSStorage, oss: OSSServer) -> None:
    safe = OSSStorage(**oss.options(encryption="KMS", encryption_key_id="key-1", part_size=PART))
    small, large = keep(safe, b"small"), keep(safe, os.urandom(PART + 1))
    link = safe.upload_link("ab/direct", seconds=60)
    expected = {"x-oss-server-side-encryption": "KMS", "x-oss-server-side-encryption-key-id": "key-1"}
    assert link.headers == {**expected, "x-oss-forbid-overwrite": "true"}
    assert httpx.put(link.url, content=b"x").status_code == 403  # the headers are part of the signature
    assert httpx.put(link.url, content=b"x", headers=link.headers).status_code == 200
    for key in (small, large, "ab/direct"):
        assert oss.bucket.find(safe.name_of(key)).encryption == expected
    assert oss.bucket.find(storage.name_of(keep(storage, b"plain"))).encryption == {}


def test_a_signed_upload_takes_no_other_content_type(storage: OSSStorage) -> None:
    link = storage.upload_link("ab/direct", seconds=60)
    answer = httpx.put(link.url, content=b"x", headers={**link.headers, "Content-Type": "text/html"})
    assert (answer.status_code, "SignatureDoesNotMatch" in answer.text) == (403, True)


@pytest.mark.parametrize(
    ("options", "address"),
    [
        ({}, "https://yuntu.oss-cn-hangzhou-internal.aliyuncs.com/blobs/ab/x"),
        (
            {"public_endpoint": "oss-cn-hangzhou.aliyuncs.com"},
            "https://yuntu.oss-cn-hangzhou.aliyuncs.com/blobs/ab/x",
        ),
        (
            {"public_endpoint": "https://oss-accelerate.aliyuncs.com"},
            "https://yuntu.oss-accelerate.aliyuncs.com/blobs/ab/x",
        ),
        (
            {"public_endpoint": "https://files.example.com", "public_is_cname": True},
            "https://files.example.com/blobs/ab/x",
        ),
    ],
)
def test_links_name_the_public_endpoint(options: dict[str, object], address: str) -> None:
    storage = OSSStorage(
        access_key_id="ak",
        access_key_secret="sk",
        bucket_name="yuntu",
        region="cn-hangzhou",
        endpoint="oss-cn-hangzhou-internal.aliyuncs.com",
        **options,
    )
    for link in (
        storage.link("ab/x", seconds=60, content_type="text/plain", disposition="inline"),
        storage.upload_link("ab/x", seconds=60).url,
        storage.part_link("ab/x", "id", 1, seconds=60).url,
    ):
        assert link.partition("?")[0] == address
        assert parse_qs(urlsplit(link).query)["x-oss-credential"][0].split("/")[2] == "cn-hangzhou"
    assert storage.bucket.endpoint == "https://oss-cn-hangzhou-internal.aliyuncs.com"
    assert storage.bucket.timeout == (5, 60)


def test_two_servers_have_nothing_in_common(tmp_path: Path, oss: OSSServer) -> None:
    """The stand-in keeps to its folder and its keys."""
    with oss_server(tmp_path / "second", other=Credential("s2")) as second:
        storage = OSSStorage(**second.options())
        keep(storage, b"content")
        assert (len(stored_names(second)), stored_names(oss)) == (1, [])
        with pytest.raises(StorageError, match="InvalidAccessKeyId"):
            list(OSSStorage(**{**second.options(), "endpoint": oss.endpoint}).objects())
