"""The end of an account: asked for and called off."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.utils import timezone

from accounts.models import (
    AuditEvent,
    Notification,
    PhoneCode,
    Session,
    TeamMember,
    User,
)
from accounts.permissions import Role
from accounts.services import deletion
from accounts.services.teams import create_team
from tests.accounts.conftest import codes_sent, rewind, wrong
from tests.accounts.crew import join
from tests.accounts.test_devices import client_of, new_device
from tests.conftest import Client
from tests.factories import PASSWORD

PATH = "/users/me/deletion"
Action = AuditEvent.Action
LATER = timedelta(days=settings.ACCOUNT_DELETION_DAYS, minutes=1)


def ask(api: Client, **body: Any) -> Any:
    return api.post(PATH, body or {"password": PASSWORD})


def leave(user: User) -> datetime:
    """The user asked for the deletion; the time at which it is due."""
    answer = ask(Client(user))
    assert answer.status_code == 200, answer.json()
    return timezone.now() + LATER


def fresh(user: User) -> User:
    return User.objects.get(pk=user.pk)


def refused(api: Client, status: int, code: str, **body: Any) -> dict[str, Any]:
    """The body of a refusal, after which the account stays and no session has ended."""
    assert api.user is not None
    before = User.objects.filter(pk=api.user.pk).values().get()
    living = Session.objects.filter(revoked_at__isnull=True).count()
    answer = ask(api, **body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.json()
    assert User.objects.filter(pk=api.user.pk).values().get() == before
    assert Session.objects.filter(revoked_at__isnull=True).count() == living
    found: dict[str, Any] = answer.json()
    return found


# --- Asked for --------------------------------------------------------------------------------------------


def test_asked_for_with_the_password(owner: User, owner_api: Client) -> None:
    elsewhere = Client(owner)
    before = timezone.now()
    answer = ask(owner_api)
    assert answer.status_code == 200
    due = fresh(owner).deletion_due_at
    assert due is not None
    assert timedelta(0) <= due - before - timedelta(days=15) < timedelta(minutes=1)
    assert answer.json() == {"deletion_due_at": due.isoformat().replace("+00:00", "Z"), "balance": 100}
    me = owner_api.get("/users/me")  # this session goes on
    assert me.json()["deletion_due_at"] == answer.json()["deletion_due_at"]
    assert elsewhere.get("/users/me").status_code == 401
    told = Notification.objects.get(user=owner, title="Your account will be deleted")
    day = due.astimezone(ZoneInfo("Asia/Shanghai"))
    assert (told.level, told.params) == (Notification.Level.WARNING, {"date": f"{day:%Y-%m-%d}"})
    [event] = AuditEvent.objects.filter(user=owner, action=Action.DELETION_REQUESTED)
    assert (event.actor, event.after) == (owner, {"deletion_due_at": due.isoformat()})


def test_asked_again_the_day_stays(owner: User, owner_api: Client) -> None:
    first = ask(owner_api).json()
    assert ask(owner_api).json() == first
    assert AuditEvent.objects.filter(user=owner, action=Action.DELETION_REQUESTED).count() == 1
    assert Notification.objects.filter(user=owner, title="Your account will be deleted").count() == 1


def test_asked_for_with_a_code(owner: User, owner_api: Client) -> None:
    User.objects.filter(pk=owner.pk).update(password="!unusable")
    api = Client(fresh(owner))
    assert refused(api, 422, "validation_error", sure=True)["errors"][0]["loc"] == [
        "body",
        "verification_code",
    ]
    assert api.post("/auth/send-code", {"phone": owner.phone, "purpose": "delete_account"}).status_code == 200
    code = codes_sent(owner.phone or "")[-1]
    refused(api, 400, "code_invalid", verification_code=wrong(code))
    assert ask(api, verification_code=code).status_code == 200
    assert fresh(owner).deletion_due_at is not None
    # Used up.
    assert api.delete(PATH).status_code == 200
    refused(api, 400, "code_invalid", verification_code=code)


@pytest.mark.django_db
def test_a_guest_has_nothing_but_the_session() -> None:
    api = client_of(new_device())
    guest = User.objects.get()
    api.user = guest
    refused(api, 400, "code_invalid", verification_code="123456")
    assert ask(api, sure=True).status_code == 200
    assert fresh(guest).deletion_due_at is not None
    assert api.delete(PATH).status_code == 200
    # With a phone there is something to prove it by.
    User.objects.filter(pk=guest.pk).update(phone="13900000001")
    refused(api, 422, "validation_error", sure=True)


def test_a_code_sent_for_something_else(owner: User, owner_api: Client) -> None:
    for purpose in ("login", "reset_password", "bind_phone", "register"):
        PhoneCode.objects.all().delete()
        rewind("sms-phone-minute", "sms-phone-hour", "sms-ip-hour")
        assert (
            owner_api.post("/auth/send-code", {"phone": owner.phone, "purpose": purpose}).status_code == 200
        )
        refused(owner_api, 400, "code_invalid", verification_code=codes_sent(owner.phone or "")[-1])


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"password": "wrong"}, 422, "wrong_password"),
        ({"password": "", "verification_code": ""}, 422, "validation_error"),
        ({"password": None, "verification_code": None}, 422, "validation_error"),
        ({"verification_code": "12345"}, 422, "validation_error"),
        ({"verification_code": "123456"}, 400, "code_invalid"),
        ({"password": "wrong", "verification_code": "123456"}, 422, "wrong_password"),
        ({"sure": True}, 422, "validation_error"),
    ],
)
def test_without_proof(owner_api: Client, body: dict[str, Any], status: int, code: str) -> None:
    refused(owner_api, status, code, **body)


def test_wrong_passwords_lock(owner: User, owner_api: Client) -> None:
    for _try in range(9):
        refused(owner_api, 422, "wrong_password", password="wrong")
    answers = [ask(owner_api, password="wrong") for _try in range(2)]
    assert answers[-1].status_code == 429
    assert ask(owner_api).status_code == 429
    assert fresh(owner).deletion_due_at is None


def test_only_for_who_is_signed_in(anonymous: Client) -> None:
    assert ask(anonymous).status_code == anonymous.delete(PATH).status_code == 401


def test_an_operator_is_not_lost_by_a_click(owner: User, owner_api: Client) -> None:
    User.objects.filter(pk=owner.pk).update(is_staff=True)
    refused(owner_api, 403, "permission_denied")


def test_a_last_owner_stays_until_somebody_follows(owner: User, owner_api: Client, stranger: User) -> None:
    create_team(owner=owner, name="Alone")
    team = create_team(owner=owner, name="Lighting")
    join(team, stranger, Role.MEMBER, by=owner)
    body = refused(owner_api, 409, "last_owner")
    assert body["teams"] == [{"id": str(team.pk), "name": "Lighting"}]
    TeamMember.objects.filter(team=team, user=stranger).update(role=Role.OWNER)
    assert ask(owner_api).status_code == 200


# --- Called off -------------------------------------------------------------------------------------------


def test_called_off(owner: User, owner_api: Client) -> None:
    due = leave(owner)
    api = Client(owner)
    answer = api.delete(PATH)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert api.get("/users/me").json()["deletion_due_at"] is None
    assert AuditEvent.objects.filter(user=owner, action=Action.DELETION_CANCELLED).count() == 1
    assert deletion.delete_due(now=due) == 0
    assert fresh(owner).is_active
    # Without a deletion there is nothing to do.
    assert api.delete(PATH).status_code == 200
    assert AuditEvent.objects.filter(user=owner, action=Action.DELETION_CANCELLED).count() == 1


def test_one_can_still_sign_in_to_call_it_off(owner: User) -> None:
    leave(owner)
    answer = Client().post("/auth/login", {"username": "owner", "password": PASSWORD})
    assert answer.status_code == 200
