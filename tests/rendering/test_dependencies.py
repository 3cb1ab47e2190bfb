"""Tasks that wait for others: the whole of them, or frame by frame."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks

from accounts.models import Notification, User
from common.errors import DomainError
from common.ids import new_id
from rendering.models import Frame, JobDependency, RenderJob, RenderNode
from rendering.services import claims
from rendering.services.attempts import lose
from rendering.services.dependencies import Wait, set_dependencies
from rendering.services.frames import release_all, show_ready
from rendering.services.idle_holds import expire_holds
from rendering.services.jobs import cancel_job, pause_job, resume_job
from tests.conftest import Client
from tests.racing import race, somebody_waits_for_a_lock, wait_for
from tests.rendering import makers

pytestmark = pytest.mark.django_db
Status = RenderJob.Status
Commits = Callable[[], AbstractContextManager[Any]]


@pytest.fixture
def commits(django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks) -> Commits:
    """What a transaction does after its commit is done at the end of the block."""
    return partial(django_capture_on_commit_callbacks, execute=True)


def waiting_for(*upstream: RenderJob, kind: str = "job", **wishes: Any) -> RenderJob:
    waits = [Wait(job.pk, kind) for job in upstream]
    return makers.queued(upstream[0].user, depends_on=waits, **wishes)


def numbers(job: RenderJob, status: str) -> list[int]:
    return list(
        Frame.objects.filter(job=job, status=status).order_by("number").values_list("number", flat=True)
    )


def claimed_of(job: RenderJob, node: RenderNode) -> Any:
    attempt = makers.claimed(node)
    assert attempt.job == job
    return attempt


# --- the whole of a task ---


def test_a_task_waits_for_another(owner_api: Client, owner: User, node: RenderNode, commits: Commits) -> None:
    first = makers.queued(owner, frames="1-2")
    body = {
        "task_name": "second",
        "scene_file_id": str(makers.scene(owner).pk),
        "frames": "1-3",
        "submit": True,
    }
    with commits():
        task = owner_api.post("/tasks", {**body, "depends_on": [{"task_id": str(first.pk)}]}).json()
        makers.advance_job(job_id=task["id"])
    second = RenderJob.objects.get(pk=task["id"])
    assert (second.status, numbers(second, "waiting")) == (Status.QUEUED, [1, 2, 3])

    with commits():
        makers.succeed(claimed_of(first, node))
    assert numbers(second, "waiting") == [1, 2, 3]
    with commits():
        makers.succeed(claimed_of(first, node))

    assert numbers(second, "ready") == [1, 2, 3]
    assert makers.claimed(node).job == second
    assert makers.audit() == {}


def test_what_is_completed_already_is_not_waited_for(owner: User, node: RenderNode, commits: Commits) -> None:
    first = makers.in_status(owner, Status.COMPLETED, node)
    with commits():
        second = waiting_for(first)
    assert numbers(second, "ready") == [1, 2, 3]
    assert makers.claimed(node).job == second


# --- frame by frame ---


def test_a_frame_waits_for_the_frame_of_its_number_in_all_steps(
    owner: User, node: RenderNode, commits: Commits
) -> None:
    first = makers.queued(owner, makers.scene(owner, cameras=["a", "b"]), frames="1-2", cameras=["a", "b"])
    with commits():
        second = waiting_for(first, kind="frame", frames="1-3")

    attempts = [claimed_of(first, node) for _frame in range(4)]
    released = []
    for attempt in attempts:
        with commits():
            makers.succeed(attempt)
        released.append(numbers(second, "ready"))

    # Steps in their order, frames in theirs: 1 and 2 of the first, then of the second. 3 has none of its number.
    assert released == [[], [], [1], [1, 2, 3]]


def test_a_failed_frame_lets_none_go(owner: User, node: RenderNode, commits: Commits) -> None:
    first = makers.queued(owner, frames="1-2")
    with commits():
        second = waiting_for(first, kind="frame", frames="1-2")
    with commits():
        makers.fail(claimed_of(first, node), is_permanent=True)
        makers.succeed(claimed_of(first, node))

    first.refresh_from_db()
    assert (first.status, numbers(second, "ready"), numbers(second, "waiting")) == (Status.FAILED, [2], [1])


# --- ends without being completed ---


@pytest.mark.parametrize("end", ["cancelled", "failed", "dead already"])
def test_dependents_wait_on_and_their_owner_is_told(
    owner_api: Client, owner: User, node: RenderNode, commits: Commits, end: str
) -> None:
    first = makers.queued(owner, frames="1", task_name="first")
    if end == "dead already":
        cancel_job(job=first)
    with commits():
        second = waiting_for(first, task_name="second")
    with commits():
        if end == "cancelled":
            cancel_job(job=first)
        elif end == "failed":
            makers.fail(claimed_of(first, node), is_permanent=True)

    assert numbers(second, "waiting") == [1, 2, 3]
    news = Notification.objects.get(user=owner)
    assert (news.level, news.params) == ("warning", {"task": "second", "other": "first"})
    assert second.logs.filter(log_level="WARNING").count() == 1
    body = owner_api.get(f"/tasks/{second.pk}/dependencies").json()
    assert [(wait["task_id"], wait["kind"]) for wait in body["dependencies"]] == [(str(first.pk), "job")]
    with commits():
        assert owner_api.delete(f"/tasks/{second.pk}/dependencies/{first.pk}").json() == {"success": True}
    assert numbers(second, "ready") == [1, 2, 3]
    assert owner_api.delete(f"/tasks/{second.pk}/dependencies/{first.pk}").status_code == 404


# --- set and dropped ---


def test_what_no_node_has_yet_waits_from_now_on(
    owner_api: Client, owner: User, node: RenderNode, commits: Commits
) -> None:
    second = makers.queued(owner, frames="1-3")
    makers.claimed(node)
    first = makers.queued(owner, frames="1")

    with commits():
        body = owner_api.put(
            f"/tasks/{second.pk}/dependencies", {"depends_on": [{"task_id": first.pk, "kind": "frame"}]}
        )

    assert body.json()["dependencies"][0]["status_name"] == "queued"
    assert (numbers(second, "running"), numbers(second, "waiting")) == ([1], [2, 3])
    with commits():
        assert owner_api.put(f"/tasks/{second.pk}/dependencies", {"depends_on": []}).json()["total"] == 0
    assert numbers(second, "ready") == [2, 3]


@pytest.mark.parametrize("way_back", ["retried", "failed", "lost", "resumed"])
def test_what_comes_back_to_the_nodes_waits_for_what_was_set_meanwhile(
    owner_api: Client, owner: User, node: RenderNode, commits: Commits, way_back: str
) -> None:
    job = makers.queued(owner, frames="1-2")
    attempt = makers.claimed(node)
    if way_back == "retried":
        makers.fail(attempt, is_permanent=True)
    other = makers.queued(owner, frames="1")
    path = f"/tasks/{job.pk}"
    assert owner_api.put(f"{path}/dependencies", {"depends_on": [{"task_id": other.pk}]}).status_code == 200

    with commits():
        match way_back:
            case "retried":
                assert owner_api.post(f"{path}/retry").status_code == 200
            case "failed":
                makers.fail(attempt)
            case "lost":
                lose(attempt_id=attempt.pk)
            case "resumed":
                assert owner_api.put(f"{path}/pause").status_code == 200
                assert owner_api.put(f"{path}/resume").status_code == 200

    assert numbers(job, "waiting") == [1, 2]
    with commits():
        makers.succeed(claimed_of(other, node))
    assert numbers(job, "ready") == [1, 2]
    assert makers.audit() == {}


def test_other_peoples_tasks_are_not_there(
    owner_api: Client, owner: User, stranger: User, node: RenderNode
) -> None:
    foreign, job = makers.draft(stranger), makers.draft(owner)
    gone = makers.draft(owner)
    owner_api.delete(f"/tasks/{gone.pk}")
    for other in (foreign.pk, gone.pk, new_id()):
        waits = {"depends_on": [{"task_id": str(other)}]}
        assert owner_api.put(f"/tasks/{job.pk}/dependencies", waits).status_code == 404
        assert owner_api.post("/tasks", {"task_name": "x", **waits}).status_code == 404
        assert owner_api.post(f"/tasks/{job.pk}/clone", waits).status_code == 404
    assert not JobDependency.objects.exists()
    assert RenderJob.objects.count() == 3


def test_a_circle_is_refused(owner_api: Client, owner: User, node: RenderNode) -> None:
    jobs = [makers.draft(owner) for _number in range(3)]

    def wait(job: RenderJob, on: RenderJob) -> Any:
        return owner_api.put(f"/tasks/{job.pk}/dependencies", {"depends_on": [{"task_id": on.pk}]})

    assert wait(jobs[0], jobs[1]).status_code == wait(jobs[1], jobs[2]).status_code == 200
    for job, on in ((jobs[2], jobs[0]), (jobs[1], jobs[0]), (jobs[0], jobs[0])):
        answer = wait(job, on)
        assert (answer.status_code, answer.json()["code"]) == (409, "dependency_cycle")
    assert JobDependency.objects.count() == 2
    assert wait(jobs[0], jobs[2]).status_code == 200


def test_dependencies_cost_the_same_however_many(
    owner_api: Client, owner: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    job = makers.draft(owner)
    others = [{"task_id": makers.draft(owner).pk} for _number in range(6)]
    owner_api.put(f"/tasks/{job.pk}/dependencies", {"depends_on": others[:1]})
    path = f"/tasks/{job.pk}/dependencies"
    with django_assert_max_num_queries(5) as few:
        owner_api.get(path)
    owner_api.put(path, {"depends_on": others})
    with django_assert_max_num_queries(5) as many:
        assert owner_api.get(path).json()["total"] == 6
    assert len(few) == len(many)


# --- at the same moment ---


@pytest.mark.django_db(transaction=True)
def test_a_circle_closed_from_both_sides_at_once(owner: User, node: RenderNode) -> None:
    for _time in range(5):
        jobs = [makers.draft(owner), makers.draft(owner)]

        def close(number: int, jobs: list[RenderJob] = jobs) -> str:
            try:
                set_dependencies(job=jobs[number], waits=[Wait(jobs[1 - number].pk)], user=owner)
            except DomainError as error:
                return error.code
            return ""

        assert sorted(race(2, close)) == ["", "dependency_cycle"]


@pytest.mark.django_db(transaction=True)
def test_the_last_two_reasons_to_wait_end_at_once(owner: User, node: RenderNode) -> None:
    for _time in range(3):
        first, other = makers.queued(owner, frames="1"), makers.queued(owner, frames="1")
        job = waiting_for(first, other, frames="1-2")
        attempts = [makers.claimed(node), makers.claimed(node)]

        def end(number: int, attempts: list[Any] = attempts) -> None:
            makers.succeed(attempts[number])

        race(2, end)

        assert numbers(job, "ready") == [1, 2]
        cancel_job(job=RenderJob.objects.get(pk=job.pk))
    assert makers.audit() == {}


@pytest.mark.django_db(transaction=True)
def test_queued_while_what_it_waits_for_is_completed(owner: User, node: RenderNode) -> None:
    for _time in range(3):
        first = makers.queued(owner, frames="1")
        attempt = makers.claimed(node)
        job = makers.submit_job(job=makers.draft(owner, depends_on=[Wait(first.pk)]))

        def act(number: int, attempt: Any = attempt, job: RenderJob = job) -> None:
            if number:
                makers.succeed(attempt)
            else:
                makers.advance_job(job_id=job.pk)

        race(2, act)

        assert numbers(job, "ready") == [1, 2, 3]
        cancel_job(job=RenderJob.objects.get(pk=job.pk))
    assert makers.audit() == {}


@pytest.mark.django_db(transaction=True)
def test_a_release_that_waited_for_the_job_sees_what_it_waits_for_now(owner: User, node: RenderNode) -> None:
    first, other = makers.queued(owner, frames="1"), makers.queued(owner, frames="1")
    job = waiting_for(first)
    RenderJob.objects.filter(pk=first.pk).update(status=Status.COMPLETED)  # its frames are not released yet

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            set_dependencies(job=job, waits=[Wait(other.pk)], user=owner)
            released = pool.submit(race, 1, lambda _number: release_all())
            wait_for(somebody_waits_for_a_lock)
        released.result()

    assert numbers(job, "waiting") == [1, 2, 3]


def test_what_a_dead_process_did_not_release_is_released(
    owner: User, node: RenderNode, commits: Commits
) -> None:
    first = makers.queued(owner, frames="1")
    with commits():
        job = waiting_for(first)
    makers.succeed(claimed_of(first, node))  # nobody does what follows its commit
    assert claims.claim(node=node, engine="blender") is None

    release_all()

    assert numbers(job, "ready") == [1, 2, 3]
    assert makers.claimed(node).job == job


@pytest.mark.django_db(transaction=True)
def test_a_job_goes_on_while_the_one_it_waits_for_is_cancelled(owner: User, node: RenderNode) -> None:
    """The cancel has the money and tells who waits; who goes on wants that money: neither holds the other up."""
    first = makers.queued(owner, frames="1")
    second = makers.queued(owner, frames="1", depends_on=[Wait(first.pk)])
    pause_job(job=second)
    expire_holds(now=timezone.now() + timedelta(days=365))
    paused = RenderJob.objects.get(pk=second.pk)

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            cancel_job(job=first)
            resume = pool.submit(race, 1, lambda _number: resume_job(job=paused))
            wait_for(somebody_waits_for_a_lock)
        resume.result()

    assert set(RenderJob.objects.values_list("status", flat=True)) == {Status.CANCELLED, Status.QUEUED}
    assert makers.audit() == {}


@pytest.mark.django_db(transaction=True)
def test_a_job_is_paused_while_the_one_it_waits_for_fails(owner: User, node: RenderNode) -> None:
    """Both give back a place of their owner, and the one that fails tells the other."""
    first = makers.queued(owner, frames="1")
    second = makers.queued(owner, frames="1-2", depends_on=[Wait(first.pk)])
    Frame.objects.filter(job=second, number=1).update(status="ready")
    show_ready(second)
    running, other = makers.claimed(node), makers.claimed(node)
    assert (running.job_id, other.job_id) == (first.pk, second.pk)

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            makers.fail(running, is_permanent=True)
            pause = pool.submit(race, 1, lambda _number: pause_job(job=RenderJob.objects.get(pk=second.pk)))
            wait_for(somebody_waits_for_a_lock)
        pause.result()

    other.refresh_from_db()
    assert other.status == "stopped"
    assert makers.audit() == {}
