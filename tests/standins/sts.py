"""Aliyun's AssumeRole on loopback: signature, role, duration and policy are checked, and the keys open the bucket.

https://help.aliyun.com/zh/ram/developer-reference/api-sts-2015-04-01-assumerole
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

from tests.aliyun import Refusal, StandIn, serving
from tests.standins.oss import OSSServer
from tests.standins.oss_signature import Credential

ROLE = "acs:ram::123456789012****:role/yuntu-upload"


class STS(StandIn):
    """Its keys are those of `oss`, which then knows the temporary ones, too."""

    action = ("AssumeRole", "2015-04-01")

    def __init__(self, oss: OSSServer) -> None:
        super().__init__()
        self.oss = oss
        self.key_id, credential = next(iter(oss.credentials.items()))
        self.secret = credential.secret

    def take(self, method: str, target: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
        self.verify(method, target, headers, body)
        given = dict(parse_qsl(urlsplit(target).query))
        if given.get("RoleArn") != ROLE:
            raise Refusal(404, "EntityNotExist.Role", "The role not exists.")
        if not re.fullmatch(r"[\w.@-]{2,64}", given.get("RoleSessionName", "")):
            raise Refusal(400, "InvalidParameter.RoleSessionName")
        seconds = int(given.get("DurationSeconds", 3600))
        if not 900 <= seconds <= 3600:
            raise Refusal(400, "InvalidParameter.DurationSeconds")
        if len(given.get("Policy", "")) > 2048:
            raise Refusal(400, "InvalidParameter.PolicyGrammar")
        policy = json.loads(given["Policy"]) if "Policy" in given else None
        self.sent.append(given)
        key_id, secret, token = (f"STS.{uuid4().hex}", uuid4().hex, uuid4().hex)
        ends_at = datetime.now(UTC) + timedelta(seconds=seconds)
        self.oss.credentials[key_id] = Credential(secret, token, ends_at, policy)
        keys = {"AccessKeyId": key_id, "AccessKeySecret": secret, "SecurityToken": token}
        return {"Credentials": {**keys, "Expiration": ends_at.strftime("%Y-%m-%dT%H:%M:%SZ")}}


@contextmanager
def sts_server(oss: OSSServer) -> Iterator[STS]:
    stand_in = STS(oss)
    with serving(stand_in):
        yield stand_in
