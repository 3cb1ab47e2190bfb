"""/ws: who may listen."""

import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings

from accounts import consumers
from accounts.models import Session, User
from accounts.services.sessions import end_sessions, open_session
from common.ids import new_id
from common.realtime import connection
from tests.accounts.sockets import in_a_loop, opened, refused
from tests.conftest import Client

pytestmark = pytest.mark.django_db


@pytest.fixture
def ticket(owner_api: Client) -> str:
    answer = owner_api.post("/auth/ws-ticket")
    assert answer.status_code == 200
    assert answer.json()["expires_in"] == settings.WS_TICKET_SECONDS == 30
    found: str = answer.json()["ticket"]
    return found


@in_a_loop
async def test_token_in_the_address(owner: User, token: str) -> None:
    async with opened(f"token={token}") as socket:
        first, second = await socket.hear(), await socket.hear()
    assert first["event"] == "connection:established"
    assert first["data"]["user_id"] == str(owner.pk)
    assert first["data"]["timestamp"].endswith("Z")
    assert second["event"] == "notification"
    assert (second["data"]["title"], second["data"]["type"]) == ("连接成功", "success")


@in_a_loop
async def test_token_in_the_header(token: str) -> None:
    async with opened(headers=[(b"authorization", b"Bearer " + token.encode())]) as socket:
        assert await socket.is_welcomed()


@pytest.mark.parametrize("path", ["/ws", "/ws/"])
@in_a_loop
async def test_token_in_the_first_message(token: str, path: str) -> None:
    async with opened(path=path) as socket:
        assert await socket.is_alive()  # a client may knock before it signs in
        await socket.say("auth", token=token)
        assert await socket.is_welcomed()
        assert await socket.is_alive()


@in_a_loop
async def test_a_ticket_opens_once(ticket: str) -> None:
    async with opened(f"ticket={ticket}") as socket:
        assert await socket.is_welcomed()
    assert await refused(f"ticket={ticket}")


@in_a_loop
async def test_a_ticket_in_the_first_message(ticket: str) -> None:
    async with opened() as socket:
        await socket.say("auth", ticket=ticket)
        assert await socket.is_welcomed()
    assert await refused(f"ticket={ticket}")


def test_a_ticket_expires(ticket: str) -> None:
    [key] = connection().scan_iter(f"{settings.REDIS_PREFIX}:ws-ticket:*")
    assert 0 < connection().ttl(key) <= 30
    connection().delete(key)
    assert async_to_sync(refused)(f"ticket={ticket}")


def test_a_ticket_of_an_ended_session(ticket: str) -> None:
    end_sessions(Session.objects.all())
    assert async_to_sync(refused)(f"ticket={ticket}")


def test_a_ticket_is_for_those_who_are_signed_in(anonymous: Client) -> None:
    assert anonymous.post("/auth/ws-ticket").status_code == 401


def test_an_ended_session_opens_nothing(token: str) -> None:
    end_sessions(Session.objects.all())
    assert async_to_sync(refused)(f"token={token}")


GARBAGE = ["token=x.y.z", "token=%ff%00", "token=\xff", "ticket=x", "ticket=%f0%9f%98%80", "ticket=%00"]


@pytest.mark.parametrize("query", GARBAGE)
@in_a_loop
async def test_garbage_opens_nothing(query: str) -> None:
    assert await refused(query)


@in_a_loop
async def test_a_refresh_token_opens_nothing(owner: User) -> None:
    _session, pack = await sync_to_async(open_session)(user=owner, device="", ip="")
    assert await refused(f"token={pack.refresh_token}")


@in_a_loop
async def test_a_user_id_is_the_tokens_own(owner: User, stranger: User, token: str) -> None:
    for own in (str(owner.pk), str(owner.pk).upper(), owner.pk.hex):
        async with opened(f"user_id={own}&token={token}") as socket:
            assert await socket.is_welcomed()
    async with opened(f"token={token}", path=f"/ws/{owner.pk}") as socket:
        assert await socket.is_welcomed()
    for foreign in (stranger.pk, "1", "%00", "x" * 500):
        assert await refused(f"user_id={foreign}&token={token}")
    assert await refused(f"token={token}", path=f"/ws/{stranger.pk}")
    assert await refused(f"user_id={owner.pk}&token=garbage")


@in_a_loop
async def test_a_foreign_user_id_is_refused_at_the_first_message_too(stranger: User, token: str) -> None:
    async with opened(f"user_id={stranger.pk}") as socket:
        await socket.say("auth", token=token)
        assert await socket.is_closed()


@pytest.mark.parametrize(
    "data", [{"token": "x"}, {"token": "\ud800"}, {"ticket": "\ud800"}, {"token": ["x"]}, {}]
)
@in_a_loop
async def test_a_first_message_with_garbage(data: dict[str, Any]) -> None:
    async with opened() as socket:
        await socket.say("auth", **data)
        answer = await socket.receive_output(timeout=20)
        # Half a surrogate pair is no JSON message to begin with: that is said, and the socket stays.
        assert answer["type"] == "websocket.close" or json.loads(answer["text"])["event"] == "error"


@in_a_loop
async def test_nothing_is_done_for_those_who_do_not_sign_in(owner: User) -> None:
    async with opened(f"user_id={owner.pk}") as socket:
        await socket.say("subscribe", task_id=str(new_id()))
        assert await socket.is_closed()


@in_a_loop
async def test_who_stays_silent_is_shown_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "AUTH_SECONDS", 0.1)
    async with opened() as socket:
        assert await socket.is_closed()
