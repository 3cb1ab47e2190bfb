"""POST /auth/send-code: what is sent, and how often."""

import json
import time
from typing import Any

import pytest
from django.conf import settings

from accounts.errors import SmsFailed
from accounts.models import PhoneCode
from common import limits
from common.errors import RateLimited
from common.realtime import connection
from tests.accounts.conftest import PHONE, codes_sent, rewind
from tests.conftest import Client
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def test_a_code_lands_in_the_outbox(anonymous: Client) -> None:
    answer = anonymous.post("/auth/send-code", {"phone": PHONE})
    assert answer.status_code == 200
    assert answer.json() == {"success": True, "message": "验证码已发送。"}
    [line] = (settings.YUNTU_VAR / "outbox" / "sms.jsonl").read_text("utf-8").splitlines()
    sent = json.loads(line)
    assert set(sent) == {"phone", "code", "sent_at"}
    assert sent["phone"] == PHONE
    assert len(sent["code"]) == 6
    # What the table holds does not give the code away.
    row = PhoneCode.objects.get()
    assert sent["code"] not in row.code_hash
    assert len(row.code_hash) == 64


def test_whether_a_phone_is_registered_is_not_told(anonymous: Client) -> None:
    user = make_user()
    known = anonymous.post("/auth/send-code", {"phone": user.phone})
    unknown = anonymous.post("/auth/send-code", {"phone": PHONE})
    assert (known.status_code, known.json()) == (unknown.status_code, unknown.json())


NO_PHONES = [
    *("", "12345678901", "1391234567", "139123456789", "1391234567a", "１3912345678", "139１２３４５６７８"),
    *(None, 13, ["13912345678"], {"phone": "13912345678"}),
]


@pytest.mark.parametrize("phone", NO_PHONES)
def test_what_is_no_phone_is_refused(anonymous: Client, phone: Any) -> None:
    answer = anonymous.post("/auth/send-code", {"phone": phone})
    assert answer.status_code == 422
    assert answer.json()["code"] == "validation_error"
    assert answer.json()["errors"][0]["loc"] == ["body", "phone"]
    assert not PhoneCode.objects.exists()


def test_once_a_minute_for_a_phone(anonymous: Client) -> None:
    assert anonymous.post("/auth/send-code", {"phone": PHONE}).status_code == 200
    answer = anonymous.post("/auth/send-code", {"phone": PHONE})
    assert answer.status_code == 429
    assert answer.json()["code"] == "rate_limited"
    assert 0 < answer.json()["retry_after"] <= 60
    assert answer["Retry-After"] == str(answer.json()["retry_after"])
    assert len(codes_sent()) == 1
    # Another phone is not held up by it.
    assert anonymous.post("/auth/send-code", {"phone": "13912345679"}).status_code == 200


def test_five_times_an_hour_for_a_phone(anonymous: Client) -> None:
    for _time in range(5):
        assert anonymous.post("/auth/send-code", {"phone": PHONE}).status_code == 200
        rewind("sms-phone-minute")
    answer = anonymous.post("/auth/send-code", {"phone": PHONE})
    assert answer.status_code == 429
    assert 60 < int(answer["Retry-After"]) <= 3600
    # What one limit refuses does not use up the others.
    rewind("sms-phone-hour")
    assert anonymous.post("/auth/send-code", {"phone": PHONE}).status_code == 200


def test_ten_times_an_hour_for_an_address_whatever_the_header_says(anonymous: Client) -> None:
    for number in range(10):
        answer = anonymous.post(
            "/auth/send-code",
            {"phone": f"1391234567{number}"},
            headers={"X-Forwarded-For": f"203.0.113.{number}"},
        )
        assert answer.status_code == 200
    answer = anonymous.post(
        "/auth/send-code", {"phone": "13800000000"}, headers={"X-Forwarded-For": "203.0.113.99"}
    )
    assert answer.status_code == 429
    elsewhere = anonymous.post("/auth/send-code", {"phone": "13800000000"}, REMOTE_ADDR="203.0.113.99")
    assert elsewhere.status_code == 200


@pytest.mark.parametrize(
    ("proxies", "forwarded", "peer", "expected"),
    [
        (0, "198.51.100.1", "10.0.0.1", "10.0.0.1"),
        (1, "198.51.100.1", "10.0.0.1", "198.51.100.1"),
        # What stands left of the trusted proxy's own entry was written by the client.
        (1, "1.1.1.1, 198.51.100.1", "10.0.0.1", "198.51.100.1"),
        (2, "1.1.1.1, 198.51.100.1, 10.0.0.9", "10.0.0.1", "198.51.100.1"),
        (3, "198.51.100.1", "10.0.0.1", "198.51.100.1"),
        (1, "unknown", "10.0.0.1", "10.0.0.1"),
        (1, "", "fe80::1%eth0", "fe80::1"),
        (0, "", "", ""),
    ],
)
def test_address_of_a_client(
    rf: Any, settings: Any, proxies: int, forwarded: str, peer: str, expected: str
) -> None:
    settings.NUM_PROXIES = proxies
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    assert limits.client_ip(rf.get("/", REMOTE_ADDR=peer, headers=headers)) == expected


def test_a_limit_holds_to_the_very_end_of_its_window() -> None:
    rule = ("test", "end", (1, 60))
    limits.take(rule)
    # Redis rounds the time that is left: these 400 ms are 0 s to it.
    connection().pexpire(f"{settings.REDIS_PREFIX}:limit:test:end", 400)
    with pytest.raises(RateLimited) as refused:
        limits.take(rule)
    assert refused.value.data == {"retry_after": 1, "limit": 1}


def test_a_provider_that_fails_is_told(anonymous: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Any, phone: str, code: str) -> None:
        raise SmsFailed

    monkeypatch.setattr("accounts.sms.OutboxSms.send_code", fail)
    answer = anonymous.post("/auth/send-code", {"phone": PHONE})
    assert answer.status_code == 502
    assert answer.json()["code"] == "sms_failed"


def test_a_redis_that_is_away_is_503(anonymous: Client, redis_away: None) -> None:
    answer = anonymous.post("/auth/send-code", {"phone": PHONE})
    assert answer.status_code == 503
    assert answer.json()["code"] == "unavailable"
    assert answer["Retry-After"] == "5"
    assert not PhoneCode.objects.exists()


def rate(answer: Any) -> tuple[int, int, int]:
    """Limit, remaining and the seconds until the reset."""
    limit, remaining, reset = (int(answer[f"X-RateLimit-{name}"]) for name in ("Limit", "Remaining", "Reset"))
    return limit, remaining, round(reset - time.time())


def test_answers_tell_what_is_left(anonymous: Client) -> None:
    sent = anonymous.post("/auth/send-code", {"phone": PHONE})
    limit, remaining, wait = rate(sent)
    assert (limit, remaining) == (1, 0) and 58 <= wait <= 60

    refused = anonymous.post("/auth/send-code", {"phone": PHONE})
    limit, remaining, wait = rate(refused)
    assert (limit, remaining) == (1, 0) and abs(wait - int(refused["Retry-After"])) <= 1

    for _time in range(4):
        rewind("sms-phone-minute")
        last = anonymous.post("/auth/send-code", {"phone": PHONE})
    # The hour is used up as well, and that takes longer.
    limit, remaining, wait = rate(last)
    assert (limit, remaining) == (5, 0) and wait > 3500


def test_what_is_given_back_was_taken() -> None:
    rule = ("test", "given", (2, 60))
    limits.give_back(rule)
    limits.take(rule)
    limits.take(rule)
    limits.give_back(rule)
    limits.take(rule)
    with pytest.raises(RateLimited):
        limits.take(rule)
