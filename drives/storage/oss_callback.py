"""Whether a callback is from OSS: https://help.aliyun.com/zh/oss/developer-reference/callback.

The signature proves only that OSS sent it, for some bucket of some customer: nothing in the body can be trusted.
"""

import base64
import binascii

import httpx
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from django.conf import settings
from django.core.cache import cache

from drives.errors import CallbackForged
from drives.storage.base import StorageError

KEY_SECONDS = 86_400
KEY_BYTES = 10_000
TIMEOUT_SECONDS = 5.0


def require_from_oss(*, path: str, query: str, body: bytes, authorization: str, key_url: str) -> None:
    """Check the signature: MD5 with RSA over the path (decoded), the query, a line feed and the body.

    `authorization` and `key_url` are the headers as they came, in base64. Raises CallbackForged; StorageError where
    the public key cannot be had.
    """
    signature = decoded(authorization)
    if not signature:
        raise CallbackForged
    address = address_of_key(decoded(key_url).decode("ascii", "replace"))
    asked = f"?{query}" if query else ""
    signed = f"{path}{asked}\n".encode() + body
    try:
        key = serialization.load_pem_public_key(public_key(address))
        if not isinstance(key, rsa.RSAPublicKey):
            raise CallbackForged
        key.verify(signature, signed, padding.PKCS1v15(), hashes.MD5())  # noqa: S303  (what OSS signs with)
    except (InvalidSignature, ValueError, UnsupportedAlgorithm) as error:
        raise CallbackForged from error


def address_of_key(named: str) -> str:
    """Where we ask for the key. Raises CallbackForged for any host but Aliyun's own.

    Aliyun names the address by http or https; we ask by https whatever it says, so that nobody between swaps the key.
    """
    scheme, _mark, place = settings.OSS_CALLBACK_KEYS.partition("://")
    found, _mark, rest = named.partition("://")
    if found not in ("http", "https") or not rest.startswith(place):
        raise CallbackForged
    return f"{scheme}://{rest}"


def decoded(header: str) -> bytes:
    try:
        return base64.b64decode(header, validate=True)
    except (binascii.Error, ValueError):
        return b""


def public_key(address: str) -> bytes:
    """The key in PEM, kept for a day. Raises StorageError."""
    name = f"oss-callback-key:{address}"
    known: bytes | None = cache.get(name)
    if known is not None:
        return known
    try:
        answer = httpx.get(address, timeout=TIMEOUT_SECONDS)
        answer.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise StorageError(f"The key of callbacks cannot be had: {error}") from error
    cache.set(name, answer.content[:KEY_BYTES], KEY_SECONDS)
    return answer.content[:KEY_BYTES]
