"""The keys of the stand-ins and of the merchant that pays by them: made at the first use, in YUNTU_VAR."""

import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import cast

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from django.conf import settings

OWNERS = ("wechat-merchant", "wechat-platform", "alipay-merchant", "alipay-platform")


def ensure_keys() -> Path:
    """The folder with `<owner>.pem` and `<owner>-public.pem` for each of OWNERS; of several that begin one wins."""
    folder: Path = settings.STAND_IN_KEYS
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=folder.parent))  # for us alone to read
        for owner in OWNERS:
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            (made / f"{owner}.pem").write_bytes(private)
            (made / f"{owner}-public.pem").write_bytes(public)
        try:
            made.rename(folder)
        except OSError:  # another process was first
            shutil.rmtree(made)
    return folder


@cache
def private_key(path: Path) -> rsa.RSAPrivateKey:
    return cast(rsa.RSAPrivateKey, load_pem_private_key(path.read_bytes(), None))


def key_of(owner: str) -> rsa.RSAPrivateKey:
    return private_key(ensure_keys() / f"{owner}.pem")


def sign(owner: str, message: bytes) -> bytes:
    """RSA with SHA-256 and PKCS#1 v1.5, which both vendors use."""
    return key_of(owner).sign(message, padding.PKCS1v15(), hashes.SHA256())


def verify(owner: str, message: bytes, signature: bytes) -> None:
    """Raises InvalidSignature."""
    key_of(owner).public_key().verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
