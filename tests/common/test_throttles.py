"""Limits that hold at every door of the API: by address, by user, by the door itself."""

import logging
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.conf import settings
from django.test import RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.views import APIView

from accounts.models import User
from billing.api.views import BalanceView
from common import limits, throttles
from common.throttles import RequestThrottle
from tests.conftest import Client
from tests.racing import race

PUBLIC = "/auth/refresh"
"""A door that needs no sign-in and has no limit of its own; with `WRONG` it answers 401."""
WRONG = {"refresh_token": "wrong"}


@pytest.fixture(autouse=True)
def _redis_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RequestThrottle, "asked_again_at", 0.0)


@pytest.fixture
def few(settings: Any) -> dict[str, tuple[int, int]]:
    """Three requests a minute for everybody."""
    settings.THROTTLES = {"anonymous": (3, 60), "user": (3, 60)}
    return settings.THROTTLES


def statuses(api: Client, addresses: list[str], **headers: Any) -> list[int]:
    """Answers of the public door, asked from each of `addresses`."""
    asked = [api.post(PUBLIC, WRONG, REMOTE_ADDR=address, **headers) for address in addresses]
    return [answer.status_code for answer in asked]


# --- Who is counted with whom -----------------------------------------------------------------------------


@pytest.mark.usefixtures("few")
def test_an_address_that_asks_too_much(anonymous: Client) -> None:
    before = int(time.time())
    assert statuses(anonymous, ["192.0.2.1"] * 4) == [401, 401, 401, 429]
    answer = anonymous.post(PUBLIC, WRONG, REMOTE_ADDR="192.0.2.1", headers={"Accept-Language": "en"})
    body, wait = answer.json(), int(answer["Retry-After"])
    assert 1 <= wait <= 60
    assert body == {
        "detail": f"Too many requests; try again in {wait} s.",
        "code": "rate_limited",
        "retry_after": wait,
        "limit": 3,
    }
    assert (answer["X-RateLimit-Limit"], answer["X-RateLimit-Remaining"]) == ("3", "0")
    assert before + wait <= int(answer["X-RateLimit-Reset"]) <= time.time() + wait
    assert statuses(anonymous, ["192.0.2.2"]) == [401]


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("proxies", "forwarded"),
    [
        # Without a proxy nothing in the header is believed, however often it changes.
        (0, ["1.1.1.{n}", "1.1.1.{n}, 2.2.2.{n}", "::{n}", "unknown"]),
        # Each proxy adds the address it saw; what stands left of the outermost one's is the client's invention.
        (1, ["1.1.1.{n}, 198.51.100.7"]),
        (1, ["unknown, 198.51.100.7"]),
        (2, ["1.1.1.{n}, 198.51.100.7, 10.0.0.9"]),
        (2, ["1.1.1.{n}, 2.2.2.{n}, 198.51.100.7, 10.0.0.9"]),
    ],
)
def test_a_forged_header_does_not_pass(
    anonymous: Client, settings: Any, proxies: int, forwarded: list[str]
) -> None:
    settings.NUM_PROXIES = proxies
    found = []
    for n in range(8):
        headers = {"X-Forwarded-For": forwarded[n % len(forwarded)].format(n=n)}
        found += statuses(anonymous, ["10.0.0.1"], headers=headers)
    assert found == [401] * 3 + [429] * 5
    if proxies:
        real = {"X-Forwarded-For": "198.51.100.8" + ", 10.0.0.9" * (proxies - 1)}
        assert statuses(anonymous, ["10.0.0.1"], headers=real) == [401]


@pytest.mark.parametrize(
    "path", ["common/management/commands/run_platform.py", "compose.yaml", "docs/operations.md"]
)
def test_the_server_itself_believes_no_header(path: str) -> None:
    """uvicorn's own default is to take the client's address from the header of a peer on the same machine."""
    text = (settings.BASE_DIR / path).read_text()
    commands = re.findall(
        r"-m uvicorn config\.asgi:application[^`]*?--lifespan off[^`]*?(?=[`)]|\n\s+healthcheck)", text
    )
    assert len(commands) == 1
    assert "--no-proxy-headers" in commands[0]


@pytest.mark.usefixtures("few")
def test_clients_of_ipv6_are_counted_by_their_network(anonymous: Client) -> None:
    one_subscriber = [f"2001:db8:0:1::{n:x}" for n in range(1, 5)]
    assert statuses(anonymous, one_subscriber) == [401, 401, 401, 429]
    assert statuses(anonymous, ["2001:db8:0:1:ffff:ffff:ffff:ffff", "2001:db8:0:2::1"]) == [429, 401]


@pytest.mark.usefixtures("few")
def test_ipv4_seen_through_a_socket_of_both_families_stays_ipv4(anonymous: Client) -> None:
    seen = ["::ffff:192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1", "::ffff:192.0.2.2"]
    assert statuses(anonymous, seen) == [401, 401, 401, 429, 401]
    request = RequestFactory().get("/", REMOTE_ADDR="::ffff:192.0.2.1")
    assert limits.client_ip(request) == "192.0.2.1"


@pytest.mark.usefixtures("few")
def test_a_user_is_counted_wherever_they_are(owner: User, owner_api: Client, stranger_api: Client) -> None:
    elsewhere = Client(owner)
    answers = [
        api.get("/users/balance", REMOTE_ADDR=address)
        for api, address in [
            (owner_api, "192.0.2.1"), (elsewhere, "192.0.2.2"), (owner_api, "192.0.2.3"), (elsewhere, "192.0.2.4"),
        ]
    ]  # fmt: skip
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert stranger_api.get("/users/balance", REMOTE_ADDR="192.0.2.1").status_code == 200


def test_a_stricter_door(
    owner_api: Client, stranger_api: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.THROTTLES = {"anonymous": (9, 60), "user": (9, 60), "strict": (2, 600)}
    monkeypatch.setattr(BalanceView, "throttle_scope", "strict", raising=False)
    answers = [owner_api.get("/users/balance") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["limit"] == 2
    assert 60 < int(answers[2]["Retry-After"]) <= 600
    # Other doors are open to them, and this one to others.
    assert owner_api.get("/users/me").status_code == 200
    assert stranger_api.get("/users/balance").status_code == 200


def test_what_a_strict_door_refuses_costs_nothing_elsewhere(
    owner_api: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.THROTTLES = {"anonymous": (9, 60), "user": (4, 60), "strict": (1, 60)}
    monkeypatch.setattr(BalanceView, "throttle_scope", "strict", raising=False)
    assert [owner_api.get("/users/balance").status_code for _ in range(5)] == [200] + [429] * 4
    assert [owner_api.get("/users/me").status_code for _ in range(4)] == [200] * 3 + [429]


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_as_many_pass_as_may(settings: Any) -> None:
    settings.THROTTLES = {"anonymous": (10, 60)}
    found = race(24, lambda number: Client().post(PUBLIC, WRONG).status_code)
    assert sorted(found) == [401] * 10 + [429] * 14


def test_of_a_generous_limit_some_uses_are_taken_at_once(
    owner: User, settings: Any, commands: list[str]
) -> None:
    settings.THROTTLES = {"user": (4000, 60)}
    api = Client(owner)
    assert [api.get("/users/balance").status_code for _ in range(9)] == [200] * 9
    assert commands.count("EVAL") == 3
    # Another process has had the rest: what this one has taken is left, and no more.
    limits.take(("user", str(owner.pk), (4000, 60)), uses=3988)
    found = [api.get("/users/balance").status_code for _ in range(5)]
    assert found == [200] * 3 + [429] * 2


@pytest.mark.django_db(transaction=True)
def test_what_threads_take_at_once_is_all_theirs(owner: User, settings: Any, commands: list[str]) -> None:
    settings.THROTTLES = {"user": (4000, 60)}
    api = [Client(owner) for _number in range(8)]
    assert race(8, lambda number: api[number].get("/users/balance").status_code) == [200] * 8
    taken = 4 * commands.count("EVAL")
    commands.clear()
    assert [api[0].get("/users/balance").status_code for _ in range(taken - 8)] == [200] * (taken - 8)
    assert "EVAL" not in commands


# --- Which doors ------------------------------------------------------------------------------------------


def views(resolver: URLResolver) -> Iterator[Any]:
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            yield from views(entry)
        elif isinstance(entry, URLPattern):
            yield getattr(entry.callback, "cls", None) or getattr(entry.callback, "view_class", None)


def test_every_view_of_the_api_is_counted() -> None:
    of_the_api = {view for view in views(get_resolver()) if view and issubclass(view, APIView)}
    assert len(of_the_api) > 20
    free = {view.__name__ for view in of_the_api if RequestThrottle not in view.throttle_classes}
    assert free == {
        "PollView"
    }  # counts in its service, more generously: each open login page asks all the time


def test_health_is_not_counted(anonymous: Client, settings: Any) -> None:
    settings.THROTTLES = {"anonymous": (0, 60)}
    assert anonymous.post(PUBLIC, WRONG).status_code == 429
    assert anonymous.get("/health").status_code == anonymous.get("/ping").status_code == 200


# --- Redis ------------------------------------------------------------------------------------------------


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Commands that went to Redis."""
    sent: list[str] = []
    execute = redis.Redis.execute_command

    def listened(self: redis.Redis, *arguments: Any, **options: Any) -> Any:
        sent.append(str(arguments[0]))
        return execute(self, *arguments, **options)

    monkeypatch.setattr(redis.Redis, "execute_command", listened)
    return sent


def test_all_rules_are_asked_in_one_call(
    owner_api: Client, settings: Any, monkeypatch: pytest.MonkeyPatch, commands: list[str]
) -> None:
    settings.THROTTLES = {"user": (9, 60), "strict": (9, 60)}
    monkeypatch.setattr(BalanceView, "throttle_scope", "strict", raising=False)
    assert owner_api.get("/users/balance").status_code == 200
    assert commands == ["EVAL"]


@pytest.mark.usefixtures("few")
def test_without_redis_the_api_stays_open(
    owner_api: Client, redis_away: None, caplog: pytest.LogCaptureFixture, commands: list[str]
) -> None:
    with caplog.at_level(logging.WARNING, "common.throttles"):
        assert [owner_api.get("/users/balance").status_code for _ in range(6)] == [200] * 6
    # Asked once, then left alone for a while: each question to a Redis that is away costs its time.
    assert commands == ["EVAL"]
    assert len(caplog.records) == 1
    assert "not counted" in caplog.text


@pytest.mark.usefixtures("few")
def test_a_redis_that_is_back_counts_again(
    owner_api: Client, commands: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RequestThrottle, "asked_again_at", time.monotonic() + throttles.AWAY_SECONDS)
    assert [owner_api.get("/users/balance").status_code for _ in range(5)] == [200] * 5
    assert commands == []
    monkeypatch.setattr(RequestThrottle, "asked_again_at", time.monotonic())
    assert [owner_api.get("/users/balance").status_code for _ in range(5)] == [200] * 3 + [429] * 2


def test_without_redis_what_guards_secrets_stays_closed(anonymous: Client, redis_away: None) -> None:
    form = {"username": "nobody_here", "password": "secret-word"}
    assert anonymous.post("/auth/login", form).status_code == 503
    assert anonymous.post("/auth/send-code", {"phone": "13912345678"}).status_code == 503
