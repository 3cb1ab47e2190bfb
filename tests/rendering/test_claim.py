"""Which frame a node gets."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from psycopg._queries import MAX_CACHED_STATEMENT_LENGTH

from accounts.models import User
from rendering.models import Attempt, Frame, NodeBlock, RenderJob, RenderNode
from rendering.services import claims
from rendering.services.frames import stop_strays, wait_for_claims
from rendering.services.jobs import cancel_job, pause_job, resume_job
from tests.factories import make_user
from tests.racing import race, somebody_waits_for_a_lock, wait_for
from tests.rendering import makers

pytestmark = pytest.mark.django_db
Status = RenderJob.Status


def second_node(**fields: object) -> RenderNode:
    facts = {"host": "localhost", "engines": {"blender": ["5.0.1"]}, "heartbeat_at": timezone.now(), **fields}
    return RenderNode.objects.create(name="node-2", **facts)


def owners_of_claims(node: RenderNode, count: int) -> list[str]:
    return [makers.claimed(node).job.user.username or "" for _number in range(count)]


def test_a_claim_gives_a_lease_on_one_frame(owner: User, node: RenderNode) -> None:
    job = makers.queued(owner, frames="5-7")

    attempt = makers.claimed(node)

    now = timezone.now()
    assert (attempt.job_id, attempt.node, attempt.status) == (job.pk, node, "running")
    assert timedelta(seconds=2) < attempt.lease_expires_at - now <= settings.RENDER_LEASE
    frame = Frame.objects.get(status="running")
    assert (frame.number, frame.attempt) == (5, attempt)
    assert list(frame.attempts.all()) == [attempt]
    job.refresh_from_db()
    assert job.status == Status.RENDERING
    assert job.started_at is not None


def test_nothing_to_do(node: RenderNode) -> None:
    assert claims.claim(node=node, engine="blender") is None


def test_the_first_claim_alone_starts_the_job(owner: User, node: RenderNode) -> None:
    job = makers.queued(owner)
    makers.claimed(node)
    job.refresh_from_db()
    started = job.started_at
    makers.claimed(node)
    pause_job(job=job)
    resume_job(job=job)
    makers.claimed(node)

    job.refresh_from_db()
    assert (job.status, job.started_at) == (Status.RENDERING, started)


def test_frames_by_number(owner: User, node: RenderNode) -> None:
    makers.queued(owner, frames="10,2-4")
    assert [makers.frame_of(makers.claimed(node)) for _number in range(4)] == [2, 3, 4, 10]
    assert claims.claim(node=node, engine="blender") is None


def test_urgent_jobs_first(owner: User, stranger: User, node: RenderNode) -> None:
    low, high, urgent, normal = (
        makers.queued(user, frames="1", priority=priority)
        for user, priority in ((stranger, 0), (owner, 2), (owner, 3), (owner, 1))
    )
    found = [makers.claimed(node).job_id for _number in range(4)]
    assert found == [urgent.pk, high.pk, normal.pk, low.pk]


def test_who_has_nothing_running_comes_first(owner: User, stranger: User, node: RenderNode) -> None:
    makers.queued(owner, frames="1-10")
    makers.queued(stranger, frames="1-2")
    third = make_user(username="third", money="5")
    makers.queued(third, frames="1-2")

    assert owners_of_claims(node, 3) == ["owner", "stranger", "third"]
    assert sorted(owners_of_claims(node, 3)) == ["owner", "stranger", "third"]
    assert owners_of_claims(node, 2) == ["owner", "owner"]


def test_shares_are_of_owners_not_of_jobs(owner: User, stranger: User, node: RenderNode) -> None:
    for _number in range(3):
        makers.queued(owner, frames="1-2")
    makers.queued(stranger, frames="1-3")

    names = owners_of_claims(node, 6)

    assert (names.count("owner"), names.count("stranger")) == (3, 3)


def test_age_decides_last(owner: User, node: RenderNode) -> None:
    first, second = makers.queued(owner, frames="1"), makers.queued(owner, frames="1")
    RenderJob.objects.filter(pk=first.pk).update(submitted_at=timezone.now())

    assert [makers.claimed(node).job_id for _number in range(2)] == [second.pk, first.pk]


def test_only_frames_of_the_engine(owner: User, node: RenderNode) -> None:
    job = makers.queued(owner, frames="1")
    RenderJob.objects.filter(pk=job.pk).update(engine="maya", engine_version="")

    assert claims.claim(node=node, engine="blender") is None
    assert claims.claim(node=node, engine="maya") is not None


@pytest.mark.parametrize(
    "status", [status for status in Status if status not in RenderJob.CLAIMABLE_STATUSES]
)
def test_jobs_that_do_not_render_give_nothing(owner: User, node: RenderNode, status: Status) -> None:
    makers.in_status(owner, status, node)
    assert claims.claim(node=node, engine="blender") is None


def test_a_frame_that_is_not_due_waits(owner: User, node: RenderNode) -> None:
    makers.queued(owner, frames="1-2")
    Frame.objects.filter(number=1).update(due_at=timezone.now() + timedelta(minutes=1))

    assert makers.frame_of(makers.claimed(node)) == 2
    assert claims.claim(node=node, engine="blender") is None
    Frame.objects.filter(number=1).update(due_at=timezone.now())
    assert makers.frame_of(makers.claimed(node)) == 1


def test_jobs_that_wait_do_not_hide_those_behind_them(owner: User, node: RenderNode) -> None:
    for _number in range(3):
        makers.queued(owner, frames="1", priority=3)
    Frame.objects.update(due_at=timezone.now() + timedelta(minutes=1))
    behind = makers.queued(owner, frames="1", priority=0)

    assert makers.claimed(node).job_id == behind.pk


def test_a_frame_that_failed_here_is_left_to_another_node_for_a_minute(owner: User, node: RenderNode) -> None:
    other = second_node()
    makers.queued(owner, frames="1")
    attempt = makers.claimed(node)
    makers.fail(attempt)

    assert claims.claim(node=node, engine="blender") is None
    again = makers.claimed(other)
    makers.fail(again)
    assert claims.claim(node=other, engine="blender") is None
    Attempt.objects.filter(pk=attempt.pk).update(ended_at=timezone.now() - timedelta(seconds=61))
    assert makers.claimed(node).frames.get().failures == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"state": "draining"},
        {"state": "disabled"},
        {"rests_until": timezone.now() + timedelta(hours=1)},
        {"engines": {"maya": ["2025"]}},
        {"engines": {"blender": ["4.2.0"]}},
        {"tags": []},
        {"cores": 1},
        {"memory_size": 1 << 30},
        {"heartbeat_at": timezone.now() - timedelta(hours=1)},
    ],
)
def test_without_another_node_it_is_tried_again_here(
    owner: User, node: RenderNode, fields: dict[str, object]
) -> None:
    able = {"cores": 4, "memory_size": 4 << 30, "tags": ["gpu"]}
    RenderNode.objects.filter(pk=node.pk).update(**able)
    node.refresh_from_db()
    second_node(**{**able, **fields})
    makers.queued(owner, frames="1", min_cores=2, min_memory_size=2 << 30, node_tags=["gpu"])
    makers.fail(makers.claimed(node))

    assert makers.frame_of(makers.claimed(node)) == 1


def test_a_node_that_is_kept_from_the_job_is_no_other_node(owner: User, node: RenderNode) -> None:
    other = second_node()
    job = makers.queued(owner, frames="1")
    makers.fail(makers.claimed(node))
    assert claims.claim(node=node, engine="blender") is None

    NodeBlock.objects.create(job=job, node=other)
    assert makers.frame_of(makers.claimed(node)) == 1


def test_the_cost_of_a_claim_does_not_grow(owner: User, node: RenderNode) -> None:
    makers.queued(owner, frames="1-2")
    makers.claimed(node)
    with CaptureQueriesContext(
        connection,
    ) as few:
        makers.claimed(node)
    for _number in range(5):
        makers.queued(owner, frames="1-15")
    makers.claimed(node)
    with CaptureQueriesContext(connection) as many:
        makers.claimed(node)

    assert len(few) == len(many) == 1
    assert len(claims.CLAIM) <= MAX_CACHED_STATEMENT_LENGTH


@pytest.mark.django_db(transaction=True)
def test_eight_slots_share_fifty_frames(owner: User, stranger: User, node: RenderNode) -> None:
    makers.queued(owner, frames="1-30")
    makers.queued(stranger, frames="1-20")

    def drain(_number: int) -> list[Attempt]:
        found = []
        while attempt := claims.claim(node=node, engine="blender"):
            found.append(attempt)
        return found

    shares = race(8, drain)

    claimed = [attempt for share in shares for attempt in share]
    assert len(claimed) == Attempt.objects.count() == 50
    assert Frame.objects.filter(status="running").values("attempt").distinct().count() == 50
    assert makers.audit() == {}


@pytest.mark.django_db(transaction=True)
def test_a_pause_in_the_middle_of_claims_leaves_nothing_running(owner: User, node: RenderNode) -> None:
    """A claim that saw the job as it was before the pause, and takes its frame after it."""
    for _round in range(6):
        job = makers.queued(owner, frames="1-12")

        def act(number: int, job: RenderJob = job) -> None:
            if number == 0:
                pause_job(job=RenderJob.objects.get(pk=job.pk))
            else:
                claims.claim(node=node, engine="blender")

        race(8, act)
        assert not Attempt.objects.filter(job=job, status="running").exists()
        assert not Frame.objects.filter(job=job, status="running").exists()
        assert makers.audit() == {}


@pytest.mark.django_db(transaction=True)
def test_a_claim_that_ends_after_the_pause(owner: User, node: RenderNode) -> None:
    """The same by hand: the pause waits for the claim, which puts the frame back; it counts for nothing."""
    job = makers.queued(owner, frames="1-2")
    makers.claimed(node)
    running = RenderJob.objects.get(pk=job.pk)

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            assert claims.take_frames(node, "blender") is not None
            pause = pool.submit(race, 1, lambda _number: pause_job(job=running))
            wait_for(somebody_waits_for_a_lock)
            assert RenderJob.objects.get(pk=job.pk).status == Status.PAUSED
        pause.result()

    assert set(Attempt.objects.values_list("status", flat=True)) == {"stopped"}
    assert set(Frame.objects.values_list("status", "failures", "losses")) == {("ready", 0, 0)}
    assert makers.audit() == {}


@pytest.mark.django_db(transaction=True)
def test_a_claim_that_saw_the_job_before_its_pause_takes_nothing(owner: User, node: RenderNode) -> None:
    """It counts what it may take by the steps, which are locked until then."""
    job = makers.queued(owner, frames="1-2", chunk_size=None)

    def pause(_number: int) -> None:
        RenderJob.objects.filter(pk=job.pk).update(status=Status.PAUSED, pause_reason="user")
        wait_for_claims(job)

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("LOCK TABLE rendering_renderstep IN ACCESS EXCLUSIVE MODE")
            claim = pool.submit(race, 1, lambda _number: claims.claim(node=node, engine="blender"))
            wait_for(somebody_waits_for_a_lock)
            race(1, pause)
        claim.result()

    assert not Attempt.objects.exists()
    assert set(Frame.objects.values_list("status", flat=True)) == {"ready"}
    assert makers.audit() == {}


@pytest.mark.django_db(transaction=True)
def test_a_claim_passes_by_a_job_that_is_being_stopped(owner: User, stranger: User, node: RenderNode) -> None:
    """It sees the job as it was, locked by whoever stops what runs of it: it neither waits nor takes a frame."""
    job, other = makers.queued(owner, frames="1"), makers.queued(stranger, frames="1", priority=0)

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            RenderJob.objects.select_for_update().get(pk=job.pk)
            claim = pool.submit(race, 1, lambda _number: makers.claimed(node))
            with pytest.raises(TimeoutError):
                claim.result(timeout=0.2)
            # Each look lets go of the frame again.
            assert len(Frame.objects.select_for_update().filter(job=job)) == 1
            RenderJob.objects.filter(pk=job.pk).update(status=Status.PAUSED, pause_reason="user")
        [attempt] = claim.result()

    assert (attempt.job_id, Attempt.objects.count()) == (other.pk, 1)


@pytest.mark.django_db(transaction=True)
def test_a_pause_that_comes_to_its_frames_late_leaves_what_goes_on(owner: User, node: RenderNode) -> None:
    """The job was resumed before the pause had stopped anything; then a frame is claimed at every moment of it."""
    job = makers.queued(owner, frames="1")
    before = makers.claimed(node)
    RenderJob.objects.filter(pk=job.pk).update(status=Status.PAUSED, pause_reason="user")
    paused = RenderJob.objects.get(pk=job.pk)

    resume_job(job=RenderJob.objects.get(pk=job.pk))
    before.refresh_from_db()
    assert before.status == "stopped"
    now = makers.claimed(node)

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            RenderJob.objects.select_for_update(no_key=True).get(pk=job.pk)
            late = pool.submit(race, 1, lambda _number: stop_strays(paused))
            wait_for(somebody_waits_for_a_lock)
            race(1, lambda _number: claims.take_frames(node, "blender"))
        late.result()

    assert Attempt.objects.get(status="running") == now
    assert makers.audit() == {}
    makers.succeed(now)
    job.refresh_from_db()
    assert (job.status, makers.audit()) == (Status.COMPLETED, {})


@pytest.mark.django_db(transaction=True)
def test_a_claim_does_not_wait_for_the_job_with_its_frame_locked(owner: User, node: RenderNode) -> None:
    """It would wait in a circle: a cancel has the job locked and waits for the frame."""
    job = makers.queued(owner, frames="1-2")
    makers.claimed(node)

    def take(_number: int) -> int:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '3s'")
        taken = claims.take_frames(node, "blender")
        assert taken is not None
        return makers.frame_of(taken.attempt)

    with transaction.atomic():
        RenderJob.objects.select_for_update(no_key=True).get(pk=job.pk)
        assert race(1, take) == [2]


@pytest.mark.django_db(transaction=True)
def test_a_cancel_in_the_middle_of_claims_leaves_nothing_running(owner: User, node: RenderNode) -> None:
    for _round in range(6):
        job = makers.queued(owner, frames="1-12")

        def act(number: int, job: RenderJob = job) -> None:
            if number == 0:
                cancel_job(job=RenderJob.objects.get(pk=job.pk))
            else:
                claims.claim(node=node, engine="blender")

        race(8, act)
        assert not Attempt.objects.filter(job=job, status="running").exists()
        assert set(Frame.objects.filter(job=job).values_list("status", flat=True)) == {"cancelled"}
        assert makers.money(owner)[1] == 0
        assert makers.audit() == {}
