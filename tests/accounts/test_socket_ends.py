"""/ws: how a socket ends with its session."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import OperationalError

from accounts.models import Session, User
from accounts.services import blocking, sessions
from accounts.services.registration import create_user
from accounts.services.sessions import end_sessions, open_session
from accounts.services.tokens import TokenPack
from common import realtime
from tests.accounts.conftest import code_for
from tests.accounts.sockets import Socket, in_a_loop, listening
from tests.conftest import Client
from tests.factories import make_user, token_of
from tests.racing import race

pytestmark = pytest.mark.django_db


ENDS: dict[str, Callable[[User, TokenPack], Any]] = {
    "logout": lambda user, pack: Client().post("/auth/logout", {"refresh_token": pack.refresh_token}),
    "end others": lambda user, pack: Client(user).post("/auth/sessions/end-others"),
    "block": lambda user, pack: blocking.block(User.objects.filter(pk=user.pk)),
    "reset": lambda user, pack: reset_password(user),
}


def reset_password(user: User) -> None:
    phone = user.phone or ""
    code = code_for(Client(), phone, "reset_password")
    form = {"phone": phone, "verification_code": code, "new_password": "Red-lantern-43"}
    assert Client().post("/auth/reset-password", form).status_code == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", ENDS)
@in_a_loop
async def test_a_socket_closes_at_once(how: str, settings: Any) -> None:
    settings.WS_RECHECK_SECONDS = 3600
    user = await sync_to_async(make_user)()
    foreign = await sync_to_async(token_of)(await sync_to_async(make_user)())
    _session, pack = await sync_to_async(open_session)(user=user, device="", ip="")
    async with listening(pack.access_token) as socket, listening(foreign) as stays:
        await sync_to_async(ENDS[how])(user, pack)
        assert await socket.is_closed()
        assert await stays.is_alive()


@pytest.mark.django_db(transaction=True)
@in_a_loop
async def test_other_sockets_of_the_user_stay(settings: Any) -> None:
    settings.WS_RECHECK_SECONDS = 3600
    user = await sync_to_async(make_user)()
    other = await sync_to_async(token_of)(user)
    _session, pack = await sync_to_async(open_session)(user=user, device="", ip="")
    async with listening(pack.access_token) as socket, listening(other) as stays:
        await sync_to_async(ENDS["logout"])(user, pack)
        assert await socket.is_closed()
        assert await stays.is_alive()


@pytest.mark.django_db(transaction=True)
@in_a_loop
async def test_a_socket_closes_once(settings: Any) -> None:
    """Words that arrive before the client has taken note are not answered by closing again, which servers log."""
    settings.WS_RECHECK_SECONDS = 0.2
    user = await sync_to_async(make_user)()
    _session, pack = await sync_to_async(open_session)(user=user, device="", ip="")
    async with listening(pack.access_token) as socket:
        await sync_to_async(end_sessions)(Session.objects.all())
        await sync_to_async(realtime.call_sockets)(user.pk, "session.check")
        assert await socket.is_closed()
        assert await socket.receive_nothing(timeout=0.6)


def test_where_the_word_is_lost_half_a_minute_is_the_most() -> None:
    from config import settings as production

    assert production.WS_RECHECK_SECONDS == 20


def test_a_session_ends_without_redis_too(owner: User, token: str, redis_away: None) -> None:
    realtime.call_sockets(owner.pk, "session.check")
    assert end_sessions(owner.sessions.all()) == 1


# In a transaction that is never committed no word is sent: the tests below are about the regular look.


@in_a_loop
async def test_a_socket_closes_soon_after_its_session_ended(owner: User) -> None:
    _session, pack = await sync_to_async(open_session)(user=owner, device="", ip="")
    other = await sync_to_async(token_of)(owner)
    async with listening(pack.access_token) as socket, listening(other) as stays:
        await sync_to_async(Client().post)("/auth/logout", {"refresh_token": pack.refresh_token})
        assert await socket.is_closed()
        assert await stays.is_alive()


@in_a_loop
async def test_a_socket_closes_soon_after_its_user_was_blocked(owner: User, token: str) -> None:
    async with listening(token) as socket:
        await sync_to_async(User.objects.filter(pk=owner.pk).update)(is_active=False)
        assert await socket.is_closed()


@in_a_loop
async def test_a_database_that_is_away_closes_no_socket(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def away(*args: Any) -> None:
        asked.append(args)
        raise OperationalError

    real = sessions.living_session
    async with listening(token) as socket:
        monkeypatch.setattr(sessions, "living_session", away)
        await asyncio.sleep(1.3)
        assert asked
        assert await socket.is_alive()
        monkeypatch.setattr(sessions, "living_session", real)
        await sync_to_async(end_sessions)(Session.objects.all())
        assert await socket.is_closed()


@pytest.mark.django_db(transaction=True)
def test_a_session_may_end_while_its_socket_opens() -> None:
    """Over real connections: whoever wins, no socket of an ended session stays."""
    user = create_user(username="hasty", password=None)
    token = token_of(user)

    async def open_and_wait() -> bool:
        socket = Socket(f"token={token}")
        if (await socket.connect())["type"] == "websocket.close":
            return True
        while (await socket.receive_output(timeout=20))["type"] != "websocket.close":
            pass
        return True

    def act(number: int) -> bool:
        if number:
            return async_to_sync(open_and_wait)()
        return bool(end_sessions(Session.objects.all()))

    assert race(4, act) == [True] * 4
