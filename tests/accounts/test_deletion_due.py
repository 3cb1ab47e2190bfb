"""The end of an account, carried out: nobody is left, money and history stay."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client as Browser
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from accounts import tasks
from accounts.models import (
    AuditEvent,
    Device,
    Notification,
    PhoneCode,
    Session,
    SocialAccount,
    TeamInvitation,
    User,
)
from accounts.permissions import Role
from accounts.services import deletion
from accounts.services.teams import create_team
from accounts.signals import user_deleted, user_leaves
from billing.models import Bill, Hold, LedgerEntry, Wallet
from billing.services.ledger import wallet_of
from drives.models import Drive, File
from rendering.models import RenderJob, RenderNode
from tests.accounts.conftest import codes_sent, registration
from tests.accounts.crew import join
from tests.accounts.pictures import picture
from tests.accounts.staff import FORM
from tests.accounts.test_avatars import send, stored
from tests.accounts.test_deletion import LATER, fresh, leave
from tests.conftest import Client
from tests.factories import PASSWORD, make_user, put
from tests.racing import race
from tests.rendering.makers import draft, queued

Action = AuditEvent.Action


# --- Carried out ------------------------------------------------------------------------------------------


def test_not_before_its_time(owner: User) -> None:
    leave(owner)
    due = fresh(owner).deletion_due_at
    assert due is not None
    before = User.objects.filter(pk=owner.pk).values().get()
    assert deletion.delete_due(now=due - timedelta(seconds=1)) == 0
    assert User.objects.filter(pk=owner.pk).values().get() == before
    assert deletion.delete_due(now=due) == 1


def test_nobody_is_left(owner: User, stranger: User) -> None:
    phone = owner.phone or ""
    owner.groups.add(Group.objects.create(name="extras"))
    SocialAccount.objects.create(user=owner, provider="wechat", appid="a", openid="o", nickname="Lin")
    Device.objects.create(user=owner, device_id="d" * 8, secret_hash="x", last_seen_at=timezone.now())
    User.objects.filter(pk=owner.pk).update(email="lin@example.com", email_verified_at=timezone.now())
    api = Client(owner)
    api.post("/auth/send-code", {"phone": phone, "purpose": "login"})
    team = create_team(owner=stranger, name="Lighting")
    Client(stranger).post(f"/teams/{team.pk}/invitations", {"phone": phone, "role": "member"})
    assert TeamInvitation.objects.filter(phone=phone).exists()
    assert PhoneCode.objects.filter(phone=phone).exists()

    now = leave(owner)
    last = Client(owner)
    assert deletion.delete_due(now=now) == 1

    user = fresh(owner)
    assert (user.username, user.phone, user.email, user.email_verified_at, user.avatar.name) == (
        f"deleted_{owner.pk.hex}", None, None, None, "",
    )  # fmt: skip
    assert (user.is_active, user.is_staff, user.deleted_at, user.last_login) == (False, False, now, None)
    assert not user.has_usable_password()
    assert last.get("/users/me").status_code == 401
    for rows in (
        user.sessions,
        user.devices,
        user.social_accounts,
        user.notifications,
        user.memberships,
        user.groups,
    ):
        assert rows.count() == 0
    assert not PhoneCode.objects.filter(phone=phone).exists()
    assert not TeamInvitation.objects.filter(phone=phone).exists()
    [event] = AuditEvent.objects.filter(user=owner, action=Action.DELETED)
    assert (event.actor, event.target_id) == (None, str(owner.pk))
    for form in ({"username": "owner", "password": PASSWORD}, {"phone": phone, "password": PASSWORD}):
        assert Client().post("/auth/login", form).status_code == 401
    assert fresh(stranger).is_active


def test_the_phone_can_register_anew(owner: User) -> None:
    phone = owner.phone or ""
    assert deletion.delete_due(now=leave(owner)) == 1
    api = Client()
    assert api.post("/auth/send-code", {"phone": phone}).status_code == 200
    form = registration(codes_sent(phone)[-1], phone=phone, username="owner")
    assert api.post("/auth/register", form).status_code == 201
    assert User.objects.filter(phone=phone).count() == 1


@pytest.mark.django_db(transaction=True)
def test_picture_and_drives_go(owner: User, owner_api: Client) -> None:
    name = str(send(owner_api, picture()).json()["avatar"]).rpartition("/")[2]
    assert name in [file.name for file in stored()]
    put(owner, "/a.txt", b"a")
    Drive.objects.create(user=owner, name="Second")
    assert deletion.delete_due(now=leave(owner)) == 1
    assert name not in [file.name for file in stored()]
    assert list(Drive.objects.filter(user=owner).values_list("is_active", flat=True)) == [False, False]
    assert File.objects.filter(drive__user=owner).count() == 1  # purged later, with the drive


def test_money_stays_written_and_jobs_end(owner: User) -> None:
    RenderNode.objects.create(name="n", host="h", engines={"blender": ["5.0.1"]}, heartbeat_at=timezone.now())
    job, planned = queued(owner), draft(owner)
    assert Hold.objects.get(wallet__user=owner).status == Hold.Status.OPEN
    entries = list(LedgerEntry.objects.filter(wallet__user=owner).order_by("sequence").values())
    other = queued(make_user(money="50"))

    assert deletion.delete_due(now=leave(owner)) == 1

    for ended in (job, planned):
        ended.refresh_from_db()
        assert ended.status == RenderJob.Status.CANCELLED
    assert Hold.objects.get(wallet__user=owner).status == Hold.Status.CLOSED
    wallet = wallet_of(owner)
    assert (wallet.balance, wallet.held) == (Decimal(100), Decimal(0))
    assert (
        list(LedgerEntry.objects.filter(wallet=wallet).order_by("sequence").values())[: len(entries)]
        == entries
    )
    assert Bill.objects.filter(wallet=wallet).count() == 0  # nothing was rendered
    other.refresh_from_db()
    assert other.status == RenderJob.Status.QUEUED


def test_a_team_goes_on_under_whoever_comes_next(owner: User) -> None:
    team = create_team(owner=owner, name="Lighting")
    now = leave(owner)
    viewer, member, admin, later, blocked = (make_user() for _ in range(5))
    for user, role in (
        (viewer, Role.VIEWER), (blocked, Role.ADMIN), (member, Role.MEMBER), (admin, Role.ADMIN), (later, Role.ADMIN),
    ):  # fmt: skip
        join(team, user, role, by=owner)
    User.objects.filter(pk=blocked.pk).update(is_active=False)
    assert deletion.delete_due(now=now) == 1
    roles = {member.user: member.role for member in team.members.select_related("user")}
    assert roles == {
        viewer: Role.VIEWER, blocked: Role.ADMIN, member: Role.MEMBER, admin: Role.OWNER, later: Role.ADMIN,
    }  # fmt: skip
    assert Notification.objects.filter(user=admin, message="You are now an owner of the team.").exists()
    assert AuditEvent.objects.filter(user=admin, action=Action.ROLE_CHANGED, after__role="owner").exists()


def test_a_team_of_nobody_else_goes_too(owner: User, stranger: User) -> None:
    alone = create_team(owner=owner, name="Alone")
    led = create_team(owner=stranger, name="Led by another")
    join(led, owner, Role.ADMIN, by=stranger)
    assert deletion.delete_due(now=leave(owner)) == 1
    assert not type(alone).objects.filter(pk=alone.pk).exists()
    assert [member.user for member in led.members.all()] == [stranger]


def test_run_again_it_does_no_more(owner: User) -> None:
    now = leave(owner)
    assert [deletion.delete_due(now=now) for _run in range(3)] == [1, 0, 0]
    assert AuditEvent.objects.filter(user=owner, action=Action.DELETED).count() == 1


def test_one_that_fails_does_not_keep_the_others(
    owner: User, stranger: User, caplog: pytest.LogCaptureFixture
) -> None:
    leave(owner)
    now = leave(stranger)
    owner_before = User.objects.filter(pk=owner.pk).values().get()

    def refuse(user: User, **_news: Any) -> None:
        if user == owner:
            raise RuntimeError("a job that cannot end")

    user_deleted.connect(refuse)
    try:
        assert deletion.delete_due(now=now) == 1
    finally:
        user_deleted.disconnect(refuse)
    assert str(owner.pk) in caplog.text
    assert User.objects.filter(pk=owner.pk).values().get() == owner_before
    assert Session.objects.filter(user=owner, revoked_at__isnull=True).exists()
    assert deletion.delete_due(now=now) == 1  # the next run


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once() -> None:
    users = [make_user() for _ in range(4)]
    for user in users:
        leave(user)
    now = timezone.now() + LATER
    assert sum(race(4, lambda number: deletion.delete_due(now=now))) == 4
    assert AuditEvent.objects.filter(action=Action.DELETED).count() == 4


@pytest.mark.django_db(transaction=True)
def test_called_off_at_the_last_moment_or_not() -> None:
    """Whichever is first: an account is either there whole, or gone whole."""
    for _round in range(6):
        user = make_user()
        leave(user)
        now = timezone.now() + LATER

        def act(number: int, user: User = user, now: datetime = now) -> None:
            if number:
                deletion.cancel_deletion(user=user)
            else:
                deletion.delete_due(now=now)

        race(2, act)
        found = fresh(user)
        called_off = AuditEvent.objects.filter(user=user, action=Action.DELETION_CANCELLED).exists()
        assert (found.deleted_at is None) is called_off is found.is_active is (found.phone is not None)


def test_not_called_off_while_its_jobs_end(owner: User) -> None:
    """Nobody comes back to an account without them."""
    leave(owner)
    User.objects.filter(pk=owner.pk).update(deletion_due_at=timezone.now())
    answers = []

    def call_off(**_news: Any) -> None:
        answers.append(Client(owner).delete("/users/me/deletion"))

    user_leaves.connect(call_off)
    try:
        assert deletion.delete_due(now=timezone.now()) == 1
    finally:
        user_leaves.disconnect(call_off)
    [answer] = answers
    assert (answer.status_code, answer.json()["code"]) == (409, "deletion_begun")
    assert not AuditEvent.objects.filter(user=owner, action=Action.DELETION_CANCELLED).exists()


def test_the_task_is_scheduled(owner: User) -> None:
    task = PeriodicTask.objects.get(task=tasks.delete_accounts.name)
    assert (task.enabled, task.interval.every, task.interval.period) == (True, 3600, "seconds")
    leave(owner)
    User.objects.filter(pk=owner.pk).update(deletion_due_at=timezone.now())
    tasks.delete_accounts()
    assert fresh(owner).deleted_at is not None


# --- Afterwards -------------------------------------------------------------------------------------------


def test_an_operator_cannot_bring_them_back(owner: User) -> None:
    deletion.delete_due(now=leave(owner))
    office = Browser()
    office.force_login(User.objects.create_superuser("boss", PASSWORD))
    form = {"action": "unblock", "_selected_action": [str(owner.pk)], **FORM}
    assert office.post("/admin/accounts/user/", form).status_code == 302
    page = f"/admin/accounts/user/{owner.pk}/change/"
    data = {"username": fresh(owner).username, "phone": "13912345678", "email": "", "member_level": 0,
            "is_active": "on", "sessions-TOTAL_FORMS": 0, "sessions-INITIAL_FORMS": 0}  # fmt: skip
    answer = office.post(page, data)
    assert answer.status_code == 200
    assert "该账号已注销" in answer.content.decode()
    assert (fresh(owner).is_active, fresh(owner).phone) == (False, None)


def test_no_column_tells_who_they_were(owner: User) -> None:
    """Whatever refers to the user by name or number anywhere is theirs to be forgotten; the audit log is masked."""
    phone, now = owner.phone or "", leave(owner)
    deletion.delete_due(now=now)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        )
        tables = [name for (name,) in cursor.fetchall()]
        found = []
        for table in tables:
            cursor.execute(f'SELECT count(*) FROM "{table}" AS row WHERE row::text LIKE %s', [f"%{phone}%"])
            found += [table] if cursor.fetchone()[0] else []
    assert found == []
    assert Wallet.objects.filter(user=owner).exists()
