"""GET /auth/sessions, DELETE /auth/sessions/{id}, POST /auth/sessions/end-others, and how sessions end."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from pytest_django import DjangoAssertNumQueries

from accounts import tasks
from accounts.models import AuditEvent, Notification, PhoneCode, Session, User
from accounts.services import blocking, sessions
from accounts.services.tokens import TokenPack
from common.ids import new_id
from tests.conftest import Client
from tests.factories import make_user, token_of

pytestmark = pytest.mark.django_db
ENDED = AuditEvent.Action.SESSION_ENDED


def sign_in(user: User, device: str) -> tuple[Session, TokenPack]:
    return sessions.open_session(user=user, device=device, ip="192.0.2.7")


def client_of(pack: TokenPack) -> Client:
    api = Client()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {pack.access_token}")
    return api


def is_alive(pack: TokenPack) -> bool:
    answer = client_of(pack).post("/auth/ws-ticket")
    assert answer.status_code in (200, 401)
    return bool(answer.status_code == 200)


def stamp(when: Any) -> str:
    return str(when.isoformat().replace("+00:00", "Z"))


# --- List -------------------------------------------------------------------------------------------------


def test_list(owner: User, stranger: User) -> None:
    now = timezone.now()
    here, pack = sign_in(owner, "Chrome")
    there, _pack = sign_in(owner, "YuntuClient/1.0.0")
    Session.objects.filter(pk=there.pk).update(last_seen_at=now - timedelta(hours=1))
    ended, _pack = sign_in(owner, "Old phone")
    sessions.end_sessions(Session.objects.filter(pk=ended.pk))
    expired, _pack = sign_in(owner, "Older phone")
    Session.objects.filter(pk=expired.pk).update(expires_at=now)
    sign_in(stranger, "Somebody else's")
    there.refresh_from_db()

    answer = client_of(pack).get("/auth/sessions")

    assert answer.status_code == 200
    common = {"ip": "192.0.2.7"}
    assert answer.json() == {
        "sessions": [
            {
                **common,
                "id": str(session.pk),
                "device": session.device,
                "created_at": stamp(session.created_at),
                "last_seen_at": stamp(session.last_seen_at),
                "expires_at": stamp(session.expires_at),
                "current": session == here,
            }
            for session in (here, there)
        ],
        "total": 2,
        "skip": 0,
        "limit": 20,
    }


def test_pages(owner: User) -> None:
    _session, pack = sign_in(owner, "0")
    for number in range(4):
        sign_in(owner, str(number + 1))
    api = client_of(pack)
    seen = [api.get("/auth/sessions", {"skip": skip, "limit": 2}).json() for skip in (0, 2, 4)]
    assert [len(page["sessions"]) for page in seen] == [2, 2, 1]
    assert {session["device"] for page in seen for session in page["sessions"]} == set("01234")


def test_a_list_costs_the_same_for_many(
    owner: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    _session, pack = sign_in(owner, "first")
    api = client_of(pack)
    for count in (0, 6):
        for number in range(count):
            sign_in(owner, str(number))
        with django_assert_num_queries(3):  # who asks; count; rows
            assert api.get("/auth/sessions").status_code == 200


def test_nobody_lists_without_a_session(anonymous: Client) -> None:
    assert anonymous.get("/auth/sessions").status_code == 401


# --- End --------------------------------------------------------------------------------------------------


def test_end_one(owner: User) -> None:
    _here, mine = sign_in(owner, "Chrome")
    there, other = sign_in(owner, "Old phone")
    answer = client_of(mine).delete(f"/auth/sessions/{there.pk}")
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert (is_alive(mine), is_alive(other)) == (True, False)
    event = AuditEvent.objects.get(action=ENDED)
    assert (event.user, event.actor, event.target_id) == (owner, owner, str(there.pk))
    assert event.before == {"devices": ["Old phone"]}
    assert event.after == {"reason": "ended", "sessions": 1}


def test_end_oneself(owner: User) -> None:
    here, pack = sign_in(owner, "Chrome")
    assert client_of(pack).delete(f"/auth/sessions/{here.pk}").status_code == 200
    assert not is_alive(pack)


@pytest.mark.parametrize("whose", ["stranger", "ended", "expired", "nobody"])
def test_what_cannot_be_seen_cannot_be_ended(owner: User, stranger: User, whose: str) -> None:
    _here, mine = sign_in(owner, "Chrome")
    target, pack = sign_in(stranger if whose == "stranger" else owner, "target")
    if whose == "ended":
        sessions.end_sessions(Session.objects.filter(pk=target.pk))
    if whose == "expired":
        Session.objects.filter(pk=target.pk).update(expires_at=timezone.now())
    before = Session.objects.values().get(pk=target.pk)
    wanted = new_id() if whose == "nobody" else target.pk

    answer = client_of(mine).delete(f"/auth/sessions/{wanted}")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert Session.objects.values().get(pk=target.pk) == before
    assert is_alive(pack) == (whose in ("stranger", "nobody"))


def test_guests_may_end_theirs(owner: User) -> None:
    User.objects.update(is_guest=True)
    _here, mine = sign_in(owner, "Chrome")
    there, other = sign_in(owner, "Old phone")
    assert client_of(mine).delete(f"/auth/sessions/{there.pk}").status_code == 200
    assert client_of(mine).post("/auth/sessions/end-others").status_code == 200
    assert (is_alive(mine), is_alive(other)) == (True, False)


def test_end_all_others(owner: User, stranger: User) -> None:
    _here, mine = sign_in(owner, "Chrome")
    others = [sign_in(owner, name)[1] for name in ("Old phone", "Older phone")]
    expired, _pack = sign_in(owner, "Oldest phone")
    Session.objects.filter(pk=expired.pk).update(expires_at=timezone.now())
    _foreign, foreign = sign_in(stranger, "Somebody else's")

    answer = client_of(mine).post("/auth/sessions/end-others")

    assert (answer.status_code, answer.json()) == (200, {"success": True, "ended": 2})
    assert [is_alive(pack) for pack in (mine, foreign, *others)] == [True, True, False, False]
    event = AuditEvent.objects.get(action=ENDED)
    assert (event.user, event.actor, event.target_id) == (owner, owner, "")
    assert sorted(event.before["devices"]) == ["Old phone", "Older phone"]
    assert event.after == {"reason": "others_ended", "sessions": 2}
    assert client_of(mine).post("/auth/sessions/end-others").json() == {"success": True, "ended": 0}
    assert AuditEvent.objects.filter(action=ENDED).count() == 1


def test_logging_out_is_recorded_once(owner: User, anonymous: Client) -> None:
    session, pack = sign_in(owner, "Chrome")
    for _time in range(2):
        assert anonymous.post("/auth/logout", {"refresh_token": pack.refresh_token}).status_code == 200
    event = AuditEvent.objects.get(action=ENDED)
    assert (event.actor, event.target_id) == (owner, str(session.pk))
    assert event.after == {"reason": "logged_out", "sessions": 1}


def test_blocking_is_recorded_with_who_did_it(owner: User, stranger: User) -> None:
    _session, pack = sign_in(owner, "Chrome")
    users = User.objects.filter(pk=owner.pk)
    assert [blocking.block(users, actor=stranger) for _time in range(2)] == [1, 0]
    assert not is_alive(pack)
    assert [blocking.unblock(users, actor=stranger) for _time in range(2)] == [1, 0]
    assert not is_alive(pack)
    events = AuditEvent.objects.filter(user=owner, actor=stranger).order_by("created_at", "pk")
    assert [event.action for event in events] == ["blocked", "session_ended", "unblocked"]
    assert events[1].after == {"reason": "blocked", "sessions": 1}


def test_a_deleted_user_is_not_unblocked(owner: User) -> None:
    User.objects.filter(pk=owner.pk).update(
        is_active=False, phone=None, email=None, deleted_at=timezone.now()
    )
    assert blocking.unblock(User.objects.filter(pk=owner.pk)) == 0
    owner.refresh_from_db()
    assert not owner.is_active


def test_tokens_of_blocked_and_deleted_users(owner: User, stranger: User) -> None:
    packs = [sign_in(user, "Chrome")[1] for user in (owner, stranger)]
    User.objects.filter(pk=owner.pk).update(is_active=False)
    User.objects.filter(pk=stranger.pk).update(
        is_active=False, phone=None, email=None, deleted_at=timezone.now()
    )
    for pack in packs:
        assert not is_alive(pack)
        answer = Client().post("/auth/refresh", {"refresh_token": pack.refresh_token})
        assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")


def test_a_stolen_token_is_recorded_and_told_once(owner: User) -> None:
    session, pack = sign_in(owner, "Chrome on Windows")
    old = {"refresh_token": pack.refresh_token}
    assert Client().post("/auth/refresh", old).status_code == 200
    Session.objects.update(rotated_at=timezone.now() - settings.REFRESH_GRACE - timedelta(seconds=1))
    codes = [Client().post("/auth/refresh", old).json()["code"] for _time in range(2)]
    assert codes == ["token_reused", "token_invalid"]
    theirs = AuditEvent.objects.filter(action__in=[ENDED, AuditEvent.Action.TOKEN_REUSED])
    ended, reused = theirs.order_by("created_at", "pk")
    assert (ended.action, ended.after) == (ENDED, {"reason": "token_reused", "sessions": 1})
    assert (reused.action, reused.user, reused.actor) == (AuditEvent.Action.TOKEN_REUSED, owner, None)
    assert reused.target_id == str(session.pk)
    told = Notification.objects.get()
    assert (told.user, told.title, told.params) == (
        owner,
        "A session was ended",
        {"device": "Chrome on Windows"},
    )
    assert pack.refresh_token not in str(
        list(AuditEvent.objects.values()) + list(Notification.objects.values())
    )


# --- Seen and purged --------------------------------------------------------------------------------------


def test_last_seen_is_written_every_five_minutes_at_most(
    owner: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    session, pack = sign_in(owner, "Chrome")
    recently = timezone.now() - timedelta(minutes=4)
    Session.objects.update(last_seen_at=recently)
    with django_assert_num_queries(1):
        assert is_alive(pack)
    session.refresh_from_db()
    assert session.last_seen_at == recently

    Session.objects.update(last_seen_at=timezone.now() - timedelta(minutes=5))
    assert is_alive(pack)
    session.refresh_from_db()
    assert timezone.now() - session.last_seen_at < timedelta(minutes=1)
    with django_assert_num_queries(1):
        assert is_alive(pack)


def test_sessions_long_dead_are_purged(owner: User) -> None:
    now = timezone.now()
    ages = {"ended": now - timedelta(days=31), "expired": None, "just ended": now, "just expired": None}
    for device, revoked_at in ages.items():
        session, _pack = sign_in(owner, device)
        expires_at = now - timedelta(days=31) if device == "expired" else now
        Session.objects.filter(pk=session.pk).update(revoked_at=revoked_at, expires_at=expires_at)
    token_of(make_user())
    assert sessions.purge(now=now, at_once=1) == 2
    assert set(Session.objects.values_list("device", flat=True)) == {"just ended", "just expired", "pytest"}


def test_the_purge_is_scheduled(owner: User) -> None:
    session, _pack = sign_in(owner, "old")
    long_ago = timezone.now() - timedelta(days=31)
    Session.objects.filter(pk=session.pk).update(revoked_at=long_ago)
    PhoneCode.objects.create(phone="13912345678", purpose="login", code_hash="0" * 64, expires_at=long_ago)
    row = PeriodicTask.objects.get(task="accounts.tasks.purge_sign_ins")
    assert row.enabled and row.interval.every == 3600
    tasks.purge_sign_ins()
    assert not Session.objects.exists() and not PhoneCode.objects.exists()
