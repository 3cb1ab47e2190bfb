"""Aliyun as the provider of text messages, against a stand-in that checks signature and parameters."""

import json
import logging
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from accounts.errors import SmsFailed
from accounts.models import PhoneCode, User
from accounts.sms.aliyun import AliyunSms
from common.checks import sms_is_configured
from common.errors import RateLimited
from tests.accounts.conftest import PHONE, registration
from tests.aliyun import KEY_ID, KEY_SECRET, SIGN_NAME, TEMPLATE, Refusal, StandIn, aliyun_sms
from tests.conftest import Client
from tests.racing import wait_for

BACKEND = "accounts.sms.aliyun.AliyunSms"
CODE = f"{42_424:06d}"  # not as it stands in the source, which tracebacks quote


@pytest.fixture
def aliyun(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    with aliyun_sms() as stand_in:
        settings.SMS_BACKEND = BACKEND
        settings.ALIYUN_ACCESS_KEY_ID, settings.ALIYUN_ACCESS_KEY_SECRET = KEY_ID, KEY_SECRET
        settings.SMS_SIGN_NAME, settings.SMS_TEMPLATE_CODE = SIGN_NAME, TEMPLATE
        settings.SMS_ENDPOINT = stand_in.endpoint
        settings.SMS_TIMEOUT_SECONDS = 20
        yield stand_in


def test_a_message_is_signed_and_says_what_is_asked(aliyun: StandIn) -> None:
    AliyunSms().send_code(PHONE, CODE)
    AliyunSms().send_code(PHONE, "131313")

    first, second = aliyun.sent
    assert first == {
        "PhoneNumbers": PHONE,
        "SignName": SIGN_NAME,
        "TemplateCode": TEMPLATE,
        "TemplateParam": f'{{"code": "{CODE}"}}',
    }
    assert json.loads(second["TemplateParam"]) == {"code": "131313"}


@pytest.mark.django_db
def test_a_code_by_aliyun_registers(aliyun: StandIn, anonymous: Client) -> None:
    assert anonymous.post("/auth/send-code", {"phone": PHONE}).status_code == 200
    [message] = aliyun.sent
    code = json.loads(message["TemplateParam"])["code"]
    assert anonymous.post("/auth/register", registration(code)).status_code == 201
    assert User.objects.get().phone == PHONE


REFUSALS: dict[str, Refusal | bytes] = {
    "signature": Refusal(400, "SignatureDoesNotMatch"),
    "arrears": Refusal(200, "isv.AMOUNT_NOT_ENOUGH", "账户余额不足"),
    "day of the account": Refusal(200, "isv.DAY_LIMIT_CONTROL", "触发日发送限额"),
    "number": Refusal(200, "isv.MOBILE_NUMBER_ILLEGAL"),
    "no permission": Refusal(403, "Forbidden.RAM"),
    "too busy": Refusal(503, "ServiceUnavailable"),
    "no json": b"<html>Bad Gateway</html>",
    "nothing": b"",
}


@pytest.mark.parametrize("name", REFUSALS)
def test_whatever_aliyun_refuses_is_one_error_and_one_request(
    aliyun: StandIn, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    aliyun.plan = [REFUSALS[name]]
    with caplog.at_level(logging.DEBUG), pytest.raises(SmsFailed) as failed:
        AliyunSms().send_code(PHONE, CODE)
    wait_for(lambda: aliyun.requests > 0)
    assert aliyun.requests == 1
    assert aliyun.sent == []
    assert CODE not in "".join(traceback.format_exception(failed.value))
    refusal = REFUSALS[name]
    assert (refusal.code if isinstance(refusal, Refusal) else "no answer") in caplog.text
    assert CODE not in caplog.text and KEY_SECRET not in caplog.text


def test_a_wrong_secret_a_wrong_key_and_a_wrong_template(aliyun: StandIn, settings: Any) -> None:
    settings.ALIYUN_ACCESS_KEY_SECRET = "another"
    with pytest.raises(SmsFailed):
        AliyunSms().send_code(PHONE, CODE)
    settings.ALIYUN_ACCESS_KEY_SECRET, settings.ALIYUN_ACCESS_KEY_ID = KEY_SECRET, "another"
    with pytest.raises(SmsFailed):
        AliyunSms().send_code(PHONE, CODE)
    settings.ALIYUN_ACCESS_KEY_ID, settings.SMS_TEMPLATE_CODE = KEY_ID, "SMS_0"
    with pytest.raises(SmsFailed):
        AliyunSms().send_code(PHONE, CODE)
    assert (aliyun.sent, aliyun.requests) == ([], 3)


@pytest.mark.parametrize(
    ("message", "wait"),
    [
        ("触发分钟级流控Permits:1", 60),
        ("触发小时级流控Permits:5", 3600),
        ("触发天级流控Permits:10", 86400),
        ("", 60),
    ],
)
def test_the_providers_own_limits_say_how_long(aliyun: StandIn, message: str, wait: int) -> None:
    aliyun.plan = [Refusal(200, "isv.BUSINESS_LIMIT_CONTROL", message)]
    with pytest.raises(RateLimited) as refused:
        AliyunSms().send_code(PHONE, CODE)
    assert refused.value.data == {"retry_after": wait}


@pytest.mark.django_db
def test_the_providers_limit_at_the_door(aliyun: StandIn, anonymous: Client) -> None:
    aliyun.plan = [Refusal(200, "isv.BUSINESS_LIMIT_CONTROL", "触发小时级流控Permits:5")]
    answer = anonymous.post("/auth/send-code", {"phone": PHONE})
    assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (429, "rate_limited", "3600")


def test_an_answer_that_does_not_come_is_not_awaited_nor_asked_for_again(
    aliyun: StandIn, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.SMS_TIMEOUT_SECONDS = 0.3
    aliyun.plan = [1.5]
    with caplog.at_level(logging.DEBUG), pytest.raises(SmsFailed):
        AliyunSms().send_code(PHONE, CODE)
    wait_for(lambda: aliyun.requests > 0)
    assert aliyun.requests == 1
    assert "no answer" in caplog.text and CODE not in caplog.text


def test_nobody_at_the_endpoint(aliyun: StandIn, settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.SMS_ENDPOINT = "http://127.0.0.1:1"
    with caplog.at_level(logging.DEBUG), pytest.raises(SmsFailed) as failed:
        AliyunSms().send_code(PHONE, CODE)
    # The HTTP library's own text holds the whole address.
    assert CODE not in caplog.text + "".join(traceback.format_exception(failed.value))


@pytest.mark.django_db
def test_who_gets_no_code_need_not_wait_for_the_next(aliyun: StandIn, anonymous: Client) -> None:
    aliyun.plan = [Refusal(503, "ServiceUnavailable")]
    failed = anonymous.post("/auth/send-code", {"phone": PHONE})
    assert (failed.status_code, failed.json()["code"]) == (502, "sms_failed")

    assert anonymous.post("/auth/send-code", {"phone": PHONE}).status_code == 200
    assert len(aliyun.sent) == 1
    # That one was sent, so now it is a minute.
    assert anonymous.post("/auth/send-code", {"phone": PHONE}).status_code == 429


@pytest.mark.django_db
def test_failures_are_counted_by_the_hour(aliyun: StandIn, anonymous: Client) -> None:
    """Each may have cost a message: nobody gets more than five an hour, also where the answers are lost."""
    for _time in range(5):
        aliyun.plan = [Refusal(503, "ServiceUnavailable")]
        assert anonymous.post("/auth/send-code", {"phone": PHONE}).status_code == 502
    answer = anonymous.post("/auth/send-code", {"phone": PHONE})
    assert answer.status_code == 429
    assert aliyun.requests == 5
    assert PhoneCode.objects.count() == 1


def test_a_provider_without_its_settings_is_an_error_of_the_system_check(
    aliyun: StandIn, settings: Any
) -> None:
    assert sms_is_configured(None) == []
    settings.SMS_SIGN_NAME = settings.ALIYUN_ACCESS_KEY_SECRET = ""
    [error] = sms_is_configured(None)
    assert error.id == "yuntu.E008"
    assert error.msg == f"{BACKEND} needs ALIYUN_ACCESS_KEY_SECRET, SMS_SIGN_NAME."
