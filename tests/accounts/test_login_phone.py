"""POST /auth/login-phone."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from accounts.models import AuditEvent, PhoneCode, Session, User
from accounts.services import codes
from tests.accounts.conftest import PHONE, code_for, registration, rewind, wrong
from tests.conftest import Client
from tests.factories import make_user
from tests.racing import race

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> User:
    user = make_user(username="mei")
    User.objects.filter(pk=user.pk).update(phone=PHONE)
    user.refresh_from_db()
    return user


def log_in(code: str, phone: str = PHONE, **body: Any) -> Any:
    form = {"phone": phone, "code": code, **body}
    return Client().post(
        "/auth/login-phone", form, headers={"User-Agent": "Maya/2025"}, REMOTE_ADDR="192.0.2.7"
    )


def is_refused(answer: Any, status: int, code: str) -> bool:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.json()
    assert not Session.objects.exists()
    return True


@pytest.mark.parametrize("purpose", ["login", ""])
@pytest.mark.parametrize("field", ["code", "verification_code"])
def test_a_code_signs_in_once(user: User, anonymous: Client, purpose: str, field: str) -> None:
    code = code_for(anonymous, purpose=purpose)
    form = {"phone": PHONE, field: code, "purpose": "login"}
    answer = anonymous.post("/auth/login-phone", form)
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"access_token", "refresh_token", "token_type", "expires_in", "user"}
    assert body["user"]["id"] == str(user.pk)
    me = anonymous.get("/auth/me", headers={"Authorization": f"Bearer {body['access_token']}"})
    assert me.json()["username"] == "mei"
    Session.objects.all().delete()
    assert is_refused(log_in(code), 400, "code_invalid")


def test_who_and_from_where(user: User, anonymous: Client) -> None:
    assert log_in(code_for(anonymous, purpose="login")).status_code == 200
    session = Session.objects.get()
    assert (session.user, session.device, session.ip) == (user, "Maya/2025", "192.0.2.7")
    event = AuditEvent.objects.get(action=AuditEvent.Action.LOGIN)
    assert (event.user, event.actor, event.target_id, event.ip) == (user, user, str(session.pk), "192.0.2.7")


@pytest.mark.parametrize("purpose", ["reset_password", "bind_phone"])
def test_a_code_for_something_else_does_not_sign_in(user: User, anonymous: Client, purpose: str) -> None:
    assert is_refused(log_in(code_for(anonymous, purpose=purpose)), 400, "code_invalid")


def test_a_code_for_signing_in_does_not_register(anonymous: Client) -> None:
    answer = anonymous.post("/auth/register", registration(code_for(anonymous, purpose="login")))
    assert (answer.status_code, answer.json()["code"]) == (400, "code_invalid")
    assert not User.objects.exists()


def test_wrong_expired_and_guessed_codes(user: User, anonymous: Client) -> None:
    code = code_for(anonymous, purpose="login")
    assert is_refused(log_in(wrong(code)), 400, "code_invalid")
    assert is_refused(log_in(code, phone="13912345670"), 400, "code_invalid")
    PhoneCode.objects.update(expires_at=timezone.now())
    assert is_refused(log_in(code), 400, "code_invalid")
    rewind("sms-phone-minute")
    code = code_for(anonymous, purpose="login")
    for _guess in range(settings.PHONE_CODE_MAX_GUESSES):
        assert is_refused(log_in(wrong(code)), 400, "code_invalid")
    assert is_refused(log_in(code), 400, "code_invalid")


def test_two_open_codes_are_guessed_five_times_each_not_ten(user: User, anonymous: Client) -> None:
    """An old client's code and one for signing in, both open: a guess counts against both."""
    first = code_for(anonymous)
    rewind("sms-phone-minute")
    second = code_for(anonymous, purpose="login")
    guess = next(f"{number:06d}" for number in range(3) if f"{number:06d}" not in (first, second))
    for _guess in range(settings.PHONE_CODE_MAX_GUESSES):
        assert is_refused(log_in(guess), 400, "code_invalid")
    assert set(PhoneCode.objects.values_list("guesses", flat=True)) == {settings.PHONE_CODE_MAX_GUESSES}
    assert is_refused(log_in(first), 400, "code_invalid")
    assert is_refused(log_in(second), 400, "code_invalid")


def test_an_unknown_phone_is_told_after_a_right_code_alone(anonymous: Client) -> None:
    code = code_for(anonymous)
    assert is_refused(log_in(wrong(code)), 400, "code_invalid")
    for _time in range(settings.PHONE_CODE_MAX_GUESSES + 1):
        assert is_refused(log_in(code), 404, "phone_not_registered")
    # It is still good for registering.
    assert anonymous.post("/auth/register", registration(code)).status_code == 201


def test_a_blocked_user_stays_outside_and_keeps_the_code(user: User, anonymous: Client) -> None:
    User.objects.update(is_active=False)
    code = code_for(anonymous, purpose="login")
    assert is_refused(log_in(wrong(code)), 400, "code_invalid")
    assert is_refused(log_in(code), 403, "account_blocked")
    User.objects.update(is_active=True)
    assert log_in(code).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"phone": PHONE}, "code"),
        ({"phone": PHONE, "code": "12345"}, "code"),
        ({"phone": PHONE, "verification_code": "１２３４５６"}, "verification_code"),
        ({"phone": PHONE, "code": ["123456"]}, "code"),
        ({"phone": "12345", "code": "123456"}, "phone"),
        ({"code": "123456"}, "phone"),
    ],
)
def test_what_is_no_sign_in(user: User, anonymous: Client, body: dict[str, Any], field: str) -> None:
    answer = anonymous.post("/auth/login-phone", body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body", field]


def test_guesses_are_limited_by_address(user: User, settings: Any) -> None:
    settings.LOGIN_LIMIT = (3, 60)
    for _time in range(3):
        assert log_in("000000").status_code == 400
    assert is_refused(log_in("000000"), 429, "rate_limited")


@pytest.mark.django_db(transaction=True)
def test_one_code_signs_in_one_of_many(user: User, anonymous: Client) -> None:
    code = code_for(anonymous, purpose="login")
    answers = race(settings.PHONE_CODE_MAX_GUESSES, lambda number: log_in(code))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 4
    assert Session.objects.count() == 1


def test_codes_long_of_no_use_are_purged(anonymous: Client) -> None:
    code_for(anonymous)
    code_for(anonymous, "13912345670")
    old = PhoneCode.objects.get(phone=PHONE)
    PhoneCode.objects.filter(pk=old.pk).update(expires_at=timezone.now() - timedelta(days=1, seconds=1))
    assert codes.purge(now=timezone.now()) == 1
    assert PhoneCode.objects.get().phone == "13912345670"
