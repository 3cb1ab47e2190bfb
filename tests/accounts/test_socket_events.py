"""/ws: what arrives, in which order, and how a client catches up."""

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from accounts.models import User
from common import realtime
from common.realtime import connection, publish
from tests.accounts.sockets import in_a_loop, listening, opened
from tests.factories import token_of
from tests.racing import race

pytestmark = pytest.mark.django_db


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
