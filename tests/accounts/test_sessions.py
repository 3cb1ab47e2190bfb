"""Sign in, refresh, sign out: tokens on the wire and the session rows behind them."""

from datetime import datetime, timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings
from django.utils import timezone
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from accounts.models import Session, User
from accounts.services import blocking
from accounts.services.tokens import fill
from tests.conftest import Client
from tests.factories import PASSWORD, make_user
from tests.racing import race

KEY = str(settings.SIMPLE_JWT["SIGNING_KEY"])


@pytest.fixture
def artist(db: None) -> User:
    return make_user(username="artist", email="Artist@Example.com", email_verified_at=timezone.now())


def log_in(user: User, client: Client | None = None) -> dict[str, Any]:
    answer = (client or Client()).post("/auth/login", {"username": user.username, "password": PASSWORD})
    assert answer.status_code == 200, answer.content
    return answer.json()


def refresh(token: str) -> Any:
    return Client().post("/auth/refresh", {"refresh_token": token})


def me(token: str) -> Any:
    return Client().get("/auth/me", headers={"Authorization": f"Bearer {token}"})


# --- sign in ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["username", "phone", "email"])
@pytest.mark.parametrize("kind", ["username", "phone", "email"])
def test_any_name_in_any_field(anonymous: Client, artist: User, field: str, kind: str) -> None:
    identifier = {"username": "artist", "phone": artist.phone, "email": "artist@example.com"}[kind]

    answer = anonymous.post(
        "/auth/login", {field: identifier, "password": PASSWORD}, headers={"User-Agent": "pipeline/2"}
    )

    assert answer.status_code == 200
    assert answer.json()["user"]["id"] == str(artist.pk)
    assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("bearer", 1800)
    session = Session.objects.get()
    assert (session.user, session.device, session.ip) == (artist, "pipeline/2", "127.0.0.1")
    assert answer.json()["user"]["last_login_at"] is not None
    assert me(answer.json()["access_token"]).status_code == 200


def test_what_is_wrong_is_not_told(anonymous: Client, artist: User) -> None:
    unverified = make_user(username="unverified", email="unverified@example.com")
    blocked = make_user(username="blocked", is_active=False)
    nameless = make_user(username="no_password")
    nameless.set_unusable_password()
    nameless.save()

    answers = {
        anonymous.post("/auth/login", {"username": name, "password": password}).content
        for name, password in [
            ("artist", "Wrong-lantern-42"),
            ("artist", PASSWORD.lower()),
            ("nobody_here", PASSWORD),
            ("13911112222", PASSWORD),
            ("nobody@example.com", PASSWORD),
            (unverified.email, PASSWORD),
            (blocked.username, PASSWORD),
            (nameless.username, PASSWORD),
        ]
    }

    assert answers == {'{"detail":"账号或密码错误。","code":"wrong_credentials"}'.encode()}
    again = anonymous.post("/auth/login", {"username": "artist", "password": "Wrong-lantern-42"})
    assert (again.status_code, again["WWW-Authenticate"]) == (401, "Bearer")
    assert not Session.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"password": PASSWORD}, "username"),
        ({"username": "artist"}, "password"),
        ({"username": "artist", "password": ""}, "password"),
        ({"username": ["artist"], "password": PASSWORD}, "username"),
        ({"username": "artist", "password": {"not": "text"}}, "password"),
        ({"username": "art\x00ist", "password": PASSWORD}, "username"),
    ],
)
def test_a_login_that_is_no_login(anonymous: Client, artist: User, body: dict, field: str) -> None:
    answer = anonymous.post("/auth/login", body)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body", field]
    assert PASSWORD.encode() not in answer.content


def test_twenty_logins_a_minute_from_an_address(anonymous: Client, artist: User) -> None:
    for number in range(20):
        form = {"username": f"nobody_{number}", "password": "x"}
        assert anonymous.post("/auth/login", form).status_code == 401

    answer = anonymous.post("/auth/login", {"username": "artist", "password": PASSWORD})

    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert 55 <= int(answer["Retry-After"]) <= 60


def test_the_limit_of_an_account_holds_from_every_address(anonymous: Client, artist: User) -> None:
    for number in range(20):
        anonymous.post(
            "/auth/login", {"username": "artist", "password": "x"}, REMOTE_ADDR=f"203.0.113.{number}"
        )

    answer = anonymous.post(
        "/auth/login", {"username": "ARTIST", "password": "x"}, REMOTE_ADDR="203.0.113.99"
    )

    assert answer.status_code == 429


def test_one_email_address_in_any_case(artist: User) -> None:
    from django.db import IntegrityError, transaction

    with pytest.raises(IntegrityError, match="accounts_user_email"), transaction.atomic():
        make_user(email="artist@example.COM")


# --- access tokens ----------------------------------------------------------------------------------------


def test_no_token(anonymous: Client) -> None:
    answer = anonymous.get("/auth/me")

    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
    assert answer.json() == {"detail": "身份认证信息未提供。", "code": "not_authenticated"}


def forged(session: Session, key: str = KEY, algorithm: str = "HS256", **claims: Any) -> str:
    payload = {
        "sub": str(session.user_id),
        "sid": str(session.pk),
        "jti": str(session.refresh_jti),
        "type": "access",
        "exp": timezone.now() + timedelta(minutes=5),
        **claims,
    }
    return jwt.encode({name: value for name, value in payload.items() if value}, key, algorithm)


def test_the_forgery_of_these_tests_would_work_with_the_key(artist: User) -> None:
    log_in(artist)
    assert me(forged(Session.objects.get())).status_code == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"key": "another key that is long enough for the algorithm"},
        {"key": "", "algorithm": "none"},
        {"algorithm": "HS512", "key": KEY * 2},
        {"exp": datetime(2020, 1, 1)},
        {"exp": None},
        {"type": "refresh"},
        {"type": None},
        {"sid": None},
        {"sid": "not-a-uuid"},
        {"sub": "01a2046a-dfd8-7069-80f6-6867de3b3283"},
        {"sub": None},
        {"jti": None},
    ],
    ids=str,
)
def test_forged_access_tokens(artist: User, claims: dict) -> None:
    log_in(artist)

    answer = me(forged(Session.objects.get(), **claims))

    assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer a b", "Bearer x.y.z", "Bearer \xff", "bearer ..", "Bearer " + "x" * 5000]
)
def test_garbage_in_the_header(anonymous: Client, header: str) -> None:
    answer = anonymous.get("/auth/me", headers={"Authorization": header})

    assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")


def test_a_refresh_token_opens_no_door(artist: User) -> None:
    assert me(log_in(artist)["refresh_token"]).json()["code"] == "token_invalid"


def test_a_stale_token_does_not_close_public_doors(artist: User, anonymous: Client) -> None:
    anonymous.credentials(HTTP_AUTHORIZATION="Bearer x.y.z")

    assert log_in(artist, anonymous)["user"]["username"] == "artist"


def test_a_blocked_user_is_refused_at_once_and_the_sessions_stay_ended(artist: User) -> None:
    pack = log_in(artist)

    assert blocking.block(User.objects.filter(pk=artist.pk)) == 1

    assert me(pack["access_token"]).json()["code"] == "token_invalid"
    assert refresh(pack["refresh_token"]).json()["code"] == "token_invalid"
    assert blocking.unblock(User.objects.filter(pk=artist.pk)) == 1
    assert me(pack["access_token"]).status_code == 401
    log_in(artist)


def test_inactive_alone_is_enough(artist: User) -> None:
    token = log_in(artist)["access_token"]
    User.objects.filter(pk=artist.pk).update(is_active=False)

    assert me(token).status_code == 401


# --- refresh ----------------------------------------------------------------------------------------------


def test_refresh_rotates(artist: User) -> None:
    first = log_in(artist)

    answer = refresh(first["refresh_token"])

    assert answer.status_code == 200
    second = answer.json()
    assert set(second) == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert second["refresh_token"] != first["refresh_token"]
    assert me(second["access_token"]).status_code == 200
    session = Session.objects.get()
    claims = jwt.decode(second["refresh_token"], KEY, ["HS256"])
    assert set(claims) == {"sub", "sid", "jti", "type", "iat", "exp"}
    assert claims["jti"] == str(session.refresh_jti)
    assert claims["exp"] - claims["iat"] == 7 * 24 * 3600
    assert abs(session.expires_at.timestamp() - claims["exp"]) < 1


def test_within_the_grace_the_very_same_successor(artist: User) -> None:
    first = log_in(artist)
    second = refresh(first["refresh_token"]).json()

    assert refresh(first["refresh_token"]).json() == second
    assert refresh(second["refresh_token"]).status_code == 200


def test_after_the_grace_the_session_ends(artist: User) -> None:
    first = log_in(artist)
    second = refresh(first["refresh_token"]).json()
    Session.objects.update(rotated_at=timezone.now() - settings.REFRESH_GRACE - timedelta(seconds=1))

    answer = refresh(first["refresh_token"])

    assert (answer.status_code, answer.json()["code"]) == (401, "token_reused")
    assert me(second["access_token"]).status_code == 401
    assert refresh(second["refresh_token"]).json()["code"] == "token_invalid"


def test_an_older_token_ends_the_session_also_within_the_grace(artist: User) -> None:
    first = log_in(artist)
    second = refresh(first["refresh_token"]).json()
    third = refresh(second["refresh_token"]).json()

    assert refresh(first["refresh_token"]).json()["code"] == "token_reused"
    assert me(third["access_token"]).status_code == 401
    assert Session.objects.get().revoked_at is not None


def test_reuse_ends_that_session_alone(artist: User) -> None:
    first, elsewhere = log_in(artist), log_in(artist)
    refresh(refresh(first["refresh_token"]).json()["refresh_token"])

    assert refresh(first["refresh_token"]).json()["code"] == "token_reused"
    assert me(elsewhere["access_token"]).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_sixteen_tabs_get_one_successor() -> None:
    first = log_in(make_user())
    before = Session.objects.get()

    answers = race(16, lambda _index: refresh(first["refresh_token"]).json())

    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["refresh_token"] != first["refresh_token"]
    after = Session.objects.get()
    assert after.previous_jti == before.refresh_jti
    assert jwt.decode(answers[0]["refresh_token"], KEY, ["HS256"])["jti"] == str(after.refresh_jti)
    assert refresh(answers[0]["refresh_token"]).status_code == 200


def test_refresh_tokens_that_are_none(artist: User) -> None:
    pack = log_in(artist)
    session = Session.objects.get()
    expired = RefreshToken()
    fill(expired, session, timezone.now() - timedelta(days=8))
    of_nobody = RefreshToken()
    of_nobody["sub"], of_nobody["sid"] = str(artist.pk), str(artist.pk)

    for token in [
        str(expired),
        str(of_nobody),
        pack["access_token"],
        forged(session, key="", algorithm="none", type="refresh"),
        "garbage",
        "..",
        pack["refresh_token"][:-2],
    ]:
        answer = refresh(token)
        assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid"), token

    assert refresh(pack["refresh_token"]).status_code == 200


def test_an_expired_session_is_over(artist: User) -> None:
    pack = log_in(artist)
    Session.objects.update(expires_at=timezone.now())

    assert me(pack["access_token"]).status_code == 401
    assert refresh(pack["refresh_token"]).json()["code"] == "token_invalid"


@pytest.mark.parametrize("body", [{}, {"refresh_token": ""}, {"refresh_token": None}, {"refresh_token": 7}])
def test_refresh_without_token(anonymous: Client, body: dict) -> None:
    assert anonymous.post("/auth/refresh", body).status_code in (401, 422)


# --- sign out ---------------------------------------------------------------------------------------------


def test_logout_ends_the_session_at_once_and_again_is_no_error(artist: User, anonymous: Client) -> None:
    pack, elsewhere = log_in(artist), log_in(artist)

    for _ in range(2):
        answer = anonymous.post("/auth/logout", {"refresh_token": pack["refresh_token"]})
        assert (answer.status_code, answer.json()) == (200, {"success": True, "message": "已退出登录。"})

    assert me(pack["access_token"]).status_code == 401
    assert refresh(pack["refresh_token"]).json()["code"] == "token_invalid"
    assert me(elsewhere["access_token"]).status_code == 200


def test_logout_by_the_access_token_alone_twice(artist: User, anonymous: Client) -> None:
    pack = log_in(artist)
    anonymous.credentials(HTTP_AUTHORIZATION=f"Bearer {pack['access_token']}")

    assert [anonymous.post("/auth/logout", {}).status_code for _ in range(2)] == [200, 200]
    assert me(pack["access_token"]).status_code == 401


def test_logout_with_a_refresh_token_does_not_need_a_fresh_access_token(
    artist: User, anonymous: Client
) -> None:
    pack = log_in(artist)
    anonymous.credentials(HTTP_AUTHORIZATION="Bearer x.y.z")

    assert anonymous.post("/auth/logout", {"refresh_token": pack["refresh_token"]}).status_code == 200
    assert Session.objects.get().revoked_at is not None


@pytest.mark.parametrize("body", [{}, {"refresh_token": "garbage"}, {"refresh_token": ""}])
def test_logout_of_nobody(anonymous: Client, body: dict) -> None:
    answer = anonymous.post("/auth/logout", body)

    assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")


def test_a_foreign_session_cannot_be_ended(artist: User, anonymous: Client) -> None:
    pack = log_in(artist)
    token = RefreshToken()
    fill(token, Session.objects.get(), timezone.now())
    token["sub"] = str(make_user().pk)

    anonymous.post("/auth/logout", {"refresh_token": str(token)})

    assert me(pack["access_token"]).status_code == 200


def test_the_access_token_lives_half_an_hour() -> None:
    token = AccessToken()
    assert token.payload["exp"] - token.payload["iat"] == 30 * 60
