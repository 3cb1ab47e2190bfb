"""Tokens that are none, and what clients send around them; test_sessions.py has the life of a session."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import Session, User
from common.ids import new_id
from tests.conftest import Client
from tests.factories import PASSWORD, make_user

pytestmark = pytest.mark.django_db
KEY = str(settings.SIMPLE_JWT["SIGNING_KEY"])


@pytest.fixture
def user() -> User:
    return make_user(username="mei", email="Mei@Example.com", email_verified_at=timezone.now())


def log_in(user: User) -> dict[str, Any]:
    answer = Client().post("/auth/login", {"username": user.username, "password": PASSWORD})
    assert answer.status_code == 200, answer.json()
    pack: dict[str, Any] = answer.json()
    return pack


def refresh(token: Any) -> Any:
    return Client().post("/auth/refresh", {"refresh_token": token})


def me(token: str) -> Any:
    return Client().get("/users/me", headers={"Authorization": f"Bearer {token}"})


def claims(token: str) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(token, KEY, algorithms=["HS256"])
    return found


def is_refused(answer: Any, code: str = "token_invalid") -> bool:
    assert (answer.status_code, answer.json()["code"]) == (401, code), answer.content
    assert answer["WWW-Authenticate"] == "Bearer"
    return True


def test_log_in_as_clients_with_empty_fields_do(user: User, anonymous: Client) -> None:
    form = {"username": "", "email": None, "phone": user.phone, "password": PASSWORD}
    assert anonymous.post("/auth/login", form).status_code == 200


def test_log_in_says_who_and_from_where(user: User) -> None:
    answer = Client().post(
        "/auth/login",
        {"username": "mei", "password": PASSWORD},
        headers={"User-Agent": "Maya/2025 " + "x" * 300},
        REMOTE_ADDR="2001:db8::7",
    )
    assert answer.status_code == 200
    session = Session.objects.get()
    assert (session.device[:9], len(session.device), session.ip) == ("Maya/2025", 255, "2001:db8::7")
    user.refresh_from_db()
    assert user.last_login is not None
    assert answer.json()["user"]["last_login_at"] == user.last_login.isoformat().replace("+00:00", "Z")


def test_sign_ins_are_limited_by_address_and_by_account(user: User, settings: Any) -> None:
    settings.LOGIN_LIMIT = (3, 60)
    wrong = {"username": "mei", "password": "Wrong-password-1"}
    for number in range(3):
        assert is_refused(
            Client().post("/auth/login", wrong, REMOTE_ADDR=f"10.0.0.{number}"), "wrong_credentials"
        )
    # The account is guessed at from everywhere, so the right password has to wait as well.
    answer = Client().post("/auth/login", {**wrong, "password": PASSWORD}, REMOTE_ADDR="10.0.0.9")
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert int(answer["Retry-After"]) > 0
    for number in range(3):
        Client().post("/auth/login", {**wrong, "username": f"user_{number}"}, REMOTE_ADDR="10.0.1.1")
    other = {**wrong, "username": "user_9"}
    assert Client().post("/auth/login", other, REMOTE_ADDR="10.0.1.1").status_code == 429
    assert Client().post("/auth/login", other, REMOTE_ADDR="10.0.1.2").status_code == 401


def test_two_sign_ins_in_one_second_are_two_sessions(user: User) -> None:
    first, second = log_in(user), log_in(user)
    assert first["refresh_token"] != second["refresh_token"]
    assert refresh(first["refresh_token"]).status_code == 200
    assert refresh(second["refresh_token"]).status_code == 200


def test_refresh_prolongs_the_session_and_times_follow_the_rotation(user: User) -> None:
    old = log_in(user)["refresh_token"]
    Session.objects.update(expires_at=timezone.now() + timedelta(hours=1))
    new = refresh(old).json()
    session = Session.objects.get()
    assert session.expires_at - timezone.now() > timedelta(days=6)
    assert claims(new["refresh_token"])["exp"] == int(session.expires_at.timestamp())
    assert claims(new["access_token"])["exp"] - claims(new["access_token"])["iat"] == 1800


def forge(good: str, key: str = KEY, algorithm: str = "HS256", **changes: Any) -> str:
    payload = {**claims(good), **changes}
    return jwt.encode({name: value for name, value in payload.items() if value is not None}, key, algorithm)


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def tampered(good: str, **changes: Any) -> str:
    """The token with other claims under the old signature."""
    header, _payload, signature = good.split(".")
    return ".".join((header, part({**claims(good), **changes}), signature))


FORGERIES: dict[str, Callable[[str], str]] = {
    "expired": lambda good: forge(good, exp=1),
    "no expiry": lambda good: forge(good, exp=None),
    "expiry is a text": lambda good: forge(good, exp="soon"),
    "other key": lambda good: forge(good, key="x" * 40),
    "other algorithm": lambda good: forge(good, algorithm="HS384"),
    "no algorithm": lambda good: f"{part({'alg': 'none'})}.{good.split('.')[1]}.",
    "none with the signature": lambda good: f"{part({'alg': 'none'})}.{'.'.join(good.split('.')[1:])}",
    "algorithm is a list": lambda good: f"{part({'alg': ['HS256']})}.{'.'.join(good.split('.')[1:])}",
    "header is a list": lambda good: f"{part([1])}.{'.'.join(good.split('.')[1:])}",
    "payload changed": lambda good: (
        f"{good.split('.')[0]}.{part({**claims(good), 'sub': str(new_id())})}.{good.split('.')[2]}"
    ),
    "no signature": lambda good: ".".join(good.split(".")[:2]),
    "no session": lambda good: forge(good, sid=None),
    "unknown session": lambda good: forge(good, sid=str(new_id())),
    "session is no id": lambda good: forge(good, sid="1 OR 1=1"),
    "session is a list": lambda good: forge(good, sid=[1]),
    "other user": lambda good: forge(good, sub=str(new_id())),
    "no jti": lambda good: forge(good, jti=None),
    "no type": lambda good: forge(good, type=None),
    "garbage": lambda good: "garbage",
    "dots": lambda good: "..",
    "a NUL": lambda good: good.replace(".", "\x00."),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_tokens(user: User, name: str) -> None:
    pack = log_in(user)
    answer = refresh(FORGERIES[name](pack["refresh_token"]))
    assert answer.status_code in (401, 422)
    assert is_refused(me(FORGERIES[name](pack["access_token"])))
    # No forgery ends the session of the real user.
    assert me(pack["access_token"]).status_code == 200
    assert refresh(pack["refresh_token"]).status_code == 200


@pytest.mark.parametrize("token", ["\ud800", "é" * 20, "", None, 7, ["x"], "x" * 3000])
def test_what_is_no_token_at_all(anonymous: Client, token: Any) -> None:
    body = json.dumps({"refresh_token": token})
    answer = anonymous.generic("POST", "/auth/refresh", body, content_type="application/json")
    assert answer.status_code in (401, 422)


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer a b", "Bearer \xff", "Basic eDp5", "x"])
def test_headers_that_name_nobody(anonymous: Client, header: str) -> None:
    answer = anonymous.get("/users/me", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"


def test_an_expired_access_token_does_not_end_the_session(user: User) -> None:
    pack = log_in(user)
    assert is_refused(me(forge(pack["access_token"], exp=1)))
    assert refresh(pack["refresh_token"]).status_code == 200


@pytest.mark.parametrize("body", [{}, {"refresh_token": ""}, {"refresh_token": None}, None])
def test_log_out_by_the_access_token(user: User, body: Any) -> None:
    pack = log_in(user)
    api = Client()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {pack['access_token']}")
    for _time in range(2):
        assert api.post("/auth/logout", body).status_code == 200
    assert is_refused(me(pack["access_token"]))


def test_me(owner_api: Client) -> None:
    body = owner_api.get("/users/me").json()
    assert body["username"] == "owner"
    assert body["balance"] == 100
    assert owner_api.get("/auth/me").json() == body
    assert owner_api.user is not None
    assert owner_api.user.password not in str(body)


def test_who_asks_costs_one_query(
    owner_api: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):
        assert owner_api.post("/auth/ws-ticket").status_code == 200
