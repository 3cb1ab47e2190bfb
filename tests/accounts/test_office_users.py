"""What operators do to users in the back office: by the services, with their name in the audit log."""

from typing import Any

import pytest
from django.test import Client as Browser
from django.urls import reverse

from accounts import hashers
from accounts.errors import Busy
from accounts.models import AuditEvent, Notification, Session, User
from tests.accounts.staff import FORM, form_of
from tests.factories import PASSWORD, make_user, token_of

pytestmark = pytest.mark.django_db
Action = AuditEvent.Action
NEW = {"password1": "Red-lantern-43", "password2": "Red-lantern-43"}


@pytest.fixture
def boss() -> User:
    return User.objects.create_superuser("boss", PASSWORD)


@pytest.fixture
def office(boss: User) -> Browser:
    browser = Browser()
    browser.force_login(boss)
    return browser


@pytest.fixture
def painter() -> User:
    user = make_user(username="painter")
    token_of(user)
    return user


def page(name: str, *arguments: Any) -> str:
    return reverse(f"admin:accounts_user_{name}", args=arguments)


def recorded(user: User, *actions: Action) -> list[tuple[Any, ...]]:
    events = AuditEvent.objects.filter(user=user, action__in=actions).order_by("created_at", "pk")
    return [(event.action, event.actor and event.actor.username, event.after) for event in events]


def living(user: User) -> int:
    return Session.objects.filter(user=user, revoked_at__isnull=True).count()


def test_a_user_made_by_an_operator(office: Browser) -> None:
    form = {"username": "by_operator", "phone": "13912345678", "password1": PASSWORD, "password2": PASSWORD}
    assert office.post(page("add"), form).status_code == 302
    user = User.objects.get(username="by_operator")
    assert (user.wallets.count(), user.drives.count()) == (1, 1)
    assert recorded(user, Action.REGISTERED) == [(Action.REGISTERED, "boss", {})]


def test_a_superuser_is_whole_as_well(boss: User) -> None:
    assert (boss.wallets.count(), boss.drives.count()) == (1, 1)


def test_a_new_password(office: Browser, painter: User) -> None:
    answer = office.post(
        f"/admin/accounts/user/{painter.pk}/password/",
        {**NEW, "set-password": "1", "usable_password": "true"},
    )
    assert answer.status_code == 302
    painter.refresh_from_db()
    assert painter.check_password("Red-lantern-43")
    assert living(painter) == 0
    assert recorded(painter, Action.PASSWORD_CHANGED, Action.SESSION_ENDED) == [
        (Action.SESSION_ENDED, "boss", {"reason": "password_changed", "sessions": 1}),
        (Action.PASSWORD_CHANGED, "boss", {}),
    ]
    assert Notification.objects.filter(user=painter, title="Password changed").count() == 1


@pytest.mark.parametrize("door", ["form", "action"])
def test_blocking_and_unblocking(office: Browser, painter: User, door: str) -> None:
    def act(action: str, **changes: Any) -> None:
        chosen = {"action": action, "_selected_action": [str(painter.pk)], **FORM}
        form = form_of(painter, **changes)
        path = page("change", painter.pk) if door == "form" else page("changelist")
        assert office.post(path, form if door == "form" else chosen).status_code == 302
        painter.refresh_from_db()

    act("block", is_active=None)
    assert (painter.is_active, living(painter)) == (False, 0)
    act("unblock")
    assert painter.is_active
    assert recorded(painter, Action.BLOCKED, Action.SESSION_ENDED, Action.UNBLOCKED) == [
        (Action.BLOCKED, "boss", {}),
        (Action.SESSION_ENDED, "boss", {"reason": "blocked", "sessions": 1}),
        (Action.UNBLOCKED, "boss", {}),
    ]


def test_signing_a_user_out(office: Browser, painter: User) -> None:
    chosen = {"action": "end_sessions", "_selected_action": [str(painter.pk)], **FORM}
    assert office.post(page("changelist"), chosen).status_code == 302
    assert living(painter) == 0
    assert recorded(painter, Action.SESSION_ENDED) == [
        (Action.SESSION_ENDED, "boss", {"reason": "operator", "sessions": 1})
    ]


def test_a_form_that_was_open_for_long_writes_only_what_was_changed_in_it(
    office: Browser, painter: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user changes the password between the form's reading of the row and its writing."""
    from accounts.admin.users import UserAdmin

    real = UserAdmin.save_model

    def late(self: Any, request: Any, obj: User, form: Any, change: bool) -> None:
        meanwhile = User.objects.get(pk=painter.pk)
        meanwhile.set_password("Red-lantern-43")
        meanwhile.save()
        real(self, request, obj, form, change)

    monkeypatch.setattr(UserAdmin, "save_model", late)
    assert office.post(page("change", painter.pk), form_of(painter, member_level=2)).status_code == 302
    painter.refresh_from_db()
    assert painter.member_level == 2
    assert painter.check_password("Red-lantern-43")


@pytest.mark.parametrize("door", ["add", "password"])
def test_an_operator_who_comes_in_a_storm_is_asked_to_try_again(
    office: Browser, painter: User, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    def busy(self: Any) -> None:
        raise Busy(retry_after=2)

    path = page("add") if door == "add" else f"/admin/accounts/user/{painter.pk}/password/"
    form = {**NEW, "username": "newcomer", "phone": "", "set-password": "1", "usable_password": "true"}
    with monkeypatch.context() as storm:
        storm.setattr(hashers.Line, "slot", busy)
        answer = office.post(path, form, follow=True)
    assert answer.redirect_chain == [(path, 302)]
    assert "稍后重试" in answer.content.decode()
    painter.refresh_from_db()
    assert painter.check_password(PASSWORD)
    assert not User.objects.filter(username="newcomer").exists()
    assert office.post(path, form).status_code == 302
