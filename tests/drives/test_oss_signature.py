"""The stand-in for OSS computes what Aliyun's SDKs compute: their published test vectors, and ours of nobody."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.standins.oss_signature import Asked, Claim, Credential, Refused, check_policy, signature_of, verify

QUERY = {
    "param1": "value1",
    "+param1": "value3",
    "|param1": "value4",
    "+param2": "",
    "|param2": "",
    "param2": "",
}
HEADERS = {"x-oss-head1": "value", "abc": "value", "zabc": "value", "xyz": "value"}
KEY = "1234+-/123/1.txt"
SCOPE = ["cn-hangzhou", "oss", "aliyun_v4_request"]


def asked_at(signed_at: str, **headers: str) -> Asked:
    sent = {**HEADERS, **headers, "x-oss-date": signed_at, "x-oss-content-sha256": "UNSIGNED-PAYLOAD"}
    return Asked("PUT", "bucket", KEY, dict(QUERY), sent)


# alibabacloud-oss-python-sdk-v2, tests/unit/signer/test_v4.py; the same values stand in the SDKs for Go, Kotlin,
# Swift and JavaScript. Each was made with the key pair ak, sk.
@pytest.mark.parametrize(
    ("seconds", "headers", "additional", "signature"),
    [
        (1702743657, {}, [], "e21d18daa82167720f9b1047ae7e7f1ce7cb77a31e8203a7d5f4624fa0284afe"),
        (
            1702784856,
            {"x-oss-security-token": "token"},
            [],
            "b94a3f999cf85bcdc00d332fbd3734ba03e48382c36fa4d5af5df817395bd9ea",
        ),
        (1702747512, {}, ["abc", "zabc"], "4a4183c187c07c8947db7620deb0a6b38d9fbdd34187b6dbaccb316fa251212f"),
    ],
)
def test_signatures_in_the_header(
    seconds: int, headers: dict[str, str], additional: list[str], signature: str
) -> None:
    signed_at = datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")
    asked = asked_at(signed_at, **{"content-type": "text/plain"}, **headers)
    claim = Claim("ak", [signed_at[:8], *SCOPE], signed_at, additional, "", "")
    assert signature_of(asked, "sk", claim) == signature


@pytest.mark.parametrize(
    ("seconds", "more", "additional", "signature"),
    [
        (1702781677, {}, [], "a39966c61718be0d5b14e668088b3fa07601033f6518ac7b523100014269c0fe"),
        (
            1702785388,
            {"x-oss-security-token": "token"},
            [],
            "3817ac9d206cd6dfc90f1c09c00be45005602e55898f26f5ddb06d7892e1f8b5",
        ),
        (
            1702783809,
            {"x-oss-additional-headers": "abc;zabc"},
            ["abc", "zabc"],
            "6bd984bfe531afb6db1f7550983a741b103a8c58e5e14f83ea474c2322dfa2b7",
        ),
    ],
)
def test_signatures_in_the_query(
    seconds: int, more: dict[str, str], additional: list[str], signature: str
) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    signed_at = moment.strftime("%Y%m%dT%H%M%SZ")
    query = {
        **QUERY,
        **more,
        "x-oss-signature-version": "OSS4-HMAC-SHA256",
        "x-oss-credential": "/".join(["ak", signed_at[:8], *SCOPE]),
        "x-oss-date": signed_at,
        "x-oss-expires": "599",
        "x-oss-signature": signature,
    }
    asked = Asked("PUT", "bucket", KEY, query, {**HEADERS, "content-type": "application/octet-stream"})
    known = {"ak": Credential("sk", token=more.get("x-oss-security-token", ""))}
    assert verify(asked, known, region="cn-hangzhou", now=moment + timedelta(seconds=599)) == known["ak"]
    refusals = {
        "SignatureDoesNotMatch": {"x-oss-expires": "598"},
        "InvalidAccessKeyId": {"x-oss-credential": "/".join(["other", signed_at[:8], *SCOPE])},
        "InvalidArgument": {"x-oss-credential": "/".join(["ak", signed_at[:8], "cn-beijing", *SCOPE[1:]])},
    }
    for code, changed in refusals.items():
        with pytest.raises(Refused) as refused:
            verify(
                Asked("PUT", "bucket", KEY, {**query, **changed}, asked.headers),
                known,
                region="cn-hangzhou",
                now=moment,
            )
        assert refused.value.code == code
    with pytest.raises(Refused, match="expired"):
        verify(asked, known, region="cn-hangzhou", now=moment + timedelta(seconds=600))


@pytest.mark.parametrize(
    ("action", "resource", "allowed"),
    [
        ("oss:PutObject", "bucket/blobs/t1/a", True),
        ("oss:ListParts", "bucket/blobs/t1/a", True),
        ("oss:PutObject", "bucket/blobs/t2/a", False),
        ("oss:PutObject", "bucket/blobs/t1", False),
        ("oss:GetObject", "bucket/blobs/t1/a", False),
        ("oss:PutObject", "other/blobs/t1/a", False),
    ],
)
def test_policies_allow_what_they_say(action: str, resource: str, allowed: bool) -> None:
    statement = {
        "Effect": "Allow",
        "Action": ["oss:PutObject", "oss:ListParts"],
        "Resource": ["acs:oss:*:*:bucket/blobs/t1/*"],
    }
    credential = Credential("sk", policy={"Version": "1", "Statement": [statement]})
    if allowed:
        check_policy(credential, action, resource)
    else:
        with pytest.raises(Refused, match="does not allow"):
            check_policy(credential, action, resource)
