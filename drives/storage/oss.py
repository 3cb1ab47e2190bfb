"""Blobs in Aliyun OSS, in the style of django-storages.

Requests and links carry version 4 signatures (the first version is withdrawn for new buckets). The CRC-64 that OSS
answers for whatever it stored or serves whole is compared with that of the bytes here.
"""

import os
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from http import HTTPStatus
from typing import Any

import fastcrc
import oss2
import requests
from oss2.exceptions import ClientError, NoSuchUpload, NotFound, OssError, RequestError, ServerError
from oss2.models import PartInfo
from oss2.utils import calc_obj_crc_from_parts
from storages.base import BaseStorage

from drives.storage.base import FileSlice, StorageError, StoredObject
from drives.storage.buckets import (
    Body,
    BrokenOff,
    BucketStorage,
    OpenUpload,
    RangeReader,
    SignedUpload,
    StoredPart,
    UploadGone,
)

CRC64 = "x-oss-hash-crc64ecma"
# Without it OSS answers a range that reaches beyond the object with the whole of it.
STANDARD_RANGES = {"x-oss-range-behavior": "standard"}


# What is there stays.
KEEPING = {"x-oss-forbid-overwrite": "true"}


class AlreadyThere(StorageError):
    """The key holds an object, and was not to be overwritten."""


class SummedSlice(FileSlice):
    """A slice with the CRC-64 of what was read of it since its beginning."""

    def __init__(self, body: FileSlice) -> None:
        super().__init__(body.file, body.start, body.stop)
        self.crc64 = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.crc64 = 0
        return super().seek(offset, whence)

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.crc64 = fastcrc.crc64.xz(data, self.crc64)
        return data


class OSSBody:
    """The body of an answer; `crc64` is that of the whole object, None for a range of it."""

    def __init__(self, result: oss2.models.GetObjectResult) -> None:
        self.result = result
        is_whole = result.status == HTTPStatus.OK
        self.crc64 = int(result.headers[CRC64]) if is_whole and CRC64 in result.headers else None

    def read(self, size: int) -> bytes:
        try:
            data: bytes = self.result.read(size)
        except requests.RequestException as error:
            raise BrokenOff(str(error)) from error
        return data

    def close(self) -> None:
        self.result.close()


class SummedReader(RangeReader):
    """Compares the CRC-64 once the last byte of a whole object was read."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.crc64, self.expected = 0, getattr(self.body, "crc64", None)

    def passed(self, data: bytes) -> None:
        self.crc64 = fastcrc.crc64.xz(data, self.crc64)
        if self.position == self.stop:
            compare(self.key, self.crc64, self.expected)


class OSSStorage(BucketStorage, BaseStorage):
    """Objects below `location` in one bucket.

    `endpoint` is where this machine reaches OSS, an internal one if it can; `public_endpoint` is what links name:
    the public one, that of transfer acceleration, or with `public_is_cname` a domain bound to the bucket.
    `encryption` is AES256, KMS or SM4, with KMS optionally the id of a key. Timeouts in seconds, sizes in bytes.
    """

    reader = SummedReader
    min_part_size = 100 * 1024

    def get_default_settings(self) -> dict[str, Any]:
        return {
            "access_key_id": "",
            "access_key_secret": "",
            "security_token": "",
            "bucket_name": "",
            "region": "",
            "endpoint": "",
            "public_endpoint": "",
            "public_is_cname": False,
            "location": "blobs",
            "encryption": "",
            "encryption_key_id": "",
            "connect_timeout": 5,
            "read_timeout": 60,
            "sts_role_arn": "",
            "sts_endpoint": "https://sts.aliyuncs.com",
            "attempts": 4,
            "part_size": 16 * 2**20,
            "copy_part_size": 2**30,
            "parallel_parts": 4,
        }

    @cached_property
    def bucket(self) -> oss2.Bucket:
        return self.bucket_at(self.endpoint)

    @cached_property
    def public_bucket(self) -> oss2.Bucket:
        return self.bucket_at(self.public_endpoint or self.endpoint, is_cname=self.public_is_cname)

    def bucket_at(self, endpoint: str, **options: Any) -> oss2.Bucket:
        provider = oss2.credentials.StaticCredentialsProvider(
            self.access_key_id, self.access_key_secret, self.security_token
        )
        try:
            return oss2.Bucket(
                oss2.ProviderAuthV4(provider),
                endpoint if "://" in endpoint else f"https://{endpoint}",
                self.bucket_name,
                region=self.region,
                session=oss2.Session(pool_size=32),
                connect_timeout=(self.connect_timeout, self.read_timeout),
                # Theirs is pure Python where there was no compiler at installation: 10 MB/s.
                enable_crc=False,
                **options,
            )
        except ClientError as error:  # a name or an address that cannot be one
            raise StorageError(f"OSS cannot be used as it is configured: {error.body}") from error

    @property
    def encryption_headers(self) -> dict[str, str]:
        named = {
            "x-oss-server-side-encryption": self.encryption,
            "x-oss-server-side-encryption-key-id": self.encryption_key_id,
        }
        return {name: value for name, value in named.items() if value}

    def ask(self, what: str, key: str, act: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """What OSS answers; asked a few times where network or service failed for a moment."""
        for number in range(1, self.attempts + 1):
            try:
                return act(*arguments, **options)
            except (OssError, requests.RequestException) as error:
                if number == self.attempts or not may_pass(error):
                    raise meaning(what, key, error) from error
            time.sleep(0.1 * 3 ** (number - 1))
        raise ValueError("attempts must be 1 or more")

    def exists(self, name: str) -> bool:
        return bool(self.ask("look for", name, self.bucket.object_exists, self.name_of(name)))

    def size(self, name: str) -> int:
        return int(self.ask("look at", name, self.bucket.get_object_meta, self.name_of(name)).content_length)

    def delete(self, name: str) -> None:
        self.ask("delete", name, self.bucket.delete_object, self.name_of(name))

    def objects(self, prefix: str = "") -> Generator[StoredObject, None, None]:
        place: dict[str, str] = {}
        while True:
            page = self.ask(
                "list", prefix, self.bucket.list_objects_v2, self.name_of(prefix), max_keys=1000, **place
            )
            for found in page.object_list:
                modified_at = datetime.fromtimestamp(found.last_modified, UTC)
                yield StoredObject(self.key_of(found.key), found.size, modified_at)
            if not page.is_truncated:
                return
            place = {"continuation_token": page.next_continuation_token}

    def put(self, key: str, body: FileSlice) -> None:
        summed = SummedSlice(body)

        def send() -> Any:
            summed.seek(0)
            # Of a body without bytes `requests` would make a chunked one.
            data = summed if len(summed) else b""
            return self.bucket.put_object(self.name_of(key), data, headers=self.encryption_headers)

        answer = self.ask("store", key, send)
        self.keep_if_same(key, summed.crc64, answer.crc)

    def keep_if_same(self, key: str, ours: int | None, theirs: int | None) -> None:
        try:
            compare(key, ours, theirs)
        except StorageError:
            self.delete(key)
            raise

    def open_range(self, key: str, start: int, stop: int | None) -> tuple[Body, int]:
        wanted = None if (start, stop) == (0, None) else (start, None if stop is None else stop - 1)
        result = self.ask(
            "read",
            key,
            self.bucket.get_object,
            self.name_of(key),
            byte_range=wanted,
            headers=STANDARD_RANGES,
        )
        return OSSBody(result), int(result.content_length)

    def start_parts(self, key: str) -> str:
        answer = self.ask(
            "begin",
            key,
            self.bucket.init_multipart_upload,
            self.name_of(key),
            headers=self.encryption_headers,
        )
        return str(answer.upload_id)

    def write_part(self, key: str, upload_id: str, number: int, body: FileSlice) -> StoredPart:
        summed = SummedSlice(body)

        def send() -> Any:
            summed.seek(0)
            return self.bucket.upload_part(self.name_of(key), upload_id, number, summed)

        answer = self.ask("send a part of", key, send)
        compare(key, summed.crc64, answer.crc)
        return StoredPart(number, answer.etag, len(body), summed.crc64)

    def parts(self, key: str, upload_id: str) -> list[StoredPart]:
        found: list[StoredPart] = []
        marker = ""
        while True:
            page = self.ask(
                "list the parts of", key, self.bucket.list_parts, self.name_of(key), upload_id, marker=marker
            )
            found += [StoredPart(part.part_number, part.etag, part.size) for part in page.parts]
            if not page.is_truncated:
                return found
            marker = page.next_marker

    def complete_parts(self, key: str, upload_id: str, parts: list[StoredPart]) -> None:
        listed = [PartInfo(part.number, part.etag, part.size, part_crc=part.crc64) for part in parts]
        name = self.name_of(key)
        answer = self.ask("complete", key, self.bucket.complete_multipart_upload, name, upload_id, listed)
        self.keep_if_same(key, calc_obj_crc_from_parts(listed), answer.crc)

    def copy_once(self, source: str, key: str) -> None:
        """Copy an object inside the bucket; where `key` holds something already, that stays.

        Raises FileNotFoundError; StorageError also where the source changes meanwhile.
        """
        found = self.ask("look at", source, self.bucket.get_object_meta, self.name_of(source))
        same = {"x-oss-copy-source-if-match": f'"{found.etag}"'}
        place = (self.bucket_name, self.name_of(source))
        with suppress(AlreadyThere):
            if found.content_length <= self.copy_part_size:
                headers = {**same, **self.encryption_headers, **KEEPING}
                self.ask("copy", key, self.bucket.copy_object, *place, self.name_of(key), headers=headers)
            else:
                self.copy_in_parts(place, key, found.content_length, same)

    def copy_in_parts(self, place: tuple[str, str], key: str, size: int, same: dict[str, str]) -> None:
        """OSS copies an object of more than 1 GiB in parts. Raises AlreadyThere."""
        upload_id = self.start_parts(key)

        def copy(start: int) -> PartInfo:
            span = (start, min(start + self.copy_part_size, size) - 1)
            number = start // self.copy_part_size + 1
            act = self.bucket.upload_part_copy
            answer = self.ask(
                "copy", key, act, *place, span, self.name_of(key), upload_id, number, headers=same
            )
            return PartInfo(number, answer.etag)

        try:
            with ThreadPoolExecutor(self.parallel_parts) as pool:
                parts = list(pool.map(copy, range(0, size, self.copy_part_size)))
            act = self.bucket.complete_multipart_upload
            self.ask("complete", key, act, self.name_of(key), upload_id, parts, headers=KEEPING)
        except BaseException:
            with suppress(StorageError):  # then it is swept later
                self.abort_parts(key, upload_id)
            raise

    def abort_parts(self, key: str, upload_id: str) -> None:
        with suppress(UploadGone):
            self.ask("abort", key, self.bucket.abort_multipart_upload, self.name_of(key), upload_id)

    def open_uploads(self) -> Iterator[OpenUpload]:
        place: dict[str, str] = {}
        while True:
            page = self.ask(
                "list the uploads in", "", self.bucket.list_multipart_uploads, self.name_of(""), **place
            )
            for found in page.upload_list:
                started_at = datetime.fromtimestamp(found.initiation_date, UTC)
                yield OpenUpload(self.key_of(found.key), found.upload_id, started_at)
            if not page.is_truncated:
                return
            place = {"key_marker": page.next_key_marker, "upload_id_marker": page.next_upload_id_marker}

    def link(
        self, key: str, *, seconds: int, content_type: str, disposition: str, method: str = "GET"
    ) -> str:
        answered = {"response-content-type": content_type, "response-content-disposition": disposition}
        return self.signed(method, key, seconds, params=answered)

    def upload_link(self, key: str, *, seconds: int) -> SignedUpload:
        headers = {**self.encryption_headers, **KEEPING}
        return SignedUpload(self.signed("PUT", key, seconds, headers=headers), headers)

    def part_link(self, key: str, upload_id: str, number: int, *, seconds: int) -> SignedUpload:
        part = {"uploadId": upload_id, "partNumber": str(number)}
        return SignedUpload(self.signed("PUT", key, seconds, params=part))

    def signed(self, method: str, key: str, seconds: int, **options: Any) -> str:
        return str(
            self.public_bucket.sign_url(method, self.name_of(key), seconds, slash_safe=True, **options)
        )

    def upload_policy(self, prefix: str) -> dict[str, Any]:
        """The policy of STS credentials that may put objects whose keys begin with `prefix`, and nothing else."""
        return {
            "Version": "1",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": ["oss:PutObject", "oss:AbortMultipartUpload", "oss:ListParts"],
                    "Resource": [f"acs:oss:*:*:{self.bucket_name}/{self.name_of(prefix)}*"],
                }
            ],
        }


def compare(key: str, ours: int | None, theirs: int | None) -> None:
    """Raises StorageError where both sides know a CRC-64 and they differ."""
    if ours is not None and theirs is not None and ours != theirs:
        raise StorageError(f"The bytes of {key} changed on their way: CRC-64 {ours} here, {theirs} in OSS.")


def may_pass(error: Exception) -> bool:
    """Whether the same request may succeed in a moment: no answer, or an error of the service itself."""
    return isinstance(error, RequestError | requests.RequestException) or error.status >= 500  # type: ignore[attr-defined]


def meaning(what: str, key: str, error: Exception) -> OSError:
    """Our error for one of theirs."""
    if isinstance(error, NoSuchUpload):
        return UploadGone(f"There is no multipart upload of {key} any more.")
    if isinstance(error, ServerError) and error.code == "FileAlreadyExists":
        return AlreadyThere(f"There is something under {key} already.")
    # The answer to HEAD has no body that could name the code.
    if isinstance(error, NotFound) and error.code in ("NoSuchKey", ""):
        return FileNotFoundError(key)
    cause: object = error
    if isinstance(error, ServerError):
        cause = f"{error.status} {error.code}: {error.message} (request {error.request_id})"
    return StorageError(f"OSS could not {what} {key}: {cause}")
