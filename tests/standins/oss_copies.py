"""Copies inside the bucket: who copies must be allowed to read the source, too.

https://help.aliyun.com/zh/oss/developer-reference/copyobject and …/uploadpartcopy
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from tests.standins.oss_objects import Stored, receive
from tests.standins.oss_signature import Asked, Credential, Refused, check_policy

SOURCE = "x-oss-copy-source"
MAX_SIZE = 2**30


class Copies:
    """For a handler that has a bucket."""

    oss: Any
    credential: Credential
    send: Callable[..., None]

    def source_of(self, asked: Asked) -> Stored:
        bucket, _slash, key = unquote(asked.headers[SOURCE]).lstrip("/").partition("/")
        if bucket != self.oss.bucket.name:
            raise Refused(404, "NoSuchBucket", "The specified bucket does not exist.")
        check_policy(self.credential, "oss:GetObject", f"{bucket}/{key}")
        stored: Stored = self.oss.bucket.find(key)
        wanted = asked.headers.get(f"{SOURCE}-if-match")
        if wanted and wanted.strip('"') != stored.etag:
            raise Refused(412, "PreconditionFailed", "At least one of the pre-conditions did not hold.")
        return stored

    def copied(self, asked: Asked, source: Stored, first: int, stop: int) -> Stored:
        blocks = iter(source.blocks(first, stop))
        return receive(self.oss.bucket.folder, lambda: next(blocks, b""), asked.headers)

    def CopyObject(self, asked: Asked) -> None:  # noqa: N802
        source = self.source_of(asked)
        if source.size > MAX_SIZE:
            raise Refused(400, "InvalidArgument", "The object is larger than 1 GB.")
        stored = self.copied(asked, source, 0, source.size)
        self.oss.bucket.require_free(asked.key, asked.headers)
        self.oss.bucket.store(asked.key, stored)
        self.send(200, stored.headers())

    def UploadPartCopy(self, asked: Asked) -> None:  # noqa: N802
        source = self.source_of(asked)
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", asked.headers.get(f"{SOURCE}-range", ""))
        first, last = (int(found[1]), int(found[2])) if found else (0, source.size - 1)
        if last >= source.size:
            raise Refused(400, "InvalidArgument", "The range lies behind the object.")
        upload = self.oss.bucket.upload(asked.key, asked.query["uploadId"])
        part = self.copied(asked, source, first, last + 1)
        upload.put(int(asked.query["partNumber"]), part)
        self.send(200, part.headers())
