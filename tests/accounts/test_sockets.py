"""/ws: who may listen, what arrives, what is answered, how a socket ends."""

import asyncio
import functools
import json
from collections.abc import Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.conf import settings

from accounts import consumers
from accounts.models import Session, User
from accounts.services.registration import create_user
from accounts.services.sessions import end_sessions, open_session
from common import realtime
from common.ids import new_id
from common.realtime import connection, publish
from config.asgi import application
from tests.conftest import Client
from tests.factories import token_of
from tests.racing import race

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _keep_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection that holds the transaction of the test is not an old one to be closed."""
    monkeypatch.setattr("channels.db.close_old_connections", lambda: None)


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """The consumer's database calls then run in the thread of the test, inside its transaction."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async_to_sync(test)(*args, **kwargs)

    return run


class Socket(ApplicationCommunicator):
    """A client's end of /ws (channels.testing has one too, but wants all of Daphne for it)."""

    def __init__(
        self, query: str = "", path: str = "/ws", headers: Iterable[tuple[bytes, bytes]] = ()
    ) -> None:
        scope = {
            "type": "websocket",
            "path": path,
            "query_string": query.encode("latin-1"),
            "headers": list(headers),
            "subprotocols": [],
        }
        super().__init__(application, scope)

    async def connect(self) -> dict[str, Any]:
        """The server's first word: websocket.accept or websocket.close."""
        await self.send_input({"type": "websocket.connect"})
        answer: dict[str, Any] = await self.receive_output(timeout=5)
        return answer

    async def disconnect(self) -> None:
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait(timeout=5)

    async def send_text(self, text: str) -> None:
        await self.send_input({"type": "websocket.receive", "text": text})

    async def say(self, event: str, **data: Any) -> None:
        await self.send_text(json.dumps({"event": event, "data": data}))

    async def hear(self) -> dict[str, Any]:
        message = await self.receive_output(timeout=5)
        assert message["type"] == "websocket.send", message
        event: dict[str, Any] = json.loads(message["text"])
        return event

    async def is_welcomed(self) -> bool:
        return [(await self.hear())["event"] for _ in range(2)] == ["connection:established", "notification"]

    async def is_closed(self) -> bool:
        """Whether the server's next word is that it closes."""
        answer = await self.receive_output(timeout=5)
        return (answer["type"], answer.get("code")) == ("websocket.close", consumers.REFUSED)

    async def is_alive(self) -> bool:
        await self.say("ping", timestamp=7)
        return await self.hear() == {"event": "pong", "data": {"timestamp": 7}}


@asynccontextmanager
async def opened(*args: Any, **kwargs: Any) -> Any:
    """A socket that was accepted."""
    socket = Socket(*args, **kwargs)
    assert (await socket.connect())["type"] == "websocket.accept"
    try:
        yield socket
    finally:
        await socket.disconnect()


@asynccontextmanager
async def listening(token: str, query: str = "") -> Any:
    """A socket that was accepted, signed in and greeted."""
    async with opened(f"token={token}{query}") as socket:
        assert await socket.is_welcomed()
        yield socket


async def refused(*args: Any, **kwargs: Any) -> bool:
    answer = await Socket(*args, **kwargs).connect()
    return (answer["type"], answer.get("code")) == ("websocket.close", consumers.REFUSED)


@pytest.fixture
def token(owner: User) -> str:
    return token_of(owner)


@pytest.fixture
def ticket(owner_api: Client) -> str:
    answer = owner_api.post("/auth/ws-ticket")
    assert answer.status_code == 200
    assert answer.json()["expires_in"] == settings.WS_TICKET_SECONDS == 30
    found: str = answer.json()["ticket"]
    return found


# --- Who may listen ---------------------------------------------------------------------------------------


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
        answer = await socket.receive_output(timeout=5)
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


# --- What is answered -------------------------------------------------------------------------------------


@in_a_loop
async def test_ping_and_heartbeat(token: str) -> None:
    async with listening(token) as socket:
        for event in ("ping", "heartbeat"):
            await socket.say(event, type="ping", timestamp=1717171717171)
            assert await socket.hear() == {"event": "pong", "data": {"timestamp": 1717171717171}}
        await socket.send_text('{"event": "ping"}')
        assert await socket.hear() == {"event": "pong", "data": {"timestamp": None}}


@pytest.mark.parametrize("key", ["task_id", "taskId"])
@in_a_loop
async def test_subscribe_and_unsubscribe(token: str, key: str) -> None:
    task = str(new_id())
    async with listening(token) as socket:
        for event in ("subscribe", "unsubscribe"):
            await socket.say(event, **{key: task})
            answer = await socket.hear()
            assert answer["event"] == f"{event}d"
            assert (answer["data"]["task_id"], answer["data"]["taskId"]) == (task, task)
            await socket.say(event)
            assert (await socket.hear())["event"] == "error"


@in_a_loop
async def test_an_unknown_event(token: str) -> None:
    async with listening(token) as socket:
        await socket.say("drop:tables" * 20)
        answer = await socket.hear()
        assert answer["event"] == "error"
        assert len(answer["data"]["message"]) < 100
        assert await socket.is_alive()


BROKEN = [
    *(
        "",
        "not json",
        "[]",
        "7",
        "null",
        '"event"',
        "{}",
        '{"event": 7}',
        '{"event": null}',
        '{"event": ["ping"]}',
    ),
    *('{"event": "ping", "data": []}'[:-2] + "[1]}", '{"event": "ping", "data": "x"}', '{"event": "ping"'),
    *('{"event": "ping", "data": {"timestamp": NaN}}', '{"event": "ping", "data": {"timestamp": 1e999}}'),
    *(
        '{"event": "ping", "data": {"timestamp": "\\ud800"}}',
        '{"event": "\\ud800"}',
        '{"event": "a\\u0000b"}',
    ),
    *("[" * 5000, '{"event": "ping", "data": {"timestamp": ' + "[" * 500 + "]" * 500 + "}}"),
    '{"event": "ping", "data": {"timestamp": "' + "x" * 20_000 + '"}}',
]


@in_a_loop
async def test_what_is_no_message_is_told_and_the_socket_stays(token: str) -> None:
    async with listening(token) as socket:
        for text in BROKEN:
            await socket.send_text(text)
            assert (await socket.hear())["event"] == "error", text[:80]
        await socket.send_input({"type": "websocket.receive", "bytes": b'{"event": "ping"}'})
        assert (await socket.hear())["event"] == "error"
        assert await socket.is_alive()


# --- What arrives -----------------------------------------------------------------------------------------


@in_a_loop
async def test_events_arrive_at_all_sockets_of_their_owner_and_at_no_others(
    owner: User, stranger: User, token: str
) -> None:
    strangers_token = await sync_to_async(token_of)(stranger)
    async with (
        listening(token) as first,
        listening(token) as second,
        listening(strangers_token) as foreign,
    ):
        await sync_to_async(publish)(
            owner.pk, "task:progress", {"task_id": "1", "progress": 40, "text": "第一帧"}
        )
        heard = await first.hear()
        assert heard["event"] == "task:progress"
        assert heard["data"] == {
            "task_id": "1", "progress": 40, "text": "第一帧", "timestamp": heard["data"]["timestamp"],
        }  # fmt: skip
        assert heard["revision"]
        assert await second.hear() == heard
        assert await foreign.receive_nothing(timeout=0.3)
        await sync_to_async(publish)(stranger.pk, "task:progress", {"task_id": "2"})
        assert (await foreign.hear())["data"]["task_id"] == "2"
        assert await first.receive_nothing(timeout=0.1)


@in_a_loop
async def test_a_socket_before_sign_in_hears_nothing(owner: User) -> None:
    async with opened(f"user_id={owner.pk}") as socket:
        await sync_to_async(publish)(owner.pk, "task:progress", {})
        assert await socket.receive_nothing(timeout=0.3)


@in_a_loop
async def test_events_published_at_once_arrive_all_and_in_order(owner: User, token: str) -> None:
    """Two processes that publish for one user: no event may overtake, because a socket drops what looks old."""

    def burst(number: int) -> None:
        for step in range(50):
            publish(owner.pk, "task:log", {"n": number * 50 + step})

    def crowd() -> None:
        race(8, burst)

    async with listening(token) as socket:
        await asyncio.to_thread(crowd)
        heard = [await socket.hear() for _ in range(400)]
        assert await socket.receive_nothing(timeout=0.1)
    revisions = [tuple(map(int, event["revision"].split("-"))) for event in heard]
    assert revisions == sorted(revisions)
    assert sorted(event["data"]["n"] for event in heard) == list(range(400))


def revisions_of(user: User) -> list[str]:
    entries: Any = connection().xrange(realtime.stream_of(user.pk))
    return [revision.decode() for revision, _fields in entries]


@in_a_loop
async def test_since_catches_up_with_what_was_missed(owner: User, token: str) -> None:
    for number in range(5):
        publish(owner.pk, "task:progress", {"n": number})
    revisions = revisions_of(owner)
    async with listening(token, f"&since={revisions[1]}") as socket:
        heard = [await socket.hear() for _ in range(3)]
        assert [event["data"]["n"] for event in heard] == [2, 3, 4]
        assert [event["revision"] for event in heard] == revisions[2:]
        publish(owner.pk, "task:progress", {"n": 5})
        assert (await socket.hear())["data"]["n"] == 5
    async with listening(token, f"&since={revisions_of(owner)[-1]}") as socket:
        assert await socket.receive_nothing(timeout=0.2)
        assert await socket.is_alive()


@in_a_loop
async def test_what_is_published_while_catching_up_comes_once(
    owner: User, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event between subscribing and reading the stream arrives on both ways."""
    publish(owner.pk, "task:progress", {"n": 0})
    [start] = revisions_of(owner)
    real = realtime.missed

    def busy(*args: Any) -> Any:
        for number in (1, 2, 3):
            publish(owner.pk, "task:progress", {"n": number})
        return real(*args)

    monkeypatch.setattr(realtime, "missed", busy)
    async with listening(token, f"&since={start}") as socket:
        assert [(await socket.hear())["data"]["n"] for _ in range(3)] == [1, 2, 3]
        publish(owner.pk, "task:progress", {"n": 4})
        assert (await socket.hear())["data"]["n"] == 4
        assert await socket.receive_nothing(timeout=0.2)


@in_a_loop
async def test_a_revision_that_is_gone_means_resync(
    owner: User, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realtime, "STREAM_LENGTH", 3)
    publish(owner.pk, "task:progress", {"n": 0})
    [oldest] = revisions_of(owner)
    for number in range(1, 5):
        publish(owner.pk, "task:progress", {"n": number})
    assert len(revisions_of(owner)) == 3
    async with listening(token, f"&since={oldest}") as socket:
        assert (await socket.hear())["event"] == "resync"
        publish(owner.pk, "task:progress", {"n": 5})
        assert (await socket.hear())["data"]["n"] == 5


MALFORMED = [
    "abc",
    "-1",
    "0",
    "5-x",
    "(1-0",
    "-",
    "+",
    "1-1-1",
    "%00",
    "%ff",
    "9" * 40,
    "1717171717171-0",
    "$",
]


@pytest.mark.parametrize("since", MALFORMED)
@in_a_loop
async def test_a_malformed_revision_means_resync(owner: User, token: str, since: str) -> None:
    publish(owner.pk, "task:progress", {"n": 0})
    async with listening(token, f"&since={since}") as socket:
        assert (await socket.hear())["event"] == "resync"
        assert await socket.is_alive()


@in_a_loop
async def test_nobody_catches_up_with_the_events_of_others(owner: User, stranger: User) -> None:
    publish(owner.pk, "task:progress", {"n": 0})
    [revision] = revisions_of(owner)
    publish(owner.pk, "task:progress", {"n": 1})
    async with listening(await sync_to_async(token_of)(stranger), f"&since={revision}") as socket:
        assert (await socket.hear())["event"] == "resync"
        assert await socket.receive_nothing(timeout=0.2)


def test_news_that_cannot_be_sent_do_no_harm(owner: User, redis_away: None) -> None:
    publish(owner.pk, "task:progress", {})


# --- How it ends ------------------------------------------------------------------------------------------


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
    from django.db import OperationalError

    from accounts.services import sessions

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
        while (await socket.receive_output(timeout=5))["type"] != "websocket.close":
            pass
        return True

    def act(number: int) -> bool:
        if number:
            return async_to_sync(open_and_wait)()
        return bool(end_sessions(Session.objects.all()))

    assert race(4, act) == [True] * 4
