"""A bucket of Aliyun OSS on loopback: real HTTP, strict where the official emulator is not.

It keeps to what https://help.aliyun.com/zh/oss/developer-reference/ says of PutObject, GetObject, HeadObject,
DeleteObject, ListObjectsV2 and the multipart calls: ETags, CRC-64, sizes, numbers and order of parts, error codes.
Ranges: https://help.aliyun.com/zh/oss/user-guide/http-status-code-416 and the header x-oss-range-behavior.
"""

import base64
import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from tests.standins.oss_copies import SOURCE, Copies
from tests.standins.oss_objects import MIN_PART_SIZE, Bucket, Stored, receive
from tests.standins.oss_signature import Asked, Credential, Refused, check_policy, encode, verify

BLOCK = 65536
ACTIONS = {
    "PutObject": "oss:PutObject",
    "CopyObject": "oss:PutObject",
    "UploadPartCopy": "oss:PutObject",
    "InitiateMultipartUpload": "oss:PutObject",
    "UploadPart": "oss:PutObject",
    "CompleteMultipartUpload": "oss:PutObject",
    "AbortMultipartUpload": "oss:AbortMultipartUpload",
    "ListParts": "oss:ListParts",
    "GetObject": "oss:GetObject",
    "HeadObject": "oss:GetObject",
    "DeleteObject": "oss:DeleteObject",
    "ListObjects": "oss:ListObjects",
    "ListMultipartUploads": "oss:ListMultipartUploads",
}
OVERRIDES = {"response-content-type": "Content-Type", "response-content-disposition": "Content-Disposition"}


class OSSServer:
    """One bucket. `log` holds what was asked; `faults` are (operation, fault) pairs, each of them happens once.

    Faults: `unavailable` answers 503 and does nothing; `silent` does it and hangs up without an answer; `cut` hangs
    up in the middle of the body; `wrong crc` answers another CRC-64.
    """

    region = "cn-hangzhou"

    def __init__(self, folder: Path, **credentials: Credential) -> None:
        self.bucket = Bucket(folder, "yuntu-test")
        self.credentials = credentials or {"ak": Credential("sk")}
        self.page_size = 1000
        self.log: list[tuple[str, str]] = []
        self.faults: list[tuple[str, str]] = []
        self.lock = threading.Lock()
        handler = type("Handler", (Handler,), {"oss": self})
        self.http = QuietServer(("127.0.0.1", 0), handler)
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}"

    def options(self, **changes: Any) -> dict[str, Any]:
        """Options of a storage that may use the bucket."""
        access_key_id, credential = next(iter(self.credentials.items()))
        return {
            "access_key_id": access_key_id,
            "access_key_secret": credential.secret,
            "security_token": credential.token,
            "bucket_name": self.bucket.name,
            "region": self.region,
            "endpoint": self.endpoint,
            **changes,
        }

    def fault(self, operation: str) -> str:
        with self.lock:
            for wanted in self.faults:
                if wanted[0] == operation:
                    self.faults.remove(wanted)
                    return wanted[1]
        return ""

    def stop(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@contextmanager
def oss_server(folder: Path, **credentials: Credential) -> Iterator[OSSServer]:
    server = OSSServer(folder, **credentials)
    try:
        yield server
    finally:
        server.stop()


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class HungUp(Exception):
    """The connection ends here, without an answer."""


class Handler(Copies, BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    oss: OSSServer

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def serve(self) -> None:
        self.left = int(self.headers.get("Content-Length") or 0)
        try:
            self.answer_to(self.asked())
        except Refused as error:
            self.drain()
            self.refuse(error)
        except HungUp:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = serve  # noqa: N815

    def asked(self) -> Asked:
        parts = urlsplit(self.path)
        query = dict(pair.partition("=")[::2] for pair in parts.query.split("&") if pair)
        bucket, _slash, key = unquote(parts.path[1:]).partition("/")
        return Asked(
            self.command,
            bucket,
            key,
            {unquote(name): unquote(value) for name, value in query.items()},
            {name.lower(): value for name, value in self.headers.items()},
        )

    def answer_to(self, asked: Asked) -> None:
        oss = self.oss
        credential = verify(asked, oss.credentials, region=oss.region, now=datetime.now(UTC))
        if asked.bucket != oss.bucket.name:
            raise Refused(404, "NoSuchBucket", "The specified bucket does not exist.")
        if asked.method in ("PUT", "POST") and "content-length" not in asked.headers:
            raise Refused(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
        self.credential, operation = credential, operation_of(asked)
        check_policy(credential, ACTIONS[operation], f"{asked.bucket}/{asked.key}".rstrip("/"))
        with oss.lock:
            oss.log.append((operation, asked.key))
        self.current_fault = oss.fault(operation)
        if self.current_fault == "unavailable":
            raise Refused(503, "ServiceUnavailable", "Please reduce your request rate.")
        getattr(self, operation)(asked)

    # --- Answers ---

    def read_block(self) -> bytes:
        data = self.rfile.read(min(BLOCK, self.left))
        if self.left and not data:
            raise HungUp  # the client broke off
        self.left -= len(data)
        return data

    def drain(self) -> None:
        while self.left:
            self.read_block()

    def body(self) -> bytes:
        return b"".join(iter(self.read_block, b""))

    def send(self, status: int, headers: dict[str, Any] | None = None, body: bytes = b"") -> None:
        if self.current_fault == "silent":
            raise HungUp
        headers = {"x-oss-request-id": "5C3D9175B6FC201293AD", "Content-Length": len(body), **(headers or {})}
        if self.current_fault == "wrong crc":
            headers["x-oss-hash-crc64ecma"] = 1
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_xml(self, root: str, inner: str) -> None:
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}>{inner}</{root}>'.encode()
        self.send(200, {"Content-Type": "application/xml"}, body)

    def refuse(self, error: Refused) -> None:
        inner = f"<Code>{error.code}</Code><Message>{escape(error.message)}</Message>"
        inner += f"<RequestId>5C3D9175B6FC201293AD</RequestId><HostId>{self.oss.bucket.name}</HostId>"
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}</Error>'.encode()
        self.current_fault = ""
        # The answer to HEAD has no body: the same stands in a header.
        self.send(error.status, {"x-oss-err": base64.b64encode(body).decode()}, body)

    current_fault = ""

    # --- Objects ---

    def PutObject(self, asked: Asked) -> None:  # noqa: N802
        self.oss.bucket.require_free(asked.key, asked.headers)
        stored = receive(self.oss.bucket.folder, self.read_block, asked.headers)
        self.oss.bucket.store(asked.key, stored)
        self.send(200, stored.headers())

    def GetObject(self, asked: Asked) -> None:  # noqa: N802
        stored = self.oss.bucket.find(asked.key)
        first, last, partial = range_of(asked, stored.size)
        headers = {
            **stored.headers(),
            "Content-Length": last - first + 1,
            "Content-Type": stored.content_type,
            "Accept-Ranges": "bytes",
            **{name: asked.query[query] for query, name in OVERRIDES.items() if query in asked.query},
        }
        if partial:
            headers["Content-Range"] = f"bytes {first}-{last}/{stored.size}"
        self.send(206 if partial else 200, headers)
        stop = (first + last + 1) // 2 if self.current_fault == "cut" else last + 1
        for block in stored.blocks(first, stop):
            self.wfile.write(block)
        if self.current_fault == "cut":
            raise HungUp

    def HeadObject(self, asked: Asked) -> None:  # noqa: N802
        stored = self.oss.bucket.find(asked.key)
        headers = {**stored.headers(), "Content-Length": stored.size, "Content-Type": stored.content_type}
        headers |= {name: asked.query[query] for query, name in OVERRIDES.items() if query in asked.query}
        self.send(200, headers)

    def DeleteObject(self, asked: Asked) -> None:  # noqa: N802
        self.oss.bucket.delete(asked.key)
        self.send(204)

    def ListObjects(self, asked: Asked) -> None:  # noqa: N802
        if asked.query.get("list-type") != "2":
            raise Refused(400, "InvalidArgument", "Only ListObjectsV2 is served here.")
        limit = min(int(asked.query.get("max-keys") or 100), self.oss.page_size)
        after = asked.query.get("continuation-token") or asked.query.get("start-after") or ""
        found = self.oss.bucket.listed(asked.query.get("prefix", ""), after)
        page, rest = found[:limit], found[limit:]
        inner = f"<IsTruncated>{str(bool(rest)).lower()}</IsTruncated><EncodingType>url</EncodingType>"
        if rest:
            inner += f"<NextContinuationToken>{encode(page[-1][0])}</NextContinuationToken>"
        for key, stored in page:
            inner += (
                f"<Contents><Key>{encode(key)}</Key><LastModified>{iso(stored.modified_at)}</LastModified>"
                f'<ETag>"{stored.etag}"</ETag><Type>Normal</Type><Size>{stored.size}</Size>'
                "<StorageClass>Standard</StorageClass></Contents>"
            )
        self.send_xml("ListBucketResult", inner)

    # --- Multipart uploads ---

    def InitiateMultipartUpload(self, asked: Asked) -> None:  # noqa: N802
        upload_id = self.oss.bucket.begin(asked.key, asked.headers)
        inner = (
            f"<Bucket>{asked.bucket}</Bucket><Key>{escape(asked.key)}</Key><UploadId>{upload_id}</UploadId>"
        )
        self.send_xml("InitiateMultipartUploadResult", inner)

    def UploadPart(self, asked: Asked) -> None:  # noqa: N802
        number = asked.query["partNumber"]
        if not number.isdigit() or not 1 <= int(number) <= 10_000:
            raise Refused(
                400, "InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive."
            )
        upload = self.oss.bucket.upload(asked.key, asked.query["uploadId"])
        part = receive(self.oss.bucket.folder, self.read_block, asked.headers)
        upload.put(int(number), part)
        self.send(200, part.headers())

    def CompleteMultipartUpload(self, asked: Asked) -> None:  # noqa: N802
        upload = self.oss.bucket.upload(asked.key, asked.query["uploadId"])
        listed = [
            (int(part.findtext("PartNumber") or 0), (part.findtext("ETag") or "").strip('"'))
            for part in ElementTree.fromstring(self.body()).findall("Part")  # noqa: S314  (our own client's)
        ]
        numbers = [number for number, _etag in listed]
        if not listed or numbers != sorted(set(numbers)):
            raise Refused(400, "InvalidPartOrder", "The list of parts was not in ascending order.")
        for number, etag in listed:
            if number not in upload.parts or upload.parts[number].etag != etag.upper():
                raise Refused(400, "InvalidPart", "One or more of the specified parts could not be found.")
        if any(upload.parts[number].size < MIN_PART_SIZE for number in numbers[:-1]):
            raise Refused(400, "EntityTooSmall", "A part other than the last is smaller than 100 KB.")
        self.oss.bucket.require_free(asked.key, asked.headers)
        stored = self.oss.bucket.complete(asked.key, asked.query["uploadId"], numbers)
        headers = {"Content-Type": "application/xml", "x-oss-hash-crc64ecma": stored.crc64}
        inner = f'<Key>{escape(asked.key)}</Key><ETag>"{stored.etag}"</ETag>'
        body = f"<CompleteMultipartUploadResult>{inner}</CompleteMultipartUploadResult>".encode()
        self.send(200, {**headers, "ETag": f'"{stored.etag}"'}, body)

    def AbortMultipartUpload(self, asked: Asked) -> None:  # noqa: N802
        self.oss.bucket.abort(asked.key, asked.query["uploadId"])
        self.send(204)

    def ListParts(self, asked: Asked) -> None:  # noqa: N802
        upload = self.oss.bucket.upload(asked.key, asked.query["uploadId"])
        after = int(asked.query.get("part-number-marker") or 0)
        limit = min(int(asked.query.get("max-parts") or 1000), self.oss.page_size)
        numbers = [number for number in sorted(upload.parts) if number > after]
        page = numbers[:limit]
        inner = f"<IsTruncated>{str(len(numbers) > limit).lower()}</IsTruncated>"
        inner += f"<NextPartNumberMarker>{page[-1] if page else 0}</NextPartNumberMarker>"
        for number in page:
            part = upload.parts[number]
            inner += (
                f"<Part><PartNumber>{number}</PartNumber><LastModified>{iso(part.modified_at)}</LastModified>"
                f'<ETag>"{part.etag}"</ETag><Size>{part.size}</Size></Part>'
            )
        self.send_xml("ListPartsResult", inner)

    def ListMultipartUploads(self, asked: Asked) -> None:  # noqa: N802
        place = (asked.query.get("key-marker", ""), asked.query.get("upload-id-marker", ""))
        limit = min(int(asked.query.get("max-uploads") or 1000), self.oss.page_size)
        prefix = asked.query.get("prefix", "")
        found = sorted((u.key, upload_id, u) for upload_id, u in self.oss.bucket.uploads.items())
        found = [entry for entry in found if entry[0].startswith(prefix) and entry[:2] > place]
        page, rest = found[:limit], found[limit:]
        inner = f"<EncodingType>url</EncodingType><IsTruncated>{str(bool(rest)).lower()}</IsTruncated>"
        last = page[-1][:2] if page else ("", "")
        inner += f"<NextKeyMarker>{encode(last[0])}</NextKeyMarker>"
        inner += f"<NextUploadIdMarker>{last[1]}</NextUploadIdMarker>"
        for key, upload_id, upload in page:
            inner += (
                f"<Upload><Key>{encode(key)}</Key><UploadId>{upload_id}</UploadId>"
                f"<Initiated>{iso(upload.started_at)}</Initiated></Upload>"
            )
        self.send_xml("ListMultipartUploadsResult", inner)


def operation_of(asked: Asked) -> str:
    """The operation's name in the documentation. Raises Refused."""
    method, query = asked.method, asked.query
    if not asked.key:
        if method == "GET":
            return "ListMultipartUploads" if "uploads" in query else "ListObjects"
    elif "uploadId" in query:
        put = "UploadPartCopy" if SOURCE in asked.headers else "UploadPart"
        parts = {"PUT": put, "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload"}
        return {**parts, "GET": "ListParts"}[method]
    elif method == "POST" and "uploads" in query:
        return "InitiateMultipartUpload"
    elif method != "POST":
        put = "CopyObject" if SOURCE in asked.headers else "PutObject"
        return {"PUT": put, "GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}[method]
    raise Refused(405, "MethodNotAllowed", f"{method} is not served here.")


def range_of(asked: Asked, size: int) -> tuple[int, int, bool]:
    """First and last byte, and whether that is part of the object.

    A range that does not lie within the object is ignored, unless the request asks for standard behaviour.
    """
    whole = (0, size - 1, False)
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", asked.headers.get("range", ""))
    if found is None or found.groups() == ("", ""):
        return whole
    if not found[1]:
        first, last = max(size - int(found[2]), 0), size - 1
    else:
        first, last = int(found[1]), int(found[2] or size - 1)
    if first < size and last < size and first <= last:
        return first, last, True
    if asked.headers.get("x-oss-range-behavior") != "standard":
        return whole
    if first >= size:
        raise Refused(416, "InvalidRange", "The requested range cannot be satisfied.")
    return first, size - 1, True


def iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def stored_names(server: OSSServer) -> list[str]:
    """Names of all objects, and nothing may lie on the disk beside them and the parts of open uploads."""
    bucket = server.bucket
    kept: list[Stored] = [*bucket.objects.values()]
    kept += [part for upload in bucket.uploads.values() for part in upload.parts.values()]
    assert {path.name for path in bucket.folder.iterdir()} == {stored.path.name for stored in kept}
    return sorted(bucket.objects)
