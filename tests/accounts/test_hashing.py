"""The line of those whose passwords are hashed: short, and nobody else stands in it."""

import functools
import itertools
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from threading import Event, Lock, Semaphore
from typing import Any

import bcrypt
import pytest
from django.db import connections
from django.test import Client as Browser

from accounts import hashers
from accounts.errors import Busy
from accounts.hashers import Line
from accounts.models import AuditEvent, Session, User
from tests.accounts.conftest import PHONE, code_for, registration
from tests.conftest import Client
from tests.factories import PASSWORD, make_user, token_of

STORM = 30
SLOTS, WAITING = 2, 3


class Hashing:
    """Hashes that take as long as the test wants, and how many were computed at once."""

    def __init__(self) -> None:
        self.go = Event()
        self.begun = Semaphore(0)
        self.counting = Lock()
        self.now = self.most = 0
        self.users: list[str] = []
        self.token = ""


@pytest.fixture
def hashing(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hashing]:
    """A line of SLOTS and WAITING whose hashes wait for the test's word."""
    hashing = Hashing()
    real = bcrypt.hashpw

    def wait(password: bytes, salt: bytes) -> bytes:
        with hashing.counting:
            hashing.now += 1
            hashing.most = max(hashing.most, hashing.now)
        hashing.begun.release()
        assert hashing.go.wait(30)
        with hashing.counting:
            hashing.now -= 1
        return real(password, salt)

    users = [make_user().username for _number in range(STORM)]
    hashing.users = users
    hashing.token = token_of(make_user())
    monkeypatch.setattr(bcrypt, "hashpw", wait)
    monkeypatch.setattr(hashers, "line", functools.cache(lambda: Line(SLOTS, WAITING)))
    yield hashing
    hashing.go.set()


def log_in(name: str, number: int) -> Any:
    try:
        form = {"username": name, "password": PASSWORD}
        return Client().post("/auth/login", form, REMOTE_ADDR=f"192.0.2.{number}")
    finally:
        connections.close_all()


def turned_away(storm: list[Future[Any]]) -> list[Any]:
    """The answers of all but those in the line, while these still wait."""
    ended = as_completed(storm, timeout=20)
    return [sign_in.result() for sign_in in itertools.islice(ended, STORM - SLOTS - WAITING)]


@pytest.mark.django_db(transaction=True)
def test_a_storm_of_sign_ins_leaves_room_for_other_requests(settings: Any, hashing: Hashing) -> None:
    """In a process with one thread more than stand in the line."""
    settings.LOGIN_LIMIT = (1000, 60)
    api = Client()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {hashing.token}")

    def ask() -> int:
        try:
            return int(api.get("/auth/me").status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(SLOTS + WAITING + 1) as threads:
        storm: list[Future[Any]] = [
            threads.submit(log_in, name, number) for number, name in enumerate(hashing.users)
        ]
        for _slot in range(SLOTS):
            assert hashing.begun.acquire(timeout=20)
        # It comes last and finds a thread, though not one of the hashes has ended.
        assert threads.submit(ask).result(timeout=20) == 200
        assert not hashing.go.is_set() and hashing.now == SLOTS
        for answer in turned_away(storm):
            assert (answer.status_code, answer.json()["code"]) == (503, "busy")
            assert answer["Retry-After"] == str(hashers.RETRY_AFTER)
        hashing.go.set()
        answers = [sign_in.result(timeout=20) for sign_in in storm]

    assert sorted(answer.status_code for answer in answers) == [200] * (SLOTS + WAITING) + [503] * 25
    assert hashing.most == SLOTS
    # Who was turned away has not failed, and comes in afterwards.
    assert not AuditEvent.objects.filter(action=AuditEvent.Action.LOGIN_FAILED).exists()
    late = [number for number, answer in enumerate(answers) if answer.status_code == 503]
    assert log_in(hashing.users[late[0]], 99).status_code == 200


def is_busy(answer: Any) -> bool:
    assert (answer.status_code, answer.json()["code"]) == (503, "busy"), answer.json()
    return bool(answer["Retry-After"] == "2")


@pytest.mark.django_db
def test_every_door_that_hashes_stands_in_the_line(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    user = make_user(username="mei", is_staff=True)
    User.objects.filter(pk=user.pk).update(phone="13912345670")
    api, before = Client(user), user.password
    new = {"new_password": "Red-lantern-43"}
    register = registration(code_for(api), username="newcomer")
    reset_code = code_for(api, "13912345670", "reset_password")
    monkeypatch.setattr(hashers, "line", functools.cache(lambda: Line(SLOTS, WAITING)))
    full = hashers.line()
    for _place in range(SLOTS + WAITING):
        full.places.acquire()

    assert is_busy(api.post("/auth/login", {"username": "mei", "password": PASSWORD}))
    assert is_busy(api.post("/auth/login", {"username": "nobody_here", "password": PASSWORD}))
    assert is_busy(api.post("/auth/register", register))
    assert is_busy(api.post("/auth/change-password", {"old_password": PASSWORD, **new}))
    reset = {"phone": "13912345670", "verification_code": reset_code, **new}
    assert is_busy(api.post("/auth/reset-password", reset))
    office = Browser().post("/admin/login/", {"username": "mei", "password": PASSWORD})
    assert "稍后重试" in office.content.decode()

    # Nothing was done, and what was asked for can be asked for again.
    user.refresh_from_db()
    assert user.password == before and User.objects.count() == 1
    assert Session.objects.count() == 1
    for _place in range(SLOTS + WAITING):
        full.places.release()
    assert api.post("/auth/register", register).status_code == 201
    assert api.post("/auth/reset-password", reset).status_code == 200


@pytest.mark.django_db
def test_doors_that_need_no_hash_stay_open(monkeypatch: pytest.MonkeyPatch) -> None:
    user = make_user(username="mei")
    User.objects.filter(pk=user.pk).update(phone=PHONE)
    api = Client(user)
    code = code_for(api, purpose="login")
    monkeypatch.setattr(hashers, "line", functools.cache(lambda: Line(1, 0)))
    with hashers.line().slot():
        assert api.get("/auth/me").status_code == 200
        assert api.post("/auth/login-phone", {"phone": PHONE, "code": code}).status_code == 200


@pytest.mark.django_db
def test_a_hash_that_cannot_be_replaced_now_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    user = make_user(username="mei")
    legacy = "bcrypt$" + bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    User.objects.filter(pk=user.pk).update(password=legacy)

    def busy(self: Any, password: str, salt: Any) -> str:
        raise Busy(retry_after=2)

    with monkeypatch.context() as full:
        full.setattr("tests.hashers.QuickBcrypt.encode", busy, raising=False)
        assert log_in_as("mei") == 200
    user.refresh_from_db()
    assert user.password == legacy
    assert log_in_as("mei") == 200
    user.refresh_from_db()
    assert user.password.startswith("quick_bcrypt$")


def log_in_as(name: str) -> int:
    return int(Client().post("/auth/login", {"username": name, "password": PASSWORD}).status_code)


def test_places_are_given_back_also_by_those_who_fail() -> None:
    line = Line(1, 1)
    for _time in range(5):
        with pytest.raises(RuntimeError), line.slot():
            raise RuntimeError
    with line.slot():
        assert line.places.acquire(blocking=False)
        with pytest.raises(Busy) as refused, line.slot():
            pass
    assert refused.value.data == {"retry_after": 2}
    line.places.release()
    with line.slot():
        pass


def test_the_process_has_one_line_as_long_as_the_settings_say(settings: Any) -> None:
    settings.HASHING_SLOTS, settings.HASHING_WAITING = 3, 4
    hashers.line.cache_clear()
    try:
        assert hashers.line() is hashers.line()
        assert (hashers.line().slots._value, hashers.line().places._value) == (3, 7)
    finally:
        hashers.line.cache_clear()
