"""Sockets in the matrix of permissions: every role at every route. What is told there is each person's own news."""

import pytest
from asgiref.sync import sync_to_async

from accounts.models import User
from common.ids import new_id
from common.realtime import publish
from config.asgi import sockets
from drives.models import Drive
from tests.accounts.sockets import Socket, in_a_loop, opened
from tests.factories import token_of
from uploads.models import UploadTask
from uploads.services.news import tell

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _keep_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """To a socket's consumer, the connection that holds the transaction of the test is not an old one to be closed."""
    monkeypatch.setattr("channels.db.close_old_connections", lambda: None)


def test_every_route_is_tried() -> None:
    assert [str(route.pattern) for route in sockets.routes] == [
        "^ws/?$", "ws/office/jobs/<uuid:job_id>", "ws/<str:user_id>",
    ]  # fmt: skip


@pytest.fixture
def tokens(people: dict[str, User]) -> dict[str, str]:
    return {who: token_of(user) for who, user in people.items()}


@pytest.fixture
def task(people: dict[str, User], drive: Drive) -> UploadTask:
    """An upload of the editor's into the drive that everybody shares."""
    return UploadTask.objects.create(
        user=people["editor"], drive=drive, task_name="x", total_files=1, expires_at=drive.created_at
    )


async def may_listen(query: str, path: str) -> bool:
    socket = Socket(query, path)
    if (await socket.connect())["type"] != "websocket.accept":
        return False
    assert await socket.is_welcomed()
    await socket.disconnect()
    return True


@in_a_loop
async def test_who_may_listen_to_whom(people: dict[str, User], tokens: dict[str, str]) -> None:
    """Rights in somebody's drive are none to hear what they are told."""
    for who, token in tokens.items():
        for whose, user in people.items():
            own = who == whose
            assert await may_listen(f"token={token}&user_id={user.pk}", "/ws") is own, (who, whose)
            assert await may_listen(f"token={token}", f"/ws/{user.pk}") is own, (who, whose)
        assert not await may_listen(f"token={token}", f"/ws/office/jobs/{new_id()}"), who
    assert not await may_listen("token=none", "/ws")


@in_a_loop
async def test_progress_is_told_to_who_uploads(
    people: dict[str, User], tokens: dict[str, str], task: UploadTask
) -> None:
    heard = {}
    for who, token in tokens.items():
        async with opened(f"token={token}") as socket:
            assert await socket.is_welcomed()
            await sync_to_async(tell)(task.pk, at_once=True)
            await sync_to_async(publish)(people[who].pk, "that:was:all", {})
            heard[who] = (await socket.hear())["event"]
    assert heard == {**dict.fromkeys(tokens, "that:was:all"), "editor": "upload:progress"}
