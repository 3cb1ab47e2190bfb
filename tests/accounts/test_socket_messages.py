"""/ws: what is answered to what a client says."""

import pytest

from common.ids import new_id
from tests.accounts.sockets import in_a_loop, listening

pytestmark = pytest.mark.django_db


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
