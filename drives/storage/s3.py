"""Blobs in a bucket that speaks S3 (MinIO, COS, S3), by django-storages and its boto3."""

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from storages.backends.s3 import S3Storage

from drives.storage.base import FileSlice, StorageError, StoredObject
from drives.storage.buckets import (
    Body,
    BrokenOff,
    BucketStorage,
    OpenUpload,
    SignedUpload,
    StoredPart,
    UploadGone,
)

MISSING = {"NoSuchKey", "404"}  # the answer to HEAD has no body that could name the code


class S3Body:
    """The body of an answer. A connection that breaks before the last byte is an error of botocore."""

    def __init__(self, body: Any) -> None:
        self.body = body

    def read(self, size: int) -> bytes:
        try:
            data: bytes = self.body.read(size)
        except (BotoCoreError, OSError) as error:
            raise BrokenOff(str(error)) from error
        return data

    def close(self) -> None:
        self.body.close()


class S3BlobStorage(BucketStorage, S3Storage):
    """Objects below `location` in one bucket; django-storages has the settings, the session and the names.

    `public_endpoint_url` is what links name where browsers reach the bucket by another address than this machine.
    `encryption` is AES256 or aws:kms, the latter optionally with the id of a key. Timeouts in seconds, sizes in bytes.
    """

    min_part_size = 5 * 2**20

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.client_config = Config(
            signature_version="s3v4",
            # The payload is signed, also over TLS: that is the check of what arrives which all servers know.
            # Checksums as trailers are not; they are asked for only where an operation requires one.
            s3={"addressing_style": self.addressing_style, "payload_signing_enabled": True},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            connect_timeout=self.connect_timeout,
            read_timeout=self.read_timeout,
            retries={"mode": "standard", "total_max_attempts": self.attempts},
            max_pool_connections=32,
            proxies=self.proxies,
        )
        self._making = threading.Lock()
        self._clients: dict[str, Any] = {}

    def get_default_settings(self) -> dict[str, Any]:
        return {
            **super().get_default_settings(),
            "location": "blobs",
            "public_endpoint_url": "",
            "encryption": "",
            "encryption_key_id": "",
            "connect_timeout": 5,
            "read_timeout": 60,
            "attempts": 4,
            "part_size": 16 * 2**20,
            "parallel_parts": 4,
        }

    def client_at(self, endpoint: str) -> Any:
        """A client for all threads: making one takes a tenth of a second, and clients, not sessions, may be shared."""
        with self._making:
            if endpoint not in self._clients:
                self._clients[endpoint] = self._create_session().client(
                    "s3",
                    region_name=self.region_name or None,
                    endpoint_url=endpoint or None,
                    config=self.client_config,
                    verify=self.verify,
                )
            return self._clients[endpoint]

    @property
    def client(self) -> Any:
        return self.client_at(self.endpoint_url or "")

    @property
    def public_client(self) -> Any:
        return self.client_at(self.public_endpoint_url or self.endpoint_url or "")

    def place(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket_name, "Key": self.name_of(key)}

    @property
    def encryption_parameters(self) -> dict[str, str]:
        named = {"ServerSideEncryption": self.encryption, "SSEKMSKeyId": self.encryption_key_id}
        return {name: value for name, value in named.items() if value}

    def exists(self, name: str) -> bool:
        try:
            self.size(name)
        except FileNotFoundError:
            return False
        return True

    def size(self, name: str) -> int:
        with asking("look at", name):
            return int(self.client.head_object(**self.place(name))["ContentLength"])

    def delete(self, name: str) -> None:
        with asking("delete", name):
            self.client.delete_object(**self.place(name))

    def objects(self, prefix: str = "") -> Generator[StoredObject, None, None]:
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket_name, Prefix=self.name_of(prefix)
        )
        with asking("list", prefix):
            for page in pages:
                for found in page.get("Contents", ()):
                    yield StoredObject(self.key_of(found["Key"]), found["Size"], found["LastModified"])

    def put(self, key: str, body: FileSlice) -> None:
        with asking("store", key):
            self.client.put_object(**self.place(key), **self.encryption_parameters, Body=body)

    def open_range(self, key: str, start: int, stop: int | None) -> tuple[Body, int]:
        wanted = f"bytes={start}-{'' if stop is None else stop - 1}"
        extra = {} if (start, stop) == (0, None) else {"Range": wanted}
        with asking("read", key):
            answer = self.client.get_object(**self.place(key), **extra)
        return S3Body(answer["Body"]), int(answer["ContentLength"])

    def start_parts(self, key: str) -> str:
        with asking("begin", key):
            answer = self.client.create_multipart_upload(**self.place(key), **self.encryption_parameters)
        return str(answer["UploadId"])

    def write_part(self, key: str, upload_id: str, number: int, body: FileSlice) -> StoredPart:
        with asking("send a part of", key):
            answer = self.client.upload_part(
                **self.place(key), UploadId=upload_id, PartNumber=number, Body=body
            )
        return StoredPart(number, answer["ETag"], len(body))

    def parts(self, key: str, upload_id: str) -> list[StoredPart]:
        pages = self.client.get_paginator("list_parts").paginate(**self.place(key), UploadId=upload_id)
        with asking("list the parts of", key):
            return [
                StoredPart(part["PartNumber"], part["ETag"], part["Size"])
                for page in pages
                for part in page.get("Parts", ())
            ]

    def complete_parts(self, key: str, upload_id: str, parts: list[StoredPart]) -> None:
        listed = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
        with asking("complete", key):
            self.client.complete_multipart_upload(
                **self.place(key), UploadId=upload_id, MultipartUpload={"Parts": listed}
            )

    def abort_parts(self, key: str, upload_id: str) -> None:
        with suppress(UploadGone), asking("abort", key):
            self.client.abort_multipart_upload(**self.place(key), UploadId=upload_id)

    def open_uploads(self) -> Iterator[OpenUpload]:
        pages = self.client.get_paginator("list_multipart_uploads").paginate(
            Bucket=self.bucket_name, Prefix=self.name_of("")
        )
        with asking("list the uploads in", self.bucket_name):
            for page in pages:
                for found in page.get("Uploads", ()):
                    yield OpenUpload(self.key_of(found["Key"]), found["UploadId"], found["Initiated"])

    def link(
        self, key: str, *, seconds: int, content_type: str, disposition: str, method: str = "GET"
    ) -> str:
        answered = {"ResponseContentType": content_type, "ResponseContentDisposition": disposition}
        operation = "head_object" if method == "HEAD" else "get_object"
        return self.signed(operation, seconds, **self.place(key), **answered)

    def upload_link(self, key: str, *, seconds: int) -> SignedUpload:
        url = self.signed(
            "put_object", seconds, **self.place(key), **self.encryption_parameters, IfNoneMatch="*"
        )
        named = {
            "If-None-Match": "*",
            "x-amz-server-side-encryption": self.encryption,
            "x-amz-server-side-encryption-aws-kms-key-id": self.encryption_key_id,
        }
        return SignedUpload(url, {name: value for name, value in named.items() if value})

    def part_link(self, key: str, upload_id: str, number: int, *, seconds: int) -> SignedUpload:
        url = self.signed("upload_part", seconds, **self.place(key), UploadId=upload_id, PartNumber=number)
        return SignedUpload(url)

    def signed(self, operation: str, seconds: int, **parameters: Any) -> str:
        return str(self.public_client.generate_presigned_url(operation, Params=parameters, ExpiresIn=seconds))


@contextmanager
def asking(what: str, key: str) -> Iterator[None]:
    """Our errors for theirs."""
    try:
        yield
    except ClientError as error:
        told = error.response["Error"]
        if told["Code"] == "NoSuchUpload":
            raise UploadGone(f"There is no multipart upload of {key} any more.") from error
        if told["Code"] in MISSING:
            raise FileNotFoundError(key) from error
        status = error.response["ResponseMetadata"].get("HTTPStatusCode")
        cause = f"{status} {told['Code']}: {told.get('Message', '')}"
        raise StorageError(f"S3 could not {what} {key}: {cause}") from error
    except BotoCoreError as error:
        raise StorageError(f"S3 could not {what} {key}: {error}") from error
