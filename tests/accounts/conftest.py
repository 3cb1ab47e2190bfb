"""What the outbox holds and what the tests of accounts send again and again."""

import json
from typing import Any

import pytest
from django.conf import settings

from accounts.models import User
from common.realtime import connection
from tests.accounts.wechat_servers import standin_server, told_wechat, wechat
from tests.conftest import Client
from tests.factories import PASSWORD, token_of

__all__ = ["standin_server", "told_wechat", "wechat"]  # fixtures

PHONE = "13912345678"


def codes_sent(phone: str = PHONE) -> list[str]:
    """The codes that went to `phone`, oldest first."""
    outbox = settings.YUNTU_VAR / "outbox" / "sms.jsonl"
    lines = [json.loads(line) for line in outbox.read_text("utf-8").splitlines()] if outbox.exists() else []
    return [line["code"] for line in lines if line["phone"] == phone]


def code_for(api: Client, phone: str = PHONE, purpose: str = "") -> str:
    """A fresh code; without `purpose` as old clients ask for it."""
    answer = api.post("/auth/send-code", {"phone": phone, **({"purpose": purpose} if purpose else {})})
    assert answer.status_code == 200, answer.json()
    return codes_sent(phone)[-1]


def rewind(*names: str) -> None:
    """As if the windows of these limits were over."""
    for key in connection().scan_iter(f"{settings.REDIS_PREFIX}:limit:*"):
        if key.decode().split(":")[2] in names:
            connection().delete(key)


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10**6:06d}"


def registration(code: str, **changes: Any) -> dict[str, Any]:
    form = {"username": "lin_artist", "phone": PHONE, "verification_code": code, "password": PASSWORD}
    return {**form, **changes}


@pytest.fixture(autouse=True)
def _empty_outbox() -> None:
    (settings.YUNTU_VAR / "outbox" / "sms.jsonl").unlink(missing_ok=True)


@pytest.fixture(autouse=True)
def _keep_the_connection(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """To a socket's consumer, the connection that holds the transaction of the test is not an old one to be closed.

    Those of a real server are its own.
    """
    if "server" not in request.fixturenames:
        monkeypatch.setattr("channels.db.close_old_connections", lambda: None)


@pytest.fixture
def token(owner: User) -> str:
    return token_of(owner)
