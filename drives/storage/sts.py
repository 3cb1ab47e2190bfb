"""Temporary keys of Aliyun's STS, through its own SDK.

AssumeRole: https://help.aliyun.com/zh/ram/developer-reference/api-sts-2015-04-01-assumerole. The keys may do what
both the role and the policy given here allow.
"""

import json
from dataclasses import dataclass
from urllib.parse import urlsplit

from alibabacloud_sts20150401.client import Client
from alibabacloud_sts20150401.models import AssumeRoleRequest
from alibabacloud_tea_openapi.models import Config
from darabonba.exceptions import DaraException
from darabonba.runtime import RuntimeOptions
from Tea.exceptions import TeaException, UnretryableException

from drives.storage.base import StorageError
from drives.storage.oss import OSSStorage

SECONDS = 3600
TIMEOUT_MILLISECONDS = 5000


@dataclass(frozen=True)
class TemporaryKeys:
    """Keys that end at `expiration` (ISO 8601, UTC)."""

    access_key_id: str
    access_key_secret: str
    security_token: str
    expiration: str


def temporary_keys(storage: OSSStorage, *, prefix: str, session: str) -> TemporaryKeys:
    """Keys for an hour that may put objects whose keys begin with `prefix`, and nothing else.

    `session` is the name under which the cloud's own logs know them. Raises StorageError, without the SDK's text: it
    may hold what was asked.
    """
    endpoint = urlsplit(storage.sts_endpoint)
    config = Config(
        access_key_id=storage.access_key_id,
        access_key_secret=storage.access_key_secret,
        endpoint=endpoint.netloc,
        protocol=endpoint.scheme,
    )
    request = AssumeRoleRequest(
        duration_seconds=SECONDS,
        policy=json.dumps(storage.upload_policy(prefix)),
        role_arn=storage.sts_role_arn,
        role_session_name=session,
    )
    runtime = RuntimeOptions(connect_timeout=TIMEOUT_MILLISECONDS, read_timeout=TIMEOUT_MILLISECONDS)
    try:
        found = Client(config).assume_role_with_options(request, runtime).body.credentials
    except (DaraException, TeaException, UnretryableException) as error:
        code = getattr(error, "code", None) or "no answer"
        raise StorageError(f"STS gave no keys: {code}") from None
    return TemporaryKeys(found.access_key_id, found.access_key_secret, found.security_token, found.expiration)
