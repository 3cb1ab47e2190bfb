"""A client's end of /ws, for the tests of sockets."""

import functools
import json
from collections.abc import Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any

from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator

from accounts import consumers
from config.asgi import application


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
        answer: dict[str, Any] = await self.receive_output(timeout=20)
        return answer

    async def disconnect(self) -> None:
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait(timeout=20)

    async def send_text(self, text: str) -> None:
        await self.send_input({"type": "websocket.receive", "text": text})

    async def say(self, event: str, **data: Any) -> None:
        await self.send_text(json.dumps({"event": event, "data": data}))

    async def hear(self) -> dict[str, Any]:
        message = await self.receive_output(timeout=20)
        assert message["type"] == "websocket.send", message
        event: dict[str, Any] = json.loads(message["text"])
        return event

    async def is_welcomed(self) -> bool:
        return [(await self.hear())["event"] for _ in range(2)] == ["connection:established", "notification"]

    async def is_closed(self) -> bool:
        """Whether the server's next word is that it closes."""
        answer = await self.receive_output(timeout=20)
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
async def listening(token: str, query: str = "", language: str = "") -> Any:
    """A socket that was accepted, signed in and greeted."""
    headers = [(b"accept-language", language.encode())] if language else []
    async with opened(f"token={token}{query}", headers=headers) as socket:
        assert await socket.is_welcomed()
        yield socket


async def refused(*args: Any, **kwargs: Any) -> bool:
    answer = await Socket(*args, **kwargs).connect()
    return (answer["type"], answer.get("code")) == ("websocket.close", consumers.REFUSED)
