"""Text messages by Aliyun (阿里云短信服务), through its own SDK.

SendSms and its answers: https://help.aliyun.com/zh/sms/developer-reference/api-dysmsapi-2017-05-25-sendsms; an error
of the service itself comes with status 200 and a `Code` other than OK, one of the gateway with 4xx or 5xx.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.conf import settings

from accounts.errors import SmsFailed
from common.errors import RateLimited

if TYPE_CHECKING:
    from alibabacloud_dysmsapi20170525.client import Client
    from darabonba.runtime import RuntimeOptions

logger = logging.getLogger(__name__)
TOO_OFTEN = "isv.BUSINESS_LIMIT_CONTROL"
WAITS = {"天级": 86400, "小时级": 3600}
"""Seconds to wait, by the word with which the message names the limit that was reached; the third limit is by the
minute.
"""


class AliyunSms:
    """Sends each message with one request and never repeats it: after a timeout it may have been sent, and each one
    costs.
    """

    required_settings = (
        "ALIYUN_ACCESS_KEY_ID",
        "ALIYUN_ACCESS_KEY_SECRET",
        "SMS_SIGN_NAME",
        "SMS_TEMPLATE_CODE",
    )
    """A system check wants them."""

    def send_code(self, phone: str, code: str) -> None:
        """Send the template with its variable `code`. Raises SmsFailed, RateLimited.

        Errors are logged by their names alone: the SDK's texts may hold the address of the request, and so the code.
        """
        # The SDK brings 16 MB: who sends no message does without it, though the system checks load this module.
        from alibabacloud_dysmsapi20170525.models import SendSmsRequest
        from darabonba.exceptions import DaraException
        from Tea.exceptions import TeaException, UnretryableException

        request = SendSmsRequest(
            phone_numbers=phone,
            sign_name=settings.SMS_SIGN_NAME,
            template_code=settings.SMS_TEMPLATE_CODE,
            template_param=json.dumps({"code": code}),
        )
        try:
            answer = client().send_sms_with_options(request, runtime()).body
        except (DaraException, TeaException, UnretryableException) as error:
            logger.error("Aliyun refused a text message: %s", getattr(error, "code", None) or "no answer")
            raise SmsFailed from None
        if answer.code == "OK":
            return
        logger.error("Aliyun sent no text message: %s, request %s", answer.code, answer.request_id)
        if answer.code == TOO_OFTEN:
            raise RateLimited(retry_after=wait_of(answer.message or ""))
        raise SmsFailed


def wait_of(message: str) -> int:
    return next((seconds for word, seconds in WAITS.items() if word in message), 60)


def client() -> Client:
    from alibabacloud_dysmsapi20170525.client import Client
    from alibabacloud_tea_openapi.models import Config

    endpoint = urlsplit(settings.SMS_ENDPOINT)
    config = Config(
        access_key_id=settings.ALIYUN_ACCESS_KEY_ID,
        access_key_secret=settings.ALIYUN_ACCESS_KEY_SECRET,
        endpoint=endpoint.netloc,
        protocol=endpoint.scheme,
    )
    return Client(config)


def runtime() -> RuntimeOptions:
    from darabonba.runtime import RuntimeOptions

    milliseconds = int(settings.SMS_TIMEOUT_SECONDS * 1000)
    return RuntimeOptions(connect_timeout=milliseconds, read_timeout=milliseconds)
