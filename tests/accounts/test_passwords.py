"""Changing and resetting passwords, hashes of the old service, and what a comparison costs."""

from typing import Any

import bcrypt
import pytest
from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password

from accounts.hashers import Bcrypt, LegacyBcrypt
from accounts.models import AuditEvent, Notification, PhoneCode, Session, User
from accounts.services import passwords, sessions
from tests.accounts.conftest import PHONE, code_for, wrong
from tests.conftest import Client
from tests.factories import PASSWORD, make_user
from tests.racing import race

pytestmark = pytest.mark.django_db
NEW = "Red-lantern-43"


@pytest.fixture
def user() -> User:
    user = make_user(username="mei")
    User.objects.filter(pk=user.pk).update(phone=PHONE)
    user.refresh_from_db()
    return user


@pytest.fixture
def api(user: User) -> Client:
    return Client(user)


def can_log_in(password: str, name: str = "mei") -> bool:
    answer = Client().post("/auth/login", {"username": name, "password": password})
    assert answer.status_code in (200, 401)
    return bool(answer.status_code == 200)


def change(api: Client, old: str = PASSWORD, new: str = NEW) -> Any:
    return api.post("/auth/change-password", {"old_password": old, "new_password": new})


def reset(code: str, new: str = NEW, phone: str = PHONE) -> Any:
    form = {"phone": phone, "verification_code": code, "new_password": new}
    return Client().post("/auth/reset-password", form)


def is_refused(answer: Any, status: int, code: str, field: str = "") -> bool:
    """That it was, and that the password and the sessions are what they were."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.json()
    if field:
        assert answer.json()["errors"][0]["loc"] == ["body", field]
    assert not AuditEvent.objects.filter(action=AuditEvent.Action.PASSWORD_CHANGED).exists()
    assert not Session.objects.filter(revoked_at__isnull=False).exists()
    assert PASSWORD not in answer.content.decode() and NEW not in answer.content.decode()
    return can_log_in(PASSWORD)


# --- Change -----------------------------------------------------------------------------------------------


def test_a_changed_password_ends_all_other_sessions(user: User, api: Client) -> None:
    other, foreign = Client(user), Client(make_user())
    assert change(api).json() == {"success": True, "message": "密码已修改。"}
    assert api.get("/auth/me").status_code == 200
    assert other.get("/auth/me").status_code == 401
    assert foreign.get("/auth/me").status_code == 200
    assert can_log_in(NEW) and not can_log_in(PASSWORD)


def test_it_is_recorded_and_told(user: User, api: Client) -> None:
    Client(user)
    change(api)
    event = AuditEvent.objects.get(action=AuditEvent.Action.PASSWORD_CHANGED)
    assert (event.user, event.actor, event.target_id) == (user, user, str(user.pk))
    ended = AuditEvent.objects.get(action=AuditEvent.Action.SESSION_ENDED)
    assert ended.after == {"reason": "password_changed", "sessions": 1}
    assert Notification.objects.get(user=user).title == "Password changed"
    assert NEW not in str(list(AuditEvent.objects.values())) + str(list(Notification.objects.values()))


def test_what_cannot_become_a_password(api: Client) -> None:
    assert is_refused(change(api, new=PASSWORD), 422, "validation_error", "new_password")
    for weak in ("Sh0rt!x", "password123", "8374650192", "x" * 129, ""):
        assert is_refused(change(api, new=weak), 422, "validation_error", "new_password")


def test_a_wrong_old_password_is_no_401(api: Client) -> None:
    """A client takes 401 for a token that has expired, refreshes, and tries again without end."""
    assert is_refused(change(api, old="Wrong-lantern-42"), 422, "wrong_password", "old_password")
    assert is_refused(change(api, old=""), 422, "validation_error", "old_password")


def test_who_holds_a_session_cannot_guess_the_password_through_it(user: User, api: Client) -> None:
    limit = settings.LOGIN_LOCK_FAILURES[0]
    for _guess in range(limit):
        assert change(api, old="Wrong-lantern-42").status_code == 422
    assert change(api).json()["code"] == "login_locked"
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


def test_changes_are_limited_by_user(user: User, api: Client, settings: Any) -> None:
    """By user, not by address: who took a session may have many."""
    settings.LOGIN_LIMIT = (2, 60)
    form = {"old_password": "Wrong-lantern-42", "new_password": NEW}
    answers = [
        api.post("/auth/change-password", form, REMOTE_ADDR=f"192.0.2.{number}") for number in range(3)
    ]
    assert [answer.status_code for answer in answers] == [422, 422, 429]
    assert change(api).json()["code"] == "rate_limited"
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


def test_nobody_changes_a_password_without_a_session(user: User) -> None:
    assert is_refused(change(Client()), 401, "not_authenticated")


def test_a_user_without_a_password_has_none_to_change(user: User, api: Client) -> None:
    User.objects.filter(pk=user.pk).update(password=make_password(None))
    assert change(api).json()["code"] == "wrong_password"


def test_a_stale_user_at_hand_does_no_harm(user: User, api: Client) -> None:
    """What is remembered of who asks is not what the password is compared with, and nothing of it is written."""
    session = Session.objects.get()
    stale = sessions.living_session(session.pk, user.pk).user
    User.objects.filter(pk=user.pk).update(password=make_password("Green-lantern-44"), member_level=2)
    passwords.change(
        user=stale, session=session, old_password="Green-lantern-44", new_password=NEW, ip="127.0.0.1"
    )
    user.refresh_from_db()
    assert (user.check_password(NEW), user.member_level) == (True, 2)


@pytest.mark.django_db(transaction=True)
def test_of_many_who_change_it_at_once_one_wins(user: User) -> None:
    clients = [Client(user) for _number in range(4)]
    answers = race(4, lambda number: change(clients[number], new=f"Red-lantern-{number}"))
    codes = [answer.json().get("code", "changed") for answer in answers]
    # The losers are told that the old one is wrong, or their sessions have ended by then.
    assert codes.count("changed") == 1
    assert set(codes) <= {"changed", "wrong_password", "token_invalid"}
    winner = codes.index("changed")
    assert [can_log_in(f"Red-lantern-{number}") for number in range(4)] == [
        number == winner for number in range(4)
    ]
    living = Session.objects.filter(revoked_at__isnull=True, device="pytest")
    assert living.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("what", ["password", "block"])
def test_a_sign_in_under_way_does_not_outlive_what_ends_sessions(user: User, what: str) -> None:
    """The old password was right a moment ago; its session must not come after all others were ended."""
    from accounts.errors import WrongCredentials
    from accounts.services import blocking

    proved = passwords.verify_credentials(identifier="mei", password=PASSWORD, ip="127.0.0.1")
    if what == "password":
        User.objects.filter(pk=user.pk).update(password=make_password(NEW))
    else:
        blocking.block(User.objects.filter(pk=user.pk))
        blocking.unblock(User.objects.filter(pk=user.pk))
        User.objects.filter(pk=user.pk).update(is_active=False)
    with pytest.raises(WrongCredentials):
        sessions.open_session(user=proved, device="", ip="")
    assert not Session.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_sign_ins_and_a_change_at_once_leave_no_session_of_the_old_password(
    user: User, settings: Any
) -> None:
    settings.LOGIN_LIMIT = settings.LOGIN_LOCK_FAILURES = (1000, 60)
    for number in range(5):
        old, new = f"Blue-lantern-{number}", f"Blue-lantern-{number + 1}"
        user.set_password(old)
        user.save()
        api = Client(user)
        form = {"username": "mei", "password": old}

        def act(turn: int, api: Client = api, old: str = old, new: str = new, form: Any = form) -> int:
            door, body = ("/auth/login", form) if turn else ("/auth/change-password", {})
            body = body or {"old_password": old, "new_password": new}
            answer = (Client() if turn else api).post(door, body)
            return int(answer.status_code)

        statuses = race(6, act)
        assert statuses[0] == 200 and set(statuses[1:]) <= {200, 401}
        living = Session.objects.filter(revoked_at__isnull=True)
        assert living.count() == 1, f"round {number}: {statuses}"
        Session.objects.all().delete()


# --- Reset ------------------------------------------------------------------------------------------------


def test_a_code_sets_a_new_password_and_ends_all_sessions(user: User, api: Client) -> None:
    answer = reset(code_for(Client(), purpose="reset_password"))
    assert answer.json() == {"success": True, "message": "密码已修改，请用新密码登录。"}
    assert api.get("/auth/me").status_code == 401
    assert can_log_in(NEW) and not can_log_in(PASSWORD)
    event = AuditEvent.objects.get(action=AuditEvent.Action.PASSWORD_CHANGED)
    assert (event.user, event.actor) == (user, user)
    assert Notification.objects.get(user=user).title == "Password changed"


def test_a_code_resets_once(user: User) -> None:
    code = code_for(Client(), purpose="reset_password")
    assert reset(code).status_code == 200
    assert reset(code, new="Green-lantern-44").json()["code"] == "code_invalid"
    assert can_log_in(NEW)


@pytest.mark.parametrize("purpose", ["", "login", "register", "bind_phone"])
def test_a_code_must_be_for_resetting(user: User, purpose: str) -> None:
    assert is_refused(reset(code_for(Client(), purpose=purpose)), 400, "code_invalid")


def test_wrong_and_guessed_codes(user: User, api: Client) -> None:
    code = code_for(Client(), purpose="reset_password")
    for _guess in range(settings.PHONE_CODE_MAX_GUESSES):
        assert is_refused(reset(wrong(code)), 400, "code_invalid")
    assert is_refused(reset(code), 400, "code_invalid")
    assert api.get("/auth/me").status_code == 200


def test_resets_are_limited_by_address(user: User, settings: Any) -> None:
    code = code_for(Client(), purpose="reset_password")
    settings.LOGIN_LIMIT = (2, 60)
    answers = [reset("123456", phone="13912345670"), reset("123456", phone="13912345671"), reset(code)]
    assert [answer.status_code for answer in answers] == [400, 400, 429]
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


def test_whether_a_phone_is_registered_is_told_after_a_right_code_alone(user: User) -> None:
    known = reset("123456")
    unknown = reset("123456", phone="13912345670")
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    assert known.json()["code"] == "code_invalid"
    code = code_for(Client(), "13912345670", "reset_password")
    for _time in range(settings.PHONE_CODE_MAX_GUESSES + 1):
        assert is_refused(reset(code, phone="13912345670"), 404, "phone_not_registered")
    assert PhoneCode.objects.get(phone="13912345670").consumed_at is None


def test_weak_passwords_cost_no_guess(user: User) -> None:
    code = code_for(Client(), purpose="reset_password")
    for weak in ("Sh0rt!x", "password123", PHONE, "8374650192"):
        assert is_refused(reset(code, new=weak), 422, "validation_error", "new_password")
    assert PhoneCode.objects.get().guesses == 0
    # Too like the username: that can only be told once the phone's holder is known.
    User.objects.filter(pk=user.pk).update(username="lantern_maker")
    assert reset(code, new="lantern_maker1").json()["errors"][0]["loc"] == ["body", "new_password"]
    assert reset(code).status_code == 200


def test_a_blocked_user_cannot_reset(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)
    code = code_for(Client(), purpose="reset_password")
    assert reset(wrong(code)).json()["code"] == "code_invalid"
    answer = reset(code)
    assert (answer.status_code, answer.json()["code"]) == (403, "account_blocked")
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


def test_a_reset_opens_the_lock_of_its_address(user: User) -> None:
    form = {"username": "mei", "password": "Wrong-lantern-42"}
    for _guess in range(settings.LOGIN_LOCK_FAILURES[0]):
        Client().post("/auth/login", form)
    assert Client().post("/auth/login", form).json()["code"] == "login_locked"
    assert reset(code_for(Client(), purpose="reset_password")).status_code == 200
    assert can_log_in(NEW)


@pytest.mark.django_db(transaction=True)
def test_one_code_resets_one_of_many(user: User) -> None:
    code = code_for(Client(), purpose="reset_password")
    answers = race(settings.PHONE_CODE_MAX_GUESSES, lambda number: reset(code, f"Red-lantern-{number}"))
    outcomes = [answer.json().get("code", "reset") for answer in answers]
    assert sorted(outcomes) == ["code_invalid"] * 4 + ["reset"]
    assert can_log_in(f"Red-lantern-{outcomes.index('reset')}")


# --- Hashes -----------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("meanwhile", ["signed in", "changed"])
def test_a_hash_of_the_old_service_is_replaced_by_two_at_once(
    user: User, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    User.objects.filter(pk=user.pk).update(password=legacy(PASSWORD))
    real, others = passwords.make_password, list[bool]()

    def hash_last(raw: str) -> str:
        monkeypatch.setattr(passwords, "make_password", real)
        if meanwhile == "changed":
            User.objects.filter(pk=user.pk).update(password=real(NEW))
        else:
            others.extend(race(1, lambda _number: can_log_in(PASSWORD)))
        return real(raw)

    monkeypatch.setattr(passwords, "make_password", hash_last)
    assert (can_log_in(PASSWORD), others) == ((True, [True]) if meanwhile == "signed in" else (False, []))


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The work factors of all hashes that are computed."""
    factors: list[int] = []
    real = bcrypt.hashpw

    def counting(password: bytes, salt: bytes) -> bytes:
        factors.append(int(salt.split(b"$")[2]))
        return real(password, salt)

    monkeypatch.setattr(bcrypt, "hashpw", counting)
    return factors


def legacy(password: str, rounds: int = 4) -> str:
    """A hash as the old service stored it, as it is imported."""
    return "bcrypt$" + bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(rounds)).decode()


def test_a_hash_of_the_old_service_is_replaced_at_sign_in(user: User) -> None:
    User.objects.filter(pk=user.pk).update(password=legacy(PASSWORD))
    assert not can_log_in("Wrong-lantern-42")
    user.refresh_from_db()
    assert user.password.startswith("bcrypt$$2b$04$")
    assert can_log_in(PASSWORD)
    user.refresh_from_db()
    assert user.password.startswith("quick_bcrypt$$2b$04$")
    assert can_log_in(PASSWORD)


def test_a_password_that_is_changed_while_its_hash_is_replaced_stays_changed(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    User.objects.filter(pk=user.pk).update(password=legacy(PASSWORD))
    stale = User.objects.get(pk=user.pk)
    User.objects.filter(pk=user.pk).update(password=make_password(NEW))
    assert passwords.matches(stale, PASSWORD)
    user.refresh_from_db()
    assert user.check_password(NEW)


def test_passwords_that_the_old_service_cut(user: User) -> None:
    long = "长密码-" * 12
    assert check_password(long, legacy(long))
    assert check_password(long + "x", legacy(long))  # as the old service took it
    assert not check_password("x" + long, legacy(long))


KINDS = {
    "known": lambda: make_password(PASSWORD),
    "of the old service": lambda: legacy(PASSWORD),
    "without a password": lambda: make_password(None),
    "of a hasher that is gone": lambda: "md5$salt$0123456789abcdef0123456789abcdef",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_password_costs_what_an_unknown_user_costs(user: User, hashed: list[int], kind: str) -> None:
    User.objects.filter(pk=user.pk).update(password=KINDS[kind]())
    hashed.clear()
    assert not can_log_in("Wrong-lantern-42")
    assert hashed == [4]
    hashed.clear()
    assert not can_log_in("Wrong-lantern-42", name="nobody_here")
    assert hashed == [4]
    User.objects.filter(pk=user.pk).update(is_active=False)
    hashed.clear()
    assert not can_log_in("Wrong-lantern-42")
    assert hashed == [4]


def test_a_cheaper_hash_costs_as_much(hashed: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Work factor n is twice n - 1: 2^6 rounds are 2^4 four times."""
    monkeypatch.setattr("tests.hashers.QuickLegacyBcrypt.rounds", 6)
    cheap = legacy(PASSWORD)
    hashed.clear()
    assert not check_password("Wrong-lantern-42", cheap)
    assert hashed == [4] * 4


def test_production_writes_bcrypt_of_factor_12_over_sha256() -> None:
    from config import settings as production

    assert production.PASSWORD_HASHERS == ["accounts.hashers.Bcrypt", "accounts.hashers.LegacyBcrypt"]
    assert (Bcrypt.algorithm, Bcrypt.rounds) == ("bcrypt_sha256", 12)
    assert (LegacyBcrypt.algorithm, LegacyBcrypt.rounds) == ("bcrypt", 12)
