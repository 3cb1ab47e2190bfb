"""Ten failed sign-ins in five minutes lock an account for one address, at every door that takes a password."""

from typing import Any

import bcrypt
import pytest
from django.conf import settings
from django.test import Client as Browser
from django.utils import timezone

from accounts.errors import LoginLocked, WrongCredentials
from accounts.models import AuditEvent, Notification, Session, User
from accounts.services.passwords import verify_credentials
from common.realtime import connection
from tests.accounts.conftest import rewind
from tests.conftest import Client
from tests.factories import PASSWORD, make_user
from tests.racing import race

pytestmark = pytest.mark.django_db
HERE, ELSEWHERE = "192.0.2.7", "192.0.2.8"
Action = AuditEvent.Action


@pytest.fixture
def user() -> User:
    return make_user(username="mei", email="mei@example.com", email_verified_at=timezone.now())


def log_in(password: str = PASSWORD, name: str | None = "mei", ip: str = HERE) -> Any:
    return Client().post("/auth/login", {"username": name, "password": password}, REMOTE_ADDR=ip)


def fail(times: int, name: str | None = "mei", ip: str = HERE) -> None:
    for _time in range(times):
        answer = log_in("Wrong-lantern-42", name, ip)
        assert (answer.status_code, answer.json()["code"]) == (401, "wrong_credentials")


def test_one_account_is_tried_so_often_a_minute_from_everywhere_together(user: User, settings: Any) -> None:
    settings.LOGIN_LIMIT = (2, 60)
    answers = [
        log_in(name="mei", ip="192.0.2.1"),
        log_in("x", "mei", "192.0.2.2"),
        log_in("x", "MEI", "192.0.2.3"),
    ]
    assert [answer.status_code for answer in answers] == [200, 401, 429]
    assert log_in(ip="192.0.2.4").json()["code"] == "rate_limited"
    assert log_in(name="lan", ip="192.0.2.4").status_code == 401


def is_locked(answer: Any) -> bool:
    assert (answer.status_code, answer.json()["code"]) == (429, "login_locked"), answer.json()
    assert 890 <= int(answer["Retry-After"]) == answer.json()["retry_after"] <= 900
    assert not Session.objects.exists()
    return True


def test_ten_failures_lock_for_a_quarter_of_an_hour(user: User) -> None:
    fail(10)
    assert is_locked(log_in("Wrong-lantern-42"))
    assert is_locked(log_in())
    [lock] = connection().scan_iter(f"{settings.REDIS_PREFIX}:login-lock:*")
    connection().delete(lock)  # the time is over
    assert log_in().status_code == 200


def test_nine_do_not_and_a_success_clears_them(user: User) -> None:
    for _time in range(2):
        fail(9)
        assert log_in().status_code == 200
        rewind("login-ip", "login-account")


def test_the_owner_elsewhere_is_not_locked_out(user: User) -> None:
    fail(10, ip=ELSEWHERE)
    assert is_locked(log_in(ip=ELSEWHERE))
    assert log_in(ip=HERE).status_code == 200


def test_a_changing_header_does_not_help(user: User) -> None:
    for number in range(10):
        form = {"username": "mei", "password": "Wrong-lantern-42"}
        headers = {"X-Forwarded-For": f"203.0.113.{number}"}
        assert Client().post("/auth/login", form, headers=headers).status_code == 401
    form = {"username": "mei", "password": PASSWORD}
    answer = Client().post("/auth/login", form, headers={"X-Forwarded-For": "203.0.113.99"})
    assert answer.json()["code"] == "login_locked"


def test_a_network_of_one_subscriber_is_one_address(user: User) -> None:
    for number in range(10):
        fail(1, ip=f"2001:db8:1:2::{number}")
    assert is_locked(log_in(ip="2001:db8:1:2:3::4"))
    assert log_in(ip="2001:db8:1:3::1").status_code == 200


def test_others_at_the_same_address_are_not_locked_out(user: User) -> None:
    make_user(username="neighbour")
    fail(10)
    assert log_in(name="neighbour").status_code == 200


def test_all_names_of_an_account_count_together(user: User) -> None:
    fail(4, "mei")
    fail(3, user.phone)
    fail(3, "MEI@example.com")
    for name in ("mei", user.phone, "mei@example.com"):
        assert is_locked(log_in(name=name))


def test_a_name_that_nobody_has_locks_as_well(user: User) -> None:
    """Otherwise the lock would tell which accounts there are."""
    for name in ("nobody_here", "13911112222", "nobody@example.com"):
        rewind("login-ip", "login-account")
        fail(10, name)
        assert is_locked(log_in(name=name))
    assert not Notification.objects.exists()


@pytest.mark.parametrize("name", ["mei", "nobody_here"])
def test_how_a_name_is_written_tells_nothing(user: User, name: str) -> None:
    """Names are compared letter by letter: as many guesses at Mei as at mei, whether or not there is one."""
    fail(9, name)
    fail(1, name.upper())
    fail(1, name)
    assert is_locked(log_in(name=name))
    fail(1, name.upper())


def test_failures_are_forgotten_after_five_minutes(user: User) -> None:
    fail(9)
    [key] = connection().scan_iter(f"{settings.REDIS_PREFIX}:login-failures:*")
    assert 295 <= connection().ttl(key) <= 300
    # The window slides: what counts is when the tenth last one was.
    times: Any = connection().lrange(key, 0, -1)
    connection().delete(key)
    connection().rpush(key, *[int(time) - 280 for time in times[:8]], int(times[8]) - 301)
    fail(1)
    fail(1)
    assert is_locked(log_in())


def test_it_is_recorded_and_told_once(user: User) -> None:
    fail(10)
    for _time in range(3):
        assert is_locked(log_in())
    events = AuditEvent.objects.filter(user=user).order_by("created_at", "pk")
    assert [event.action for event in events][-11:] == [Action.LOGIN_FAILED] * 10 + [Action.LOGIN_LOCKED]
    assert {(event.ip, event.actor) for event in events.filter(action__startswith="login")} == {(HERE, None)}
    told = Notification.objects.get(user=user)
    assert (told.title, told.params) == ("Sign-in locked", {"ip": HERE, "minutes": 15})


def test_failures_stand_in_the_audit_log_without_what_was_typed(user: User) -> None:
    fail(1)
    fail(1, "Password-typed-as-a-name")
    known, unknown = AuditEvent.objects.filter(action=Action.LOGIN_FAILED).order_by("created_at", "pk")
    assert (known.user, unknown.user, known.actor, unknown.actor) == (user, None, None, None)
    assert "typed" not in str(list(AuditEvent.objects.values()))


def test_a_locked_pair_costs_no_hash(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(10)
    monkeypatch.setattr(bcrypt, "hashpw", None)
    assert is_locked(log_in())


def test_a_right_password_that_was_on_its_way_comes_too_late(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hundreds of guesses at once, all begun before the lock: none of them is answered after it."""
    from accounts.services import passwords

    real = passwords.matches

    def slow(user: User | None, password: str) -> bool:
        monkeypatch.setattr(passwords, "matches", real)
        fail(10)
        return real(user, password)

    for password in (PASSWORD, "Wrong-lantern-42"):
        monkeypatch.setattr(passwords, "matches", slow)
        assert is_locked(log_in(password))
        connection().delete(*connection().keys(f"{settings.REDIS_PREFIX}:*"))


@pytest.mark.django_db(transaction=True)
def test_of_many_guesses_at_once_ten_are_answered(user: User, settings: Any) -> None:
    settings.LOGIN_LIMIT = (1000, 60)

    def guess(number: int) -> str:
        try:
            verify_credentials(identifier="mei", password=f"Guess-{number}", ip=HERE)
        except (WrongCredentials, LoginLocked) as error:
            return error.code
        return "right"

    outcomes = race(24, guess)
    assert sorted(outcomes) == ["login_locked"] * 14 + ["wrong_credentials"] * 10
    assert AuditEvent.objects.filter(action=Action.LOGIN_LOCKED).count() == 1
    assert Notification.objects.count() == 1


# --- The back office --------------------------------------------------------------------------------------


@pytest.fixture
def operator(user: User) -> User:
    return make_user(username="clerk", is_staff=True)


def enter(name: str, password: str, ip: str = HERE) -> Any:
    form = {"username": name, "password": password, "next": "/admin/"}
    return Browser().post("/admin/login/", form, REMOTE_ADDR=ip, headers={"Accept-Language": "en"})


def refusal(answer: Any) -> str:
    assert answer.status_code == 200
    [[text]] = answer.context["form"].errors.values()
    return str(text)


def test_an_operator_enters_by_any_of_their_names(operator: User) -> None:
    for name in ("clerk", operator.phone or ""):
        assert enter(name, PASSWORD).status_code == 302
    logins = AuditEvent.objects.filter(action=Action.LOGIN)
    assert {(event.user, event.actor, event.ip) for event in logins} == {(operator, operator, HERE)}
    assert [event.after for event in logins] == [{"door": "admin"}] * 2
    operator.refresh_from_db()
    assert operator.last_login is not None


def test_a_user_who_is_no_operator_is_refused_as_a_wrong_password_is(operator: User) -> None:
    texts = {refusal(enter(*form)) for form in [("mei", PASSWORD), ("clerk", "x"), ("nobody_here", "x")]}
    assert len(texts) == 1
    assert not AuditEvent.objects.filter(action=Action.LOGIN).exists()


def test_guesses_at_the_back_office_count_with_all_others(operator: User) -> None:
    fail(5, "clerk")
    for _time in range(5):
        refusal(enter("clerk", "Wrong-lantern-42"))
    assert "Too many failed sign-ins" in refusal(enter("clerk", PASSWORD))
    assert is_locked(log_in(name="clerk"))
    assert enter("clerk", PASSWORD, ip=ELSEWHERE).status_code == 302
    assert AuditEvent.objects.filter(action=Action.LOGIN_FAILED, user=operator).count() == 10


def test_the_back_office_is_throttled(operator: User, settings: Any) -> None:
    settings.LOGIN_LIMIT = (3, 60)
    for _time in range(3):
        refusal(enter("clerk", "x"))
    assert "Too many requests" in refusal(enter("clerk", PASSWORD))


def test_an_empty_form_counts_as_nothing(operator: User) -> None:
    assert enter("clerk", "").status_code == 200
    assert enter("", "x").status_code == 200
    assert not AuditEvent.objects.filter(action=Action.LOGIN_FAILED).exists()
