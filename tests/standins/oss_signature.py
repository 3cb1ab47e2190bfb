"""Version 4 signatures of Aliyun OSS as a server checks them: in the header, and in the query of a signed link.

Written from the documentation and not from the SDK under test:
https://help.aliyun.com/zh/oss/developer-reference/recommend-to-use-signature-version-4 (header)
https://help.aliyun.com/zh/oss/developer-reference/add-signatures-to-urls (query)
https://help.aliyun.com/zh/oss/user-guide/0002-00000232 (a link lives 1 to 604,800 seconds)
https://help.aliyun.com/zh/oss/user-guide/0002-00000003, 0002-00000006, 0002-00000007 (security tokens)
Test vectors of Aliyun's SDKs: tests/drives/test_oss_signature.py.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote

ALGORITHM = "OSS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
SKEW = timedelta(minutes=15)
MAX_EXPIRES = 604_800


class Refused(Exception):
    """An error answer: status, code and text as OSS names them."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass(frozen=True)
class Credential:
    """A key pair. One of STS has a token, ends, and may do only what its policy says."""

    secret: str
    token: str = ""
    ends_at: datetime | None = None
    policy: dict[str, Any] | None = None


@dataclass
class Asked:
    """A request as it arrived: names of headers in lower case, everything of path and query decoded."""

    method: str
    bucket: str
    key: str
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Claim:
    """What a signature says of itself."""

    access_key_id: str
    scope: list[str]
    signed_at: str
    additional: list[str]
    signature: str
    token: str


def encode(text: str, safe: str = "") -> str:
    return quote(text, safe=safe + "-_.~")


def canonical_request(asked: Asked, additional: list[str]) -> str:
    """Method, resource, query, headers, names of the additional ones, and the digest of a payload nobody signs."""
    query = sorted(
        (encode(name), encode(value)) for name, value in asked.query.items() if name != "x-oss-signature"
    )
    signed = {
        name: value.strip()
        for name, value in asked.headers.items()
        if name in ("content-type", "content-md5") or name.startswith("x-oss-") or name in additional
    }
    return "\n".join(
        [
            asked.method,
            encode(f"/{asked.bucket}/{asked.key}", safe="/"),
            "&".join(f"{name}={value}" if value else name for name, value in query),
            "".join(f"{name}:{signed[name]}\n" for name in sorted(signed)),
            ";".join(sorted(additional)),
            asked.headers.get("x-oss-content-sha256", UNSIGNED),
        ]
    )


def signature_of(asked: Asked, secret: str, claim: Claim) -> str:
    digest = hashlib.sha256(canonical_request(asked, claim.additional).encode()).hexdigest()
    text = "\n".join([ALGORITHM, claim.signed_at, "/".join(claim.scope), digest])
    key = f"aliyun_v4{secret}".encode()
    for part in claim.scope:
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def read_header(asked: Asked) -> Claim:
    scheme, _space, rest = asked.headers["authorization"].partition(" ")
    if scheme != ALGORITHM:
        raise Refused(403, "AccessDenied", "Only version 4 signatures are accepted.")
    fields = dict(part.strip().split("=", 1) for part in rest.split(","))
    if "AdditionalHeaders" in fields and not fields["AdditionalHeaders"]:
        raise Refused(400, "InvalidArgument", "AdditionalHeaders is empty.")
    if asked.headers.get("x-oss-content-sha256") != UNSIGNED:
        raise Refused(400, "InvalidArgument", f"x-oss-content-sha256 must be {UNSIGNED}.")
    access_key_id, *scope = fields.get("Credential", "").split("/")
    return Claim(
        access_key_id,
        scope,
        asked.headers.get("x-oss-date", ""),
        [name for name in fields.get("AdditionalHeaders", "").split(";") if name],
        fields.get("Signature", ""),
        asked.headers.get("x-oss-security-token", ""),
    )


def read_query(asked: Asked) -> Claim:
    wanted = ("x-oss-signature-version", "x-oss-credential", "x-oss-date", "x-oss-expires", "x-oss-signature")
    for name in wanted:
        if not asked.query.get(name):
            raise Refused(400, "InvalidArgument", f"{name} is missing.")
    if asked.query["x-oss-signature-version"] != ALGORITHM:
        raise Refused(400, "InvalidArgument", f"The version of a signature is {ALGORITHM}.")
    access_key_id, *scope = asked.query["x-oss-credential"].split("/")
    return Claim(
        access_key_id,
        scope,
        asked.query["x-oss-date"],
        [name for name in asked.query.get("x-oss-additional-headers", "").split(";") if name],
        asked.query["x-oss-signature"],
        asked.query.get("x-oss-security-token", ""),
    )


def verify(asked: Asked, credentials: dict[str, Credential], *, region: str, now: datetime) -> Credential:
    """The credential that signed the request. Raises Refused."""
    in_query = "x-oss-signature-version" in asked.query
    if not in_query and "authorization" not in asked.headers:
        raise Refused(403, "AccessDenied", "Anonymous access is forbidden.")
    claim = read_query(asked) if in_query else read_header(asked)
    credential = credentials.get(claim.access_key_id)
    if credential is None:
        raise Refused(403, "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist.")
    if not re.fullmatch(r"\d{8}T\d{6}Z", claim.signed_at):
        raise Refused(400, "InvalidArgument", "x-oss-date is not a time.")
    if claim.scope != [claim.signed_at[:8], region, "oss", "aliyun_v4_request"]:
        raise Refused(403, "InvalidArgument", f"The scope is not that of {region}: {claim.scope}.")
    check_token(credential, claim, now)
    expected = signature_of(asked, credential.secret, claim)
    if not hmac.compare_digest(expected, claim.signature):
        raise Refused(
            403, "SignatureDoesNotMatch", "The request signature we calculated does not match yours."
        )
    check_time(asked, claim, now, in_query)
    return credential


def check_token(credential: Credential, claim: Claim, now: datetime) -> None:
    if credential.token and not claim.token:
        raise Refused(403, "InvalidAccessKeyId", "The request of a temporary key has no security token.")
    if credential.token != claim.token:
        raise Refused(403, "InvalidSecurityToken", "The security token you provided is invalid.")
    if credential.ends_at and credential.ends_at < now:
        raise Refused(403, "SecurityTokenExpired", "The security token you provided has expired.")


def check_time(asked: Asked, claim: Claim, now: datetime, in_query: bool) -> None:
    signed_at = datetime.strptime(claim.signed_at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if not in_query:
        if abs(now - signed_at) > SKEW:
            raise Refused(403, "RequestTimeTooSkewed", "The request is older or newer than 15 minutes.")
        return
    expires = asked.query["x-oss-expires"]
    if not expires.isdigit() or not 1 <= int(expires) <= MAX_EXPIRES:
        raise Refused(400, "InvalidArgument", f"x-oss-expires is 1 to {MAX_EXPIRES}.")
    if signed_at - SKEW > now or signed_at + timedelta(seconds=int(expires)) < now:
        raise Refused(403, "AccessDenied", "Request has expired.")


def check_policy(credential: Credential, action: str, resource: str) -> None:
    """`resource` is `bucket` or `bucket/key`. What no statement allows is denied. Raises Refused."""
    if credential.policy is None:
        return
    full = f"acs:oss:*:*:{resource}"
    for statement in credential.policy["Statement"]:
        actions = any(fnmatchcase(action, allowed) for allowed in statement["Action"])
        resources = any(fnmatchcase(full, allowed) for allowed in statement["Resource"])
        if statement["Effect"] == "Allow" and actions and resources:
            return
    raise Refused(403, "AccessDenied", f"The policy does not allow {action} on {resource}.")
