"""How many frames go into one run of the program: as the artist says, or as the farm chooses by their time."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from drives.models import File
from rendering.engines import ENGINES
from rendering.models import Attempt, ConcurrencyLimit, Frame, RenderJob, RenderNode, RenderStep
from rendering.node import Node
from rendering.services import claims
from rendering.services.admission import advance_job
from rendering.services.chunks import chunk_of
from tests.conftest import Client
from tests.factories import make_user
from tests.racing import race
from tests.rendering import makers
from tests.rendering.standins import stand_in

pytestmark = pytest.mark.django_db
QUICK = """
print("yuntu_loaded")
for number in spec["frames"]: done(f"{number:04d}.png", number=number)
"""


@pytest.fixture(autouse=True)
def target(settings: Settings) -> None:
    settings.RENDER_CHUNK_SECONDS = 10


def numbers_of(attempt: Attempt) -> list[int]:
    return sorted(attempt.frames.values_list("number", flat=True))


def claimed_frames(node: RenderNode, count: int) -> list[int]:
    """How many frames each of the next claims gets."""
    return [len(numbers_of(makers.claimed(node))) for _number in range(count)]


def rendered_by(node: RenderNode, seconds: Sequence[float], loading: float = 0) -> list[int]:
    """How many frames attempts get one after the other, where a frame takes so many seconds in each, after loading."""
    sizes = []
    for each in seconds:
        attempt = makers.claimed(node)
        sizes.append(len(numbers_of(attempt)))
        makers.succeed(attempt, seconds=loading + each * sizes[-1], loading_seconds=loading)
    return sizes


def more_nodes(count: int) -> list[RenderNode]:
    facts = {"host": "localhost", "engines": {"blender": ["5.0.1"]}, "heartbeat_at": timezone.now()}
    return [RenderNode.objects.create(name=f"more-{number}", slots=1, **facts) for number in range(count)]


@pytest.fixture
def alone(node: RenderNode) -> RenderNode:
    """The one node of a farm, with one slot."""
    RenderNode.objects.update(slots=1)
    node.refresh_from_db()
    return node


# --- by the artist, by the farm ---


def test_quick_frames_lead_to_longer_runs(
    owner_api: Client,
    scene: File,
    worker: Node,
    monkeypatch: pytest.MonkeyPatch,
    picture: bytes,
    settings: Settings,
) -> None:
    settings.RENDER_CHUNK_SECONDS = 600
    stand_in(monkeypatch, program=QUICK, picture=picture)
    wanted = {"task_name": "shot", "scene_file_id": str(scene.pk), "frames": "1-20", "submit": True}
    task = owner_api.post("/tasks", wanted).json()
    assert task["chunk_size"] is None
    advance_job(job_id=UUID(task["id"]))

    worker.work("blender")

    runs = owner_api.get(f"/tasks/{task['id']}/attempts").json()["attempts"]
    assert sorted(run["frames"] for run in runs) == [
        [1], [2, 3], [4, 5, 6, 7], [8, 9, 10, 11, 12, 13, 14, 15], [16, 17, 18, 19, 20],
    ]  # fmt: skip
    assert owner_api.get(f"/tasks/{task['id']}").json()["status"] == 5
    assert makers.audit() == {}


def test_a_number_stays_fixed(owner_api: Client, owner: User, alone: RenderNode) -> None:
    job = makers.queued(owner, frames="1-12", chunk_size=3)
    assert owner_api.get(f"/tasks/{job.pk}").json()["chunk_size"] == 3
    assert rendered_by(alone, [0.01, 0.01, 300, 300]) == [3, 3, 3, 3]


def test_slow_frames_stay_at_one(owner: User, alone: RenderNode) -> None:
    makers.queued(owner, frames="1-4")
    assert rendered_by(alone, [10.1, 3600, 11, 60]) == [1, 1, 1, 1]


def test_runs_are_as_long_as_their_frames_let_them(owner: User, alone: RenderNode) -> None:
    """By twice at most at a time; a run that took too long shortens the next at once."""
    makers.queued(owner, frames="1-100")
    assert rendered_by(alone, [0.1, 0.1, 2, 2, 0.1, 5, 0.5]) == [1, 2, 4, 6, 6, 12, 3]
    assert RenderStep.objects.get().chunk_size == 6


def test_a_program_that_loads_for_minutes_is_not_started_for_each_frame(
    owner: User, alone: RenderNode
) -> None:
    """Its frames together take as long as it loads, and no longer."""
    makers.queued(owner, frames="1-100")
    assert rendered_by(alone, [10, 10, 10, 10, 10, 60], loading=120) == [1, 2, 4, 8, 13, 13]
    assert RenderStep.objects.get().chunk_size == 3


def test_slow_frames_stay_at_one_however_long_their_program_loads(owner: User, alone: RenderNode) -> None:
    makers.queued(owner, frames="1-4")
    assert rendered_by(alone, [200, 121, 3600], loading=120) == [1, 1, 1]


def test_a_short_run_of_few_frames_shortens_nothing(owner: User, alone: RenderNode) -> None:
    """What it took was the start of its program."""
    makers.queued(owner, frames="1-60")
    RenderStep.objects.update(chunk_size=20)
    Frame.objects.filter(number__gt=1).update(status="waiting")
    assert rendered_by(alone, [9]) == [1]
    assert RenderStep.objects.get().chunk_size == 20


def test_each_step_has_frames_of_its_own_time(owner: User, alone: RenderNode) -> None:
    file = makers.scene(owner, cameras=["a", "b"])
    makers.queued(owner, file, frames="1-7", cameras=["a", "b"])
    assert rendered_by(alone, [0.1, 0.1, 0.1, 60, 60]) == [1, 2, 4, 1, 1]


def test_of_an_engine_that_tells_no_single_frames_nothing_is_known(
    owner: User, alone: RenderNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(ENGINES["blender"]), "tells_frames", False)
    makers.queued(owner, frames="1-3")
    assert rendered_by(alone, [0.1, 0.1, 0.1]) == [1, 1, 1]


def test_the_farm_may_be_told_to_take_single_frames(
    owner: User, alone: RenderNode, settings: Settings
) -> None:
    settings.RENDER_CHUNK_SECONDS = 0
    makers.queued(owner, frames="1-3")
    assert rendered_by(alone, [0.001, 0, 0.001]) == [1, 1, 1]


# --- among nodes and owners ---


@pytest.mark.django_db(transaction=True)
def test_three_nodes_share_what_is_left(owner: User, alone: RenderNode) -> None:
    makers.queued(owner, frames="1-30")
    RenderStep.objects.update(chunk_size=100)
    nodes = [alone, *more_nodes(2)]

    shares = race(3, lambda number: numbers_of(makers.claimed(nodes[number])))

    taken = [number for share in shares for number in share]
    assert len(taken) == len(set(taken))
    assert [len(share) <= 10 for share in shares] == [True] * 3
    assert makers.audit() == {}


def test_what_is_left_is_shared_but_for_crumbs(owner: User, alone: RenderNode) -> None:
    makers.queued(owner, frames="1-31")
    RenderStep.objects.update(chunk_size=20)
    more_nodes(2)
    ConcurrencyLimit.objects.update(maximum=None)
    assert claimed_frames(alone, 7) == [11, 7, 5, 3, 2, 2, 1]


def test_who_may_have_one_slot_shares_with_nobody(owner: User, alone: RenderNode) -> None:
    makers.queued(owner, frames="1-30")
    RenderStep.objects.update(chunk_size=20)
    more_nodes(2)
    ConcurrencyLimit.objects.update(maximum=1)
    assert claimed_frames(alone, 1) == [20]


def test_nodes_that_are_away_take_no_share(owner: User, alone: RenderNode) -> None:
    makers.queued(owner, frames="1-30")
    RenderStep.objects.update(chunk_size=20)
    away, draining, other = more_nodes(3)
    RenderNode.objects.filter(pk=away.pk).update(heartbeat_at=timezone.now() - timedelta(hours=1))
    RenderNode.objects.filter(pk=draining.pk).update(state="draining")
    RenderNode.objects.filter(pk=other.pk).update(engines={"maya": ["2025"]})
    assert claimed_frames(alone, 1) == [20]


def test_three_frames_of_somebody_else_wait_for_one_run(owner: User, alone: RenderNode) -> None:
    """Of frames of a second: one that is rendered in any case, and ten that go with it."""
    makers.queued(owner, frames="1-150")
    rendered_by(alone, [1] * 5)
    running = makers.claimed(alone)
    assert len(numbers_of(running)) == 11
    stranger = make_user(username="later", money="5")
    later = makers.queued(stranger, frames="1-3")

    makers.succeed(running, seconds=11)

    assert makers.claimed(alone).job_id == later.pk


@pytest.mark.django_db(transaction=True)
def test_a_claim_of_many_frames_locks_no_others(owner: User, stranger: User, alone: RenderNode) -> None:
    """Another node would pass over them, and think that there is nothing to do."""
    for user in (owner, owner, stranger):
        makers.queued(user, frames="1-30")
    RenderStep.objects.update(chunk_size=20)

    def free_frames(_number: int) -> int:
        with transaction.atomic():
            return len(Frame.objects.select_for_update(skip_locked=True, of=("self",)))

    with transaction.atomic():
        assert claims.take_frames(alone, "blender") is not None
        assert race(1, free_frames) == [70]


# --- what fails ---


def test_of_a_run_that_fails_only_the_frame_at_work_is_to_blame(
    owner: User, worker: Node, monkeypatch: pytest.MonkeyPatch, picture: bytes
) -> None:
    program = """
for number in spec["frames"]:
    if number == 3:
        print("yuntu_error: missing_texture wood.png", flush=True)
        raise SystemExit(2)
    done(f"{number:04d}.png", number=number)
"""
    stand_in(monkeypatch, program=program, picture=picture)
    job = makers.queued(owner, frames="1-6")
    RenderStep.objects.update(chunk_size=6)

    worker.work("blender")

    frames = Frame.objects.order_by("number").values_list("number", "status", "failures")
    assert list(frames) == [
        (1, "done", 0), (2, "done", 0), (3, "failed", 1), (4, "done", 0), (5, "done", 0), (6, "done", 0),
    ]  # fmt: skip
    job.refresh_from_db()
    assert (job.status_name, job.done_frames, job.failed_frames) == ("failed", 5, 1)
    assert sorted(numbers_of(attempt) for attempt in Attempt.objects.all()) == [[1, 2, 3, 4, 5, 6], [4, 5, 6]]
    assert makers.audit() == {}


def test_of_pictures_that_are_broken_the_others_land(
    owner: User, worker: Node, monkeypatch: pytest.MonkeyPatch, picture: bytes
) -> None:
    program = """
for number in spec["frames"]:
    done(f"{number:04d}.png", content=picture[:60] if number == 2 else picture, number=number)
"""
    stand_in(monkeypatch, program=program, picture=picture)
    makers.queued(owner, frames="1-4", chunk_size=4)

    worker.work("blender")

    frames = Frame.objects.order_by("number").values_list("status", "failures")
    assert list(frames) == [("done", 0), ("failed", 3), ("done", 0), ("done", 0)]
    assert makers.audit() == {}


def test_a_job_that_waits_for_money_asks_for_its_next_run(owner: User, alone: RenderNode) -> None:
    job = makers.queued(owner, frames="1-30")
    assert chunk_of(job) == 1
    rendered_by(alone, [0.1, 0.1])
    assert chunk_of(RenderJob.objects.get()) == 4
