"""Sign in, refresh, sign out, at the door."""

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
KEY = settings.SIMPLE_JWT["SIGNING_KEY"]


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


# --- Login ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["username", "phone", "email"])
def test_log_in_with_any_name_in_any_field(user: User, anonymous: Client, field: str) -> None:
    for name in ("mei", user.phone, "Mei@Example.com", "mei@example.COM"):
        answer = anonymous.post("/auth/login", {field: name, "password": PASSWORD})
        assert answer.status_code == 200, name
        assert answer.json()["user"]["id"] == str(user.pk)
    assert Session.objects.filter(user=user).count() == 4


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
    assert answer.json()["user"]["last_login_at"] == user.last_login.isoformat().replace("+00:00", "Z")


def test_an_unverified_address_is_no_name(user: User, anonymous: Client) -> None:
    User.objects.update(email_verified_at=None)
    answer = anonymous.post("/auth/login", {"email": "mei@example.com", "password": PASSWORD})
    assert is_refused(answer, "wrong_credentials")


def test_every_wrong_sign_in_gets_the_same_answer(user: User, anonymous: Client) -> None:
    blocked = make_user(username="blocked", is_active=False)
    forms = [
        {"username": "mei", "password": "Wrong-password-1"},
        {"username": "nobody", "password": PASSWORD},
        {"username": "13700000000", "password": PASSWORD},
        {"username": "nobody@example.com", "password": PASSWORD},
        {"username": blocked.username, "password": PASSWORD},
    ]
    answers = [anonymous.post("/auth/login", form) for form in forms]
    assert all(is_refused(answer, "wrong_credentials") for answer in answers)
    assert len({answer.content for answer in answers}) == 1
    assert not Session.objects.exists()


def test_a_user_without_password_cannot_sign_in(user: User, anonymous: Client) -> None:
    user.set_unusable_password()
    user.save()
    for password in (PASSWORD, "", "!"):
        answer = anonymous.post("/auth/login", {"username": "mei", "password": password})
        assert answer.status_code in (401, 422)
    assert not Session.objects.exists()


def test_an_unknown_user_costs_a_comparison_too(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    from accounts.services import sessions

    compared = []
    real = sessions.check_password

    def count(password: str, encoded: str) -> bool:
        compared.append(encoded)
        return real(password, encoded)

    monkeypatch.setattr(sessions, "check_password", count)
    Client().post("/auth/login", {"username": "nobody", "password": PASSWORD})
    assert len(compared) == 1
    assert compared[0].split("$")[0] == user.password.split("$")[0]


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


def test_a_form_without_a_name(anonymous: Client) -> None:
    for form in ({"password": PASSWORD}, {"username": " ", "password": PASSWORD}):
        answer = anonymous.post("/auth/login", form)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["loc"] == ["body", "username"]
        assert PASSWORD not in answer.content.decode()


def test_two_sign_ins_in_one_second_are_two_sessions(user: User) -> None:
    first, second = log_in(user), log_in(user)
    assert first["refresh_token"] != second["refresh_token"]
    assert refresh(first["refresh_token"]).status_code == 200
    assert refresh(second["refresh_token"]).status_code == 200


# --- Refresh ----------------------------------------------------------------------------------------------


def test_refresh_rotates(user: User) -> None:
    old = log_in(user)
    answer = refresh(old["refresh_token"])
    assert answer.status_code == 200
    new = answer.json()
    assert set(new) == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert new["refresh_token"] != old["refresh_token"]
    assert claims(new["refresh_token"])["sid"] == claims(old["refresh_token"])["sid"]
    assert me(new["access_token"]).status_code == 200
    assert refresh(new["refresh_token"]).status_code == 200
    assert Session.objects.count() == 1


def test_a_parallel_tab_gets_the_very_same_successor(user: User) -> None:
    old = log_in(user)["refresh_token"]
    assert refresh(old).json() == refresh(old).json() == refresh(old).json()


def end_grace() -> None:
    Session.objects.update(rotated_at=timezone.now() - settings.REFRESH_GRACE - timedelta(seconds=1))


def test_after_the_grace_the_old_token_ends_the_session(user: User) -> None:
    old = log_in(user)["refresh_token"]
    new = refresh(old).json()
    end_grace()
    assert is_refused(refresh(old), "token_reused")
    assert is_refused(refresh(new["refresh_token"]))
    assert is_refused(me(new["access_token"]))


def test_a_grandparent_ends_the_session_also_within_the_grace(user: User) -> None:
    first = log_in(user)
    second = refresh(first["refresh_token"]).json()
    third = refresh(second["refresh_token"]).json()
    assert is_refused(refresh(first["refresh_token"]), "token_reused")
    assert is_refused(refresh(third["refresh_token"]))
    assert is_refused(me(third["access_token"]))


def test_reuse_ends_one_session_and_no_other(user: User) -> None:
    stolen, other = log_in(user), log_in(user)
    refresh(refresh(stolen["refresh_token"]).json()["refresh_token"])
    assert is_refused(refresh(stolen["refresh_token"]), "token_reused")
    assert me(other["access_token"]).status_code == 200


def test_refresh_prolongs_the_session_and_times_follow_the_rotation(user: User) -> None:
    old = log_in(user)["refresh_token"]
    Session.objects.update(expires_at=timezone.now() + timedelta(hours=1))
    new = refresh(old).json()
    session = Session.objects.get()
    assert session.expires_at - timezone.now() > timedelta(days=6)
    assert claims(new["refresh_token"])["exp"] == int(session.expires_at.timestamp())
    assert claims(new["access_token"])["exp"] - claims(new["access_token"])["iat"] == 1800


def test_an_ended_or_expired_session_does_not_refresh(user: User) -> None:
    token = log_in(user)["refresh_token"]
    Session.objects.update(expires_at=timezone.now())
    assert is_refused(refresh(token))
    Session.objects.update(expires_at=timezone.now() + timedelta(1), revoked_at=timezone.now())
    assert is_refused(refresh(token))


# --- Tokens that are none ---------------------------------------------------------------------------------


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


def test_each_token_is_good_for_its_own_use(user: User) -> None:
    pack = log_in(user)
    assert is_refused(me(pack["refresh_token"]))
    assert is_refused(refresh(pack["access_token"]))


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


def test_without_header(anonymous: Client) -> None:
    assert is_refused(anonymous.get("/users/me"), "not_authenticated")


def test_an_expired_access_token_does_not_end_the_session(user: User) -> None:
    pack = log_in(user)
    assert is_refused(me(forge(pack["access_token"], exp=1)))
    assert refresh(pack["refresh_token"]).status_code == 200


# --- The end of a session ---------------------------------------------------------------------------------


def test_log_out_by_the_refresh_token(user: User) -> None:
    pack, other = log_in(user), log_in(user)
    for _time in range(2):
        answer = Client().post("/auth/logout", {"refresh_token": pack["refresh_token"]})
        assert answer.status_code == 200
        assert answer.json()["success"] is True
    assert is_refused(me(pack["access_token"]))
    assert is_refused(refresh(pack["refresh_token"]))
    assert me(other["access_token"]).status_code == 200


@pytest.mark.parametrize("body", [{}, {"refresh_token": ""}, {"refresh_token": None}, None])
def test_log_out_by_the_access_token(user: User, body: Any) -> None:
    pack = log_in(user)
    api = Client()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {pack['access_token']}")
    for _time in range(2):
        assert api.post("/auth/logout", body).status_code == 200
    assert is_refused(me(pack["access_token"]))


def test_a_stale_header_does_not_hinder_the_refresh_token(user: User) -> None:
    pack = log_in(user)
    answer = Client().post(
        "/auth/logout",
        {"refresh_token": pack["refresh_token"]},
        headers={"Authorization": f"Bearer {forge(pack['access_token'], exp=1)}"},
    )
    assert answer.status_code == 200
    assert Session.objects.get().revoked_at is not None


def test_log_out_of_nobody(user: User, anonymous: Client) -> None:
    assert is_refused(anonymous.post("/auth/logout", {}))
    assert is_refused(anonymous.post("/auth/logout", {"refresh_token": log_in(user)["access_token"]}))
    assert Session.objects.get().revoked_at is None


def test_a_stale_token_does_not_close_the_doors_that_need_none(user: User) -> None:
    answer = Client().post(
        "/auth/login", {"username": "mei", "password": PASSWORD}, headers={"Authorization": "Bearer stale"}
    )
    assert answer.status_code == 200


def test_a_blocked_user_is_refused_at_once(user: User) -> None:
    pack = log_in(user)
    User.objects.update(is_active=False)
    assert is_refused(me(pack["access_token"]))
    assert is_refused(refresh(pack["refresh_token"]))


def test_me(owner_api: Client) -> None:
    body = owner_api.get("/users/me").json()
    assert body["username"] == "owner"
    assert body["balance"] == 100
    assert owner_api.get("/auth/me").json() == body
    assert "password" not in str(body)


def test_who_asks_costs_one_query(
    owner_api: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):
        assert owner_api.post("/auth/ws-ticket").status_code == 200
    with django_assert_num_queries(2):  # and the wallet
        assert owner_api.get("/users/me").status_code == 200
