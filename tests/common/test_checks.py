"""With DEBUG off nothing is served on stand-ins: what `manage.py check` says to an operator."""

import os
import re
import subprocess
import sys

import pytest
from django.conf import settings

from common.checks import is_outside, is_stand_in

GOOD = {
    "DEBUG": "0",
    "SECRET_KEY": "k" * 50,
    "JWT_SIGNING_KEY": "j" * 50,
    "ALLOWED_HOSTS": "yuntu.example.com",
    "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
    "SMS_BACKEND": "accounts.sms.aliyun.AliyunSms",
    "ALIYUN_ACCESS_KEY_ID": "LTAI",
    "ALIYUN_ACCESS_KEY_SECRET": "secret",
    "SMS_SIGN_NAME": "盛世云图",
    "SMS_TEMPLATE_CODE": "SMS_1",
}


def check(**changes: str) -> tuple[int, str]:
    """Exit code and words of `manage.py check` with production's variables, some changed; empty: not set."""
    ours = {name: value for name, value in {**GOOD, **changes}.items() if value}
    environment = {name: value for name, value in os.environ.items() if name not in GOOD}
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "check", "--settings", "config.settings"]
    run = subprocess.run(command, env={**environment, **ours}, capture_output=True, text=True, timeout=60)
    return run.returncode, run.stdout + run.stderr


def test_production_as_it_should_be() -> None:
    code, words = check()
    assert code == 0, words


def test_all_that_is_wrong_is_told_at_once() -> None:
    code, words = check(
        SMS_BACKEND="",
        EMAIL_BACKEND="django.core.mail.backends.filebased.EmailBackend",
        RENDER_ENGINES="blender,simulated",
        ALLOWED_HOSTS="",
        SECRET_KEY="short",
        RENDER_LEASE_SECONDS="2",
        WECHAT_API_URL="https://yuntu.example.com/standin/wechat",
        TRIAL_CREDIT="0.01",
        ALIPAY_URL="https://yuntu.example.com/standin/pay/alipay/gateway.do",
    )
    assert code != 0
    found = set(re.findall(r"yuntu\.E\d+", words))
    assert found == {f"yuntu.E{number:03}" for number in (*range(1, 8), 9, 10)}


def test_a_provider_of_messages_without_its_settings() -> None:
    code, words = check(SMS_SIGN_NAME="")
    assert code != 0
    assert "(yuntu.E008) accounts.sms.aliyun.AliyunSms needs SMS_SIGN_NAME." in words


def test_a_payment_channel_that_is_half_configured() -> None:
    code, words = check(ALIPAY_APP_ID="2021", ALIPAY_PRIVATE_KEY="/nowhere.pem")
    assert code != 0
    assert "(yuntu.E015) alipay needs ALIPAY_SELLER_ID, ALIPAY_PUBLIC_KEY." in words
    assert "(yuntu.E012) ALIPAY_PRIVATE_KEY must be the path of a PEM file." in words
    names = ("APP_ID", "SELLER_ID", "PRIVATE_KEY", "PUBLIC_KEY")
    code, words = check(**{f"ALIPAY_{name}": __file__ for name in names})
    assert (code != 0, set(re.findall(r"yuntu\.E\d+", words))) == (True, {"yuntu.E013"})
    assert (
        check(**{f"ALIPAY_{name}": __file__ for name in names}, PUBLIC_URL="https://yuntu.example.com")[0]
        == 0
    )


@pytest.mark.parametrize(
    "backend", ["accounts.sms.OutboxSms", "accounts.sms.Missing", "nowhere.Sms", "x", ""]
)
def test_an_sms_provider_that_is_none(backend: str) -> None:
    assert is_stand_in(backend)


@pytest.mark.parametrize("url", ["http://api.weixin.qq.com", "http://127.0.0.1:8000/standin/wechat", ""])
def test_a_wechat_that_is_none(url: str) -> None:
    assert not is_outside(url)
    assert is_outside("https://api.weixin.qq.com")


@pytest.mark.parametrize("path", ["/standin/wechat/sns/userinfo", "/standin/pay/alipay/gateway.do"])
def test_stand_ins_have_no_address_in_production(path: str) -> None:
    look = "import django; django.setup(); from django.urls import resolve; resolve('{}')"
    command = [sys.executable, "-c", look.format(path)]
    outside = {name: value for name, value in os.environ.items() if name not in GOOD}
    outside["DJANGO_SETTINGS_MODULE"] = "config.settings"
    for changes, code in ((GOOD, 1), ({"DEBUG": "1"}, 0)):
        run = subprocess.run(
            command,
            env={**outside, **changes},
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert run.returncode == code, run.stderr
        assert ("Resolver404" in run.stderr) == bool(code)


def test_an_sms_provider_that_is_one() -> None:
    assert not is_stand_in(GOOD["SMS_BACKEND"])


@pytest.mark.parametrize("name", ["SECRET_KEY", "JWT_SIGNING_KEY"])
def test_a_secret_has_no_default(name: str) -> None:
    code, words = check(**{name: ""})
    assert code != 0
    assert f"{name} must be set when DEBUG is off." in words


def test_a_folder_may_be_named_from_where_the_platform_is_started() -> None:
    """Programs are started elsewhere, and are told of its files."""
    names = ("YUNTU_VAR", "YUNTU_ENGINES", "RENDER_NODE_FOLDER")
    code = "from config import settings as s; print(s.YUNTU_VAR, s.ENGINES_DIR, s.RENDER_NODE_FOLDER)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **dict.fromkeys(names, "here")},
        capture_output=True,
        text=True,
        timeout=60,
        cwd=settings.BASE_DIR,
    )
    assert run.stdout.split() == [str(settings.BASE_DIR / "here")] * 3, run.stderr


def test_what_serves_loads_no_sdk_before_it_needs_one() -> None:
    """They are half of what a process would hold from its start on."""
    sdks = (
        "oss2",
        "alibabacloud_sts20150401",
        "alibabacloud_dysmsapi20170525",
        "openjd",
        "wechatpayv3",
        "alipay",
    )
    code = f"import sys, config.asgi, config.urls; print(sorted(set(sys.modules) & set({sdks})))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=settings.BASE_DIR
    )
    assert run.stdout.strip() == "[]", run.stdout + run.stderr
