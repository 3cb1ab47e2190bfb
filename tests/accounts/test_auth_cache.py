"""Who asks is remembered for half a minute, and yet nothing that is over is taken for present."""

import pickle
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.errors import TokenInvalid
from accounts.models import Session, User
from accounts.services import auth_cache, blocking, sessions
from accounts.services.tokens import TokenPack, read_access
from common.realtime import connection
from tests.conftest import Client
from tests.factories import PASSWORD, make_user
from tests.racing import race

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _remember(settings: Any) -> None:
    settings.AUTH_CACHE_SECONDS = 30
    auth_cache.Outage.until = 0


@pytest.fixture
def user() -> User:
    return make_user(username="mei")


@pytest.fixture
def pack(user: User) -> TokenPack:
    """Tokens whose session is remembered."""
    _session, pack = sessions.open_session(user=user, device="Chrome", ip="")
    assert is_alive(pack)
    return pack


def client_of(pack: TokenPack) -> Client:
    api = Client()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {pack.access_token}")
    return api


def is_alive(pack: TokenPack) -> bool:
    answer = client_of(pack).post("/auth/ws-ticket")
    assert answer.status_code in (200, 401), answer.json()
    return bool(answer.status_code == 200)


def shown(pack: TokenPack) -> dict[str, Any]:
    body: dict[str, Any] = client_of(pack).get("/auth/me").json()
    return body


# --- What it saves ----------------------------------------------------------------------------------------


def test_one_query_and_then_none(user: User, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    _session, pack = sessions.open_session(user=user, device="Chrome", ip="")
    with django_assert_num_queries(1):
        assert is_alive(pack)
    for _time in range(3):
        with django_assert_num_queries(0):
            assert is_alive(pack)


def test_it_is_remembered_no_longer_than_said(pack: TokenPack) -> None:
    [key] = connection().scan_iter("*:auth:*")
    assert 25 < connection().ttl(key) <= 30


def test_the_password_is_not_remembered(user: User, pack: TokenPack) -> None:
    [key] = connection().scan_iter("*:auth:*")
    value: Any = connection().get(key)
    assert user.password.encode() not in value
    _stamp, session = pickle.loads(value)  # noqa: S301
    assert session.user == user


def test_each_session_is_its_own(user: User, pack: TokenPack) -> None:
    other_user = make_user()
    _session, other = sessions.open_session(user=other_user, device="", ip="")
    assert shown(other)["id"] == str(other_user.pk)
    assert shown(pack)["id"] == str(user.pk)


def test_tokens_are_still_verified(pack: TokenPack) -> None:
    header, payload, _signature = pack.access_token.split(".")
    forged = TokenPack(f"{header}.{payload}.AAAA", pack.refresh_token, 0)
    assert not is_alive(forged)
    assert not is_alive(TokenPack(pack.refresh_token, pack.refresh_token, 0))
    assert is_alive(pack)


def test_it_can_be_switched_off(
    pack: TokenPack, settings: Any, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    settings.AUTH_CACHE_SECONDS = 0
    with django_assert_num_queries(1):
        assert is_alive(pack)


# --- What it must not hide --------------------------------------------------------------------------------

ENDS: dict[str, Callable[[User, TokenPack], Any]] = {
    "logout": lambda user, pack: Client().post("/auth/logout", {"refresh_token": pack.refresh_token}),
    "end": lambda user, pack: client_of(pack).delete(
        f"/auth/sessions/{read_access(pack.access_token).session_id}"
    ),
    "block": lambda user, pack: blocking.block(User.objects.filter(pk=user.pk)),
    "inactive": lambda user, pack: User.objects.filter(pk=user.pk).update(is_active=False),
    "inactive by save": lambda user, pack: make_inactive(user),
    "password": lambda user, pack: change_password(user),
    "reuse": lambda user, pack: use_an_old_token(pack),
}


def make_inactive(user: User) -> None:
    user.is_active = False
    user.save(update_fields=["is_active"])


def change_password(user: User) -> None:
    _session, other = sessions.open_session(user=user, device="other", ip="")
    form = {"old_password": PASSWORD, "new_password": "Red-lantern-43"}
    assert client_of(other).post("/auth/change-password", form).status_code == 200


def use_an_old_token(pack: TokenPack) -> None:
    second = sessions.refresh(refresh_token=pack.refresh_token)
    sessions.refresh(refresh_token=second.refresh_token)
    assert is_alive(pack)
    Client().post("/auth/refresh", {"refresh_token": pack.refresh_token})


@pytest.mark.parametrize("how", ENDS)
def test_an_ended_session_is_refused_at_once(user: User, pack: TokenPack, how: str) -> None:
    ENDS[how](user, pack)
    assert not is_alive(pack)


def test_a_session_that_expires_is_refused_though_remembered(pack: TokenPack, settings: Any) -> None:
    Session.objects.update(expires_at=timezone.now() + timedelta(seconds=60))
    connection().delete(*connection().keys("*:auth:*"))
    assert is_alive(pack)
    with pytest.MonkeyPatch.context() as patch:
        later = timezone.now() + timedelta(seconds=61)
        patch.setattr(timezone, "now", lambda: later)
        assert not is_alive(pack)


def change_by_saving(user: User) -> None:
    user.member_level = 2
    user.save()


def change_in_bulk(user: User) -> None:
    user.member_level = 2
    User.objects.bulk_update([user], ["member_level"])


CHANGES: dict[str, Callable[[User], Any]] = {
    "save": change_by_saving,
    "update": lambda user: User.objects.filter(pk=user.pk).update(member_level=2),
    "bulk update": change_in_bulk,
    "update of many": lambda user: User.objects.filter(member_level=0).update(member_level=2),
}


@pytest.mark.parametrize("how", CHANGES)
def test_a_changed_user_is_seen_at_once(user: User, pack: TokenPack, how: str) -> None:
    assert shown(pack)["member_level"] == 0
    CHANGES[how](user)
    assert shown(pack)["member_level"] == 2


def test_a_change_that_is_taken_back_is_not_seen(user: User, pack: TokenPack) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        User.objects.filter(pk=user.pk).update(member_level=2)
        raise RuntimeError
    assert shown(pack)["member_level"] == 0


def test_a_change_does_not_make_others_forget(
    user: User, pack: TokenPack, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    User.objects.filter(pk=make_user().pk).update(member_level=2)
    with django_assert_num_queries(0):
        assert is_alive(pack)


@pytest.fixture
def interrupted(user: User, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Arranges that something happens after the database has answered the next reader, who is slow to take note.

    Another session of the user asks meanwhile, so that there is a stamp again.
    """
    _session, other = sessions.open_session(user=user, device="other", ip="")

    def arrange(act: Callable[[], Any]) -> None:
        real = sessions.living_session

        def slow(session_id: UUID, user_id: UUID) -> Session:
            monkeypatch.setattr(sessions, "living_session", real)
            found = real(session_id, user_id)
            act()
            is_alive(other)
            return found

        connection().delete(*connection().keys("*:auth*"))
        monkeypatch.setattr(sessions, "living_session", slow)

    return arrange


@pytest.mark.parametrize("how", ENDS)
def test_a_reader_that_is_slower_than_the_end_does_not_bring_the_session_back(
    user: User, pack: TokenPack, interrupted: Callable[[Callable[[], Any]], None], how: str
) -> None:
    interrupted(lambda: ENDS[how](user, pack))
    assert is_alive(pack)  # it was, when it was looked up
    assert not is_alive(pack)


def test_a_reader_that_is_slower_than_a_change_does_not_bring_the_old_back(
    user: User, pack: TokenPack, interrupted: Callable[[Callable[[], Any]], None]
) -> None:
    interrupted(lambda: User.objects.filter(pk=user.pk).update(member_level=2))
    assert is_alive(pack)
    assert shown(pack)["member_level"] == 2


def test_who_asks_while_the_session_is_being_ended_does_not_bring_it_back(
    user: User, pack: TokenPack
) -> None:
    """The end is not committed yet: the session still lives, also for who remembers it, but not a moment longer."""
    with transaction.atomic():
        sessions.end_sessions(Session.objects.all())
        [answer] = race(1, lambda number: is_alive(pack))
        assert answer
        connection().delete(*connection().keys("*:auth*"))
        [answer] = race(1, lambda number: is_alive(pack))
        assert answer
    assert not is_alive(pack)


def test_many_readers_and_an_end_at_once(user: User) -> None:
    for _round in range(5):
        session, pack = sessions.open_session(user=user, device="", ip="")

        def act(number: int, session: Session = session, pack: TokenPack = pack) -> bool:
            if number == 7:
                return bool(sessions.end_sessions(Session.objects.filter(pk=session.pk)))
            for _time in range(4):
                is_alive(pack)
            return True

        assert all(race(8, act))
        assert not is_alive(pack)


def test_two_first_readers_at_once_agree_on_a_stamp(user: User) -> None:
    _session, pack = sessions.open_session(user=user, device="", ip="")
    assert all(race(8, lambda number: is_alive(pack)))
    User.objects.filter(pk=user.pk).update(member_level=2)
    assert shown(pack)["member_level"] == 2


# --- Without Redis ----------------------------------------------------------------------------------------


def test_without_redis_the_database_is_asked(user: User, redis_away: None) -> None:
    _session, pack = sessions.open_session(user=user, device="Chrome", ip="")
    assert shown(pack)["username"] == "mei"
    sessions.end_sessions(Session.objects.all())
    with pytest.raises(TokenInvalid):
        sessions.session_of(pack.access_token)


def test_an_outage_delays_one_request_in_five_seconds(
    user: User, redis_away: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    _session, pack = sessions.open_session(user=user, device="Chrome", ip="")
    asked: list[Any] = []
    real = auth_cache.read

    def counted(*args: Any) -> Any:
        asked.append(args)
        return real(*args)

    monkeypatch.setattr(auth_cache, "read", counted)
    for _time in range(3):
        sessions.session_of(pack.access_token)
    assert len(asked) == 1
    monkeypatch.setattr(auth_cache.Outage, "until", time.monotonic())
    sessions.session_of(pack.access_token)
    assert len(asked) == 2


def test_a_user_can_be_changed_without_redis(user: User, redis_away: None) -> None:
    User.objects.filter(pk=user.pk).update(password=make_password("Red-lantern-43"))
    user.refresh_from_db()
    assert user.check_password("Red-lantern-43")
