"""Jobs and nodes in the back office: the page of a job as it changes, who watches it, and moving it away."""

from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.test import Client

from accounts.models import User
from accounts.permissions import StaffGroup
from common.errors import TransitionNotAllowed
from rendering import consumers
from rendering.errors import NoNodeFits
from rendering.models import Attempt, JobLog, NodeBlock, RenderJob, RenderNode
from rendering.selectors import waiting_reason, waiting_reasons
from rendering.services.moving import move_job, unblock_nodes
from tests.accounts.sockets import Socket, in_a_loop
from tests.accounts.staff import FORM, act, office_of, operator, page
from tests.factories import make_user
from tests.rendering import makers

pytestmark = pytest.mark.django_db
Status = RenderJob.Status


@pytest.fixture
def artist(db: None) -> User:
    return make_user(username="artist", money="50")


@pytest.fixture
def second(node: RenderNode) -> RenderNode:
    return RenderNode.objects.create(
        name="node-2", host="h", slots=4, engines=node.engines, heartbeat_at=node.heartbeat_at
    )


# --- The page of a job ---


def test_the_page_shows_frames_attempts_and_preflight(artist: User, node: RenderNode) -> None:
    job = makers.queued(artist, frames="1-4", task_name="lanterns")
    makers.succeed(makers.claimed(node))
    makers.fail(makers.claimed(node), is_permanent=True)
    running = makers.claimed(node)
    Attempt.objects.filter(pk=running.pk).update(log_tail="Fra:3 Mem:12M", progress=40)
    office = office_of(operator("farm"))
    text = office.get(page(RenderJob, "change", job.pk)).content.decode()
    for state in ("done", "failed", "running", "ready"):
        assert f'class="frame {state}"' in text, state
    for word in ("Fra:3 Mem:12M", "crashed", "CYCLES", "artist", "preview.png"):
        assert word in text, word
    live = office.get(f"/admin/rendering/renderjob/{job.pk}/live/").content.decode()
    assert "Fra:3 Mem:12M" in live
    assert "<html" not in live


@pytest.mark.parametrize("status", list(Status))
def test_the_page_of_a_job_in_every_state(artist: User, node: RenderNode, status: RenderJob.Status) -> None:
    job = makers.in_status(artist, status, node)
    office = office_of(operator("superuser"))
    assert office.get(page(RenderJob, "change", job.pk)).status_code == 200


def test_a_page_of_the_grid(artist: User, node: RenderNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rendering.admin.job_page.GRID", 4)
    job = makers.queued(artist, frames="1-10")
    office = office_of(operator("farm"))
    for number, count in (("1", 4), ("3", 2), ("99", 2), ("x", 4), ("-1", 4)):
        answer = office.get(page(RenderJob, "change", job.pk), {"frames": number})
        assert len(answer.context["live"]["cells"]) == count, number


@pytest.mark.parametrize("group", list(StaffGroup))
def test_who_sees_what_changes(artist: User, node: RenderNode, group: str) -> None:
    job = makers.queued(artist)
    answer = office_of(operator(group)).get(f"/admin/rendering/renderjob/{job.pk}/live/")
    assert answer.status_code == 200


# --- The queue ---


def test_the_queue_says_why_each_job_waits(artist: User, node: RenderNode) -> None:
    waiting = makers.queued(artist, task_name="waits for others")
    stranded = makers.queued(artist, task_name="no such engine")
    RenderJob.objects.filter(pk=stranded.pk).update(engine="maya")
    running = makers.queued(artist, task_name="renders now", priority=3)
    makers.claimed(node)
    text = office_of(operator("farm")).get("/admin/queue/").content.decode()
    for word in ("waits for others", "no such engine", "maya"):
        assert word in text, word
    assert "renders now" not in text
    assert running.pk != waiting.pk
    nobodys = office_of(make_user(username="no-group", is_staff=True))
    assert nobodys.get("/admin/queue/").status_code == 403
    assert Client().get("/admin/queue/").status_code == 302


def test_reasons_of_many_are_those_of_each_in_as_many_statements(
    artist: User, node: RenderNode, django_assert_num_queries: Any
) -> None:
    jobs = [makers.queued(artist) for _number in range(6)]
    RenderJob.objects.filter(pk=jobs[0].pk).update(engine="maya")
    NodeBlock.objects.create(job=jobs[1], node=node)
    RenderJob.objects.filter(pk=jobs[2].pk).update(min_cores=64)
    makers.claimed(node)
    jobs = list(RenderJob.objects.order_by("pk"))
    with django_assert_num_queries(5):
        found = waiting_reasons(jobs)
    assert {pk: reason.code for pk, reason in found.items()} == {
        job.pk: reason.code for job in jobs if (reason := waiting_reason(job))
    }
    assert {"no_node", "no_unblocked_node", "no_cores", "queue"} <= {reason.code for reason in found.values()}


# --- Moving ---


def test_a_job_is_moved_to_other_nodes(artist: User, node: RenderNode, second: RenderNode) -> None:
    job = makers.queued(artist, frames="1-2")
    attempt = makers.claimed(node)
    act(office_of(operator("farm")), "move", job)
    attempt.refresh_from_db()
    assert attempt.status == Attempt.Status.STOPPED
    frame = attempt.frames.get()
    assert (frame.status, frame.failures, frame.losses) == ("ready", 0, 0)
    from rendering.services import claims

    assert claims.claim(node=node, engine="blender") is None
    assert claims.claim(node=second, engine="blender") is not None
    assert JobLog.objects.filter(job=job, message__contains="node-1").exists()
    assert makers.audit() == {}
    assert unblock_nodes(job=job) == 1
    assert claims.claim(node=node, engine="blender") is not None


def test_where_there_is_no_other_node_it_stays(artist: User, node: RenderNode) -> None:
    job = makers.queued(artist)
    attempt = makers.claimed(node)
    with pytest.raises(NoNodeFits):
        move_job(job=job)
    attempt.refresh_from_db()
    assert attempt.status == Attempt.Status.RUNNING
    assert not NodeBlock.objects.exists()


def test_what_does_not_render_is_not_moved(artist: User, node: RenderNode, second: RenderNode) -> None:
    with pytest.raises(TransitionNotAllowed):
        move_job(job=makers.draft(artist))


@pytest.mark.parametrize("group", ["support", "finance", "auditor"])
@pytest.mark.parametrize(
    "name", ["pause", "cancel", "move", "retry-failed", "raise-priority", "unblock-nodes"]
)
def test_others_do_nothing_to_jobs(artist: User, node: RenderNode, group: str, name: str) -> None:
    job = makers.queued(artist)
    office = office_of(operator(group))
    assert office.post(f"/admin/rendering/renderjob/{job.pk}/{name}/", FORM).status_code == 403
    act(office, name.replace("-", "_"), job)
    job.refresh_from_db()
    assert (job.status, job.priority) == (Status.QUEUED, 1)


# --- Watching ---


def cookie_of(user: User) -> list[tuple[bytes, bytes]]:
    session = office_of(user).session
    return [
        (b"cookie", f"{settings.SESSION_COOKIE_NAME}={session.session_key}".encode()),
        (b"origin", b"http://localhost"),
    ]


@pytest.fixture(autouse=True)
def _one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sockets' calls run inside the transaction of the test."""
    monkeypatch.setattr("channels.db.close_old_connections", lambda: None)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.WS_RECHECK_SECONDS = 0.1
    monkeypatch.setattr(consumers, "LOOK_SECONDS", 0.05)


async def first_word(job_id: Any, headers: Any) -> str:
    socket = Socket(path=f"/ws/office/jobs/{job_id}", headers=headers)
    answer: str = (await socket.connect())["type"]
    # Or what watches the job outlives the test, and keeps a connection to the database.
    await socket.disconnect()
    return answer.removeprefix("websocket.")


@pytest.mark.parametrize("group", list(StaffGroup))
@in_a_loop
async def test_who_may_watch(artist: User, node: RenderNode, group: str) -> None:
    job = await sync_to_async(makers.queued)(artist)
    headers = await sync_to_async(lambda: cookie_of(operator(group)))()
    expected = "close" if group == "finance" else "accept"
    assert await first_word(job.pk, headers) == expected


@in_a_loop
async def test_strangers_and_other_pages_do_not_watch(artist: User, node: RenderNode, settings: Any) -> None:
    job = await sync_to_async(makers.queued)(artist)
    boss = await sync_to_async(lambda: operator("superuser"))()
    cookie, origin = await sync_to_async(cookie_of)(boss)
    owner = await sync_to_async(cookie_of)(artist)
    assert await first_word(job.pk, []) == "close"
    assert await first_word(job.pk, owner) == "close"
    assert await first_word(job.pk, [cookie, (b"origin", b"https://evil.example")]) == "close"
    assert await first_word(uuid4(), [cookie, origin]) == "close"
    settings.STAFF_SECOND_FACTOR = True
    assert await first_word(job.pk, [cookie, origin]) == "close"
    settings.STAFF_SECOND_FACTOR = False
    assert await first_word(job.pk, [cookie, origin]) == "accept"


@in_a_loop
async def test_logs_and_changes_arrive(artist: User, node: RenderNode, quick: None) -> None:
    job = await sync_to_async(makers.queued)(artist)
    headers = await sync_to_async(lambda: cookie_of(operator("farm")))()
    socket = Socket(path=f"/ws/office/jobs/{job.pk}", headers=headers)
    assert (await socket.connect())["type"] == "websocket.accept"
    attempt = await sync_to_async(makers.claimed)(node)
    await sync_to_async(Attempt.objects.filter(pk=attempt.pk).update)(log_tail="Fra:1 Sample 3", progress=30)
    heard = [await socket.hear(), await socket.hear()]
    while heard[-1]["event"] != "log" or heard[-1]["data"]["log"] != "Fra:1 Sample 3":
        heard.append(await socket.hear())
    assert heard[-1]["data"] == {"attempt": str(attempt.pk), "progress": 30, "log": "Fra:1 Sample 3"}
    assert "job" in {message["event"] for message in heard}
    await socket.disconnect()


@in_a_loop
async def test_who_is_blocked_stops_watching(artist: User, node: RenderNode, quick: None) -> None:
    job = await sync_to_async(makers.queued)(artist)
    watcher = await sync_to_async(lambda: operator("farm"))()
    socket = Socket(path=f"/ws/office/jobs/{job.pk}", headers=await sync_to_async(cookie_of)(watcher))
    assert (await socket.connect())["type"] == "websocket.accept"
    await sync_to_async(User.objects.filter(pk=watcher.pk).update)(is_active=False)
    answer = await socket.receive_output(timeout=20)
    while answer["type"] == "websocket.send":
        answer = await socket.receive_output(timeout=20)
    assert (answer["type"], answer["code"]) == ("websocket.close", consumers.REFUSED)
