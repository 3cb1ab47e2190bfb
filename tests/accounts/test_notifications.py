"""Notifications: stored, pushed, listed in the reader's language, read, purged."""

from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation
from django_celery_beat.models import PeriodicTask

from accounts import tasks
from accounts.models import Notification, User
from accounts.services.notifications import notify
from common.ids import new_id
from tests.accounts.sockets import in_a_loop, listening
from tests.conftest import Client
from tests.factories import token_of
from tests.racing import race

TITLE, MESSAGE = "Team %(team)s", "You were removed from the team."


def tell(user: User, team: str = "Lighting", **more: Any) -> Notification:
    return notify(user=user, title=TITLE, message=MESSAGE, params={"team": team}, **more)


@pytest.fixture
def three(owner: User, stranger: User) -> list[Notification]:
    """Three of the owner's, oldest first, the first of them read; and one of the stranger's."""
    Notification.objects.all().delete()
    tell(stranger)
    found = [tell(owner, team=f"T{number}") for number in range(3)]
    Notification.objects.filter(pk=found[0].pk).update(read_at=timezone.now())
    return found


def unread(api: Client) -> int:
    count: int = api.get("/notifications/unread-count").json()["unread"]
    return count


def unread_of(user: User) -> int:
    return Notification.objects.filter(user=user, read_at__isnull=True).count()


# --- Lists ------------------------------------------------------------------------------------------------


def test_as_the_reader_sees_it(owner: User, owner_api: Client) -> None:
    stored = tell(owner, level=Notification.Level.WARNING, action_url="/teams/1")
    expected = {
        "id": str(stored.pk),
        "title": "团队 Lighting",
        "message": "您已被移出该团队。",
        "type": "warning",
        "action_url": "/teams/1",
        "created_at": stored.created_at.isoformat().replace("+00:00", "Z"),
        "read_at": None,
    }
    assert owner_api.get("/notifications").json()["notifications"][0] == expected
    english = owner_api.get("/notifications", headers={"Accept-Language": "en"}).json()["notifications"][0]
    assert english == {**expected, "title": "Team Lighting", "message": MESSAGE}


def test_lists(three: list[Notification], owner_api: Client, stranger_api: Client) -> None:
    whole = owner_api.get("/notifications").json()
    assert [row["id"] for row in whole["notifications"]] == [str(row.pk) for row in reversed(three)]
    assert (whole["total"], whole["skip"], whole["limit"]) == (3, 0, 20)
    new = owner_api.get("/notifications", {"unread": "true", "limit": "1"}).json()
    assert ([row["id"] for row in new["notifications"]], new["total"]) == ([str(three[2].pk)], 2)
    assert owner_api.get("/notifications", {"unread": "false"}).json()["total"] == 3
    assert (unread(owner_api), unread(stranger_api)) == (2, 1)


def test_lists_take_a_constant_number_of_queries(owner: User, owner_api: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert owner_api.get("/notifications", {"limit": 100}).status_code == 200
        return len(captured)

    tell(owner)
    queries()
    before = queries()
    for _number in range(20):
        tell(owner)
    assert queries() == before <= 3


def test_only_for_who_is_signed_in(anonymous: Client, three: list[Notification]) -> None:
    assert anonymous.get("/notifications").status_code == 401
    assert anonymous.get("/notifications/unread-count").status_code == 401
    assert anonymous.post("/notifications/read").status_code == 401
    assert anonymous.delete(f"/notifications/{three[1].pk}").status_code == 401
    assert Notification.objects.filter(read_at__isnull=True).count() == 3


# --- Read, delete -----------------------------------------------------------------------------------------


def test_read_one(three: list[Notification], owner_api: Client) -> None:
    answer = owner_api.post(f"/notifications/{three[1].pk}/read")
    assert (answer.status_code, answer.json()["id"]) == (200, str(three[1].pk))
    first = answer.json()["read_at"]
    assert first.endswith("Z")
    assert unread(owner_api) == 1
    # A second time it keeps the first.
    assert owner_api.post(f"/notifications/{three[1].pk}/read").json()["read_at"] == first


@pytest.mark.parametrize("body", [None, {}, {"ids": None}])
def test_read_all(three: list[Notification], owner_api: Client, stranger: User, body: Any) -> None:
    answer = owner_api.post("/notifications/read", body)
    assert (answer.status_code, answer.json()) == (200, {"success": True, "read": 2})
    assert unread(owner_api) == 0
    assert unread_of(stranger) == 1
    assert owner_api.post("/notifications/read").json()["read"] == 0


def test_read_some(three: list[Notification], owner_api: Client, stranger: User) -> None:
    foreign = Notification.objects.get(user=stranger)
    ids = [str(each) for each in (three[0].pk, three[1].pk, three[1].pk, foreign.pk, new_id())]
    assert owner_api.post("/notifications/read", {"ids": ids}).json() == {"success": True, "read": 1}
    assert owner_api.post("/notifications/read", {"ids": []}).json() == {"success": True, "read": 0}
    assert (unread(owner_api), unread_of(stranger)) == (1, 1)


@pytest.mark.parametrize(
    "ids", ["all", ["x"], [None], {"a": 1}, ["01a2057e-de3c-707f-b809-2f2197adae66"] * 1001]
)
def test_ids_that_are_none(three: list[Notification], owner_api: Client, owner: User, ids: Any) -> None:
    answer = owner_api.post("/notifications/read", {"ids": ids})
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
    assert answer.json()["errors"][0]["loc"][:2] == ["body", "ids"]
    assert unread_of(owner) == 2


def test_delete(three: list[Notification], owner_api: Client) -> None:
    path = f"/notifications/{three[1].pk}"
    answer = owner_api.delete(path)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert owner_api.delete(path).status_code == 404
    assert owner_api.get("/notifications").json()["total"] == 2


def test_anothers_are_out_of_sight(three: list[Notification], stranger_api: Client) -> None:
    before = list(Notification.objects.order_by("pk").values())
    assert stranger_api.post(f"/notifications/{three[1].pk}/read").status_code == 404
    assert stranger_api.delete(f"/notifications/{three[1].pk}").status_code == 404
    assert list(Notification.objects.order_by("pk").values()) == before


@pytest.mark.django_db(transaction=True)
def test_read_by_many_at_once_is_counted_once(owner: User) -> None:
    for _number in range(5):
        tell(owner)
    headers = {"Authorization": f"Bearer {token_of(owner)}"}
    answers = race(8, lambda number: Client().post("/notifications/read", headers=headers).json()["read"])
    assert sum(answers) == 5


# --- Pushed, purged ---------------------------------------------------------------------------------------


@pytest.mark.django_db
@in_a_loop
async def test_pushed_to_open_sockets(
    owner: User, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    monkeypatch.setattr("channels.db.close_old_connections", lambda: None)

    def act() -> Notification:
        # The one who causes it may read another language.
        with django_capture_on_commit_callbacks(execute=True), translation.override("en"):
            return tell(owner, level=Notification.Level.SUCCESS, action_url="/teams/1")

    token = await sync_to_async(token_of)(owner)
    async with listening(token) as socket, listening(token, language="en-GB,en;q=0.8") as english:
        stored = await sync_to_async(act)()
        heard = await socket.hear()
        told = (await english.hear())["data"]
    assert (told["id"], told["title"], told["message"]) == (str(stored.pk), "Team Lighting", MESSAGE)
    await sync_to_async(act)()
    async with listening(token, f"&since={heard['revision']}", language="en") as late:
        assert (await late.hear())["data"]["title"] == "Team Lighting"
    data = heard["data"]
    assert heard["event"] == "notification"
    assert set(data) == {"id", "title", "message", "type", "timestamp", "action_url"}
    assert (data["id"], data["title"], data["message"]) == (
        str(stored.pk),
        "团队 Lighting",
        "您已被移出该团队。",
    )
    assert (data["type"], data["action_url"]) == ("success", "/teams/1")
    assert data["timestamp"].endswith("Z")


def test_what_is_rolled_back_is_not_pushed(owner: User, django_capture_on_commit_callbacks: Any) -> None:
    with django_capture_on_commit_callbacks() as callbacks:
        tell(owner)
    assert len(callbacks) == 1  # it waits for the commit


def test_old_ones_are_purged(three: list[Notification], owner: User) -> None:
    def aged(notification: Notification, days: float) -> None:
        created = timezone.now() - timedelta(days=days)
        Notification.objects.filter(pk=notification.pk).update(created_at=created)

    aged(three[0], 90.01)
    aged(three[1], 90.01)
    aged(three[2], 89.99)
    tasks.purge_notifications()
    assert [row.pk for row in Notification.objects.filter(user=owner)] == [three[2].pk]
    tasks.purge_notifications()
    assert Notification.objects.filter(user=owner).count() == 1


def test_the_purge_is_scheduled(db: None) -> None:
    task = PeriodicTask.objects.get(task=tasks.purge_notifications.name)
    assert (task.enabled, task.interval.every, task.interval.period) == (True, 86400, "seconds")
