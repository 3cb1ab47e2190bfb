"""More to render of a task: what failed once more, further frames; each charged once."""

from decimal import Decimal
from importlib import import_module
from typing import Any

import pytest
from django.db import connection
from pytest_django import DjangoCaptureOnCommitCallbacks

from accounts.models import TeamMember, User
from accounts.services.teams import create_team
from billing.models import Bill, PriceRule
from common.errors import DomainError, NotVisible
from drives.models import File
from rendering.errors import JobRunning
from rendering.models import Frame, NodeBlock, RenderJob, RenderNode
from rendering.services import claims
from rendering.services.frames import release_all
from rendering.services.jobs import cancel_job, delete_job, pause_job
from rendering.services.limits import limit_licence
from rendering.services.reopening import add_frames, retry_frames
from tests.conftest import Client
from tests.racing import race
from tests.rendering import makers

pytestmark = pytest.mark.django_db
Status = RenderJob.Status


def one_failed(owner: User, node: RenderNode, file: File | None = None) -> RenderJob:
    """A job of three frames that failed: two are rendered and paid."""
    job = makers.queued(owner, file, frames="1-3")
    makers.fail(makers.claimed(node), is_permanent=True)
    for _frame in range(2):
        makers.succeed(makers.claimed(node))
    job.refresh_from_db()
    assert (job.status, job.actual_cost, job.charged_frames) == (Status.FAILED, 1, 2)
    return job


def render_all(job: RenderJob, node: RenderNode) -> None:
    release_all()
    while Frame.objects.filter(job=job, status="ready").exists():
        makers.succeed(makers.claimed(node))
    job.refresh_from_db()


# --- retry ---


def test_what_failed_is_rendered_and_paid_once(owner_api: Client, owner: User, node: RenderNode) -> None:
    balance, _held = makers.money(owner)
    job = one_failed(owner, node)
    NodeBlock.objects.create(job=job, node=node)

    task = owner_api.post(f"/tasks/{job.pk}/retry").json()

    assert (task["status"], task["failed_frames"], task["failure_code"], task["completed_at"]) == (
        2,
        0,
        "",
        None,
    )
    assert makers.money(owner) == (balance - 1, Decimal("0.5"))
    assert makers.audit() == {}
    assert Frame.objects.get(number=1).failures == 0
    render_all(job, node)
    assert (job.status, job.actual_cost, job.charged_frames) == (Status.COMPLETED, Decimal("1.5"), 3)
    assert makers.money(owner) == (balance - Decimal("1.5"), 0)
    assert list(Bill.objects.order_by("created_at").values_list("amount", flat=True)) == [1, Decimal("0.5")]
    assert makers.audit() == {}


def test_what_fails_again_is_free_again(owner: User, node: RenderNode) -> None:
    balance, _held = makers.money(owner)
    job = retry_frames(job=one_failed(owner, node))

    makers.fail(makers.claimed(node), is_permanent=True)

    job.refresh_from_db()
    assert (job.status, job.failed_frames, job.actual_cost) == (Status.FAILED, 1, 1)
    assert makers.money(owner) == (balance - 1, 0)
    assert Bill.objects.count() == 1
    assert makers.audit() == {}


def test_a_retry_of_a_job_that_renders_holds_nothing_more(
    owner_api: Client, owner: User, node: RenderNode
) -> None:
    job = makers.queued(owner, frames="1-3")
    makers.fail(makers.claimed(node), is_permanent=True)
    held = makers.money(owner)

    task = owner_api.post(f"/tasks/{job.pk}/retry", {"frames": "1-2"}).json()

    assert (task["status"], task["failed_frames"]) == (3, 0)
    assert makers.money(owner) == held
    render_all(job, node)
    assert (job.status, job.actual_cost) == (Status.COMPLETED, Decimal("1.5"))
    assert makers.audit() == {}


def test_what_failed_before_is_held_anew_while_further_frames_are_rendered(
    owner_api: Client, owner: User, node: RenderNode
) -> None:
    """The hold of a job that goes on with further frames knows nothing of what had failed before."""
    balance, _held = makers.money(owner)
    job = one_failed(owner, node)
    add_frames(job=job, frames="4")
    assert makers.money(owner) == (balance - 1, Decimal("0.5"))

    assert owner_api.post(f"/tasks/{job.pk}/retry").status_code == 200

    assert makers.money(owner) == (balance - 1, 1)
    assert makers.audit() == {}
    render_all(job, node)
    assert (job.status, job.actual_cost, job.charged_frames) == (Status.COMPLETED, 2, 4)
    assert makers.money(owner) == (balance - 2, 0)
    assert makers.audit() == {}


def test_a_licence_that_was_limited_meanwhile_counts(owner: User, node: RenderNode) -> None:
    job = one_failed(owner, node)
    licence = limit_licence(key="blender", maximum=1)

    retry_frames(job=job)
    add_frames(job=job, frames="4")
    release_all()

    makers.claimed(node)
    assert claims.claim(node=node, engine="blender") is None
    licence.refresh_from_db()
    assert licence.running == 1
    assert makers.audit() == {}


def test_a_job_of_before_there_were_shares_goes_on(owner: User, node: RenderNode) -> None:
    """It was paid when it ended, though nobody counted its charged frames then."""
    job = makers.in_status(owner, Status.COMPLETED, node)
    RenderJob.objects.filter(pk=job.pk).update(share=None, limits=[], charged_frames=0)
    balance, _held = makers.money(owner)
    migration = import_module("rendering.migrations.0009_ended_jobs_are_charged")
    with connection.cursor() as cursor:
        cursor.execute(migration.CHARGED)

    add_frames(job=job, frames="9")

    render_all(job, node)
    assert (job.status, job.done_frames, job.charged_frames) == (Status.COMPLETED, 3, 3)
    assert makers.money(owner) == (balance - Decimal("0.5"), 0)
    assert makers.audit() == {}


def test_a_job_is_deleted_or_goes_on(owner: User, node: RenderNode) -> None:
    """Nobody pays for what they do not see any more."""
    job = one_failed(owner, node)
    seen = RenderJob.objects.get(pk=job.pk)
    add_frames(job=job, frames="4")
    with pytest.raises(JobRunning):
        delete_job(job=seen)
    assert RenderJob.objects.get(pk=job.pk).deleted_at is None

    cancel_job(job=RenderJob.objects.get(pk=job.pk))
    other = one_failed(owner, node)
    delete_job(job=RenderJob.objects.get(pk=other.pk))
    for act in (lambda: add_frames(job=other, frames="4"), lambda: retry_frames(job=other)):
        with pytest.raises(NotVisible):
            act()
    assert RenderJob.objects.get(pk=other.pk).status == Status.FAILED
    assert makers.audit() == {}


def test_a_job_that_ends_as_it_is_deleted_is_deleted(owner: User, node: RenderNode) -> None:
    job = makers.queued(owner)
    seen = RenderJob.objects.get(pk=job.pk)
    cancel_job(job=job)
    delete_job(job=seen)
    assert RenderJob.objects.get(pk=job.pk).deleted_at is not None


@pytest.mark.parametrize(("role", "code"), [("viewer", "drive_read_only"), ("", "not_found")])
def test_who_may_not_write_in_the_drive_any_more_renders_nothing(
    owner_api: Client, owner: User, stranger: User, node: RenderNode, role: str, code: str
) -> None:
    team = create_team(owner=stranger, name="studio")
    membership = TeamMember.objects.create(team=team, user=owner, role="member")
    file = makers.team_scene(owner, team)
    failed = one_failed(owner, node, file=file)
    draft = makers.draft(owner, file)
    if role:
        TeamMember.objects.filter(pk=membership.pk).update(role=role)
    else:
        membership.delete()
    money = makers.money(team)
    before = list(RenderJob.objects.order_by("pk").values("status", "failure_code"))

    asked = [
        (f"/tasks/{draft.pk}/submit", None),
        (f"/tasks/{failed.pk}/retry", {}),
        (f"/tasks/{failed.pk}/frames", {"frames": "9"}),
    ]
    for path, body in asked:
        assert owner_api.post(path, body).json()["code"] == code, path
    if not role:
        assert owner_api.get(f"/tasks/{draft.pk}/report").json()["code"] == "scene_missing"
    assert makers.money(team) == money
    assert list(RenderJob.objects.order_by("pk").values("status", "failure_code")) == before


def test_a_paused_job_stays_paused(owner: User, node: RenderNode) -> None:
    job = makers.queued(owner, frames="1-3")
    makers.fail(makers.claimed(node), is_permanent=True)
    pause_job(job=job)
    assert retry_frames(job=job).status == Status.PAUSED
    assert set(Frame.objects.values_list("status", flat=True)) == {"ready"}


def test_frames_and_steps_are_named(owner_api: Client, owner: User, node: RenderNode) -> None:
    file = makers.scene(owner, cameras=["a", "b"])
    job = makers.queued(owner, file, frames="1-2", cameras=["a", "b"])
    for _frame in range(4):
        makers.fail(makers.claimed(node), is_permanent=True)

    task = owner_api.post(f"/tasks/{job.pk}/retry", {"frames": "2-9", "step": "b"}).json()

    assert (task["status"], task["failed_frames"]) == (2, 3)
    frame = Frame.objects.get(status="ready")
    assert (frame.step.name, frame.number) == ("b", 2)
    assert makers.money(owner)[1] == Decimal("0.5")
    render_all(job, node)
    assert (job.status, job.actual_cost) == (Status.FAILED, Decimal("0.5"))
    assert makers.audit() == {}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"frames": "2-3"}, 409, "nothing_to_render"),
        ({"frames": "x"}, 422, "frame_range_invalid"),
        ({"frames": "1-999999999"}, 422, "frame_range_too_long"),
        ({"step": "other"}, 404, "not_found"),
    ],
)
def test_retries_that_are_refused(
    owner_api: Client, owner: User, node: RenderNode, body: dict[str, str], status: int, code: str
) -> None:
    job = one_failed(owner, node)
    answer = owner_api.post(f"/tasks/{job.pk}/retry", body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    job.refresh_from_db()
    assert (job.status, makers.money(owner)[1]) == (Status.FAILED, 0)


def test_a_retry_that_cannot_be_paid_changes_nothing(
    owner_api: Client, owner: User, node: RenderNode
) -> None:
    job = one_failed(owner, node)
    makers.queued(owner, frames=f"1-{int(makers.money(owner)[0] * 2)}")

    answer = owner_api.post(f"/tasks/{job.pk}/retry")

    assert (answer.status_code, answer.json()["code"]) == (402, "insufficient_balance")
    job.refresh_from_db()
    assert (job.status, job.failed_frames, Frame.objects.filter(job=job, status="failed").count()) == (
        6,
        1,
        1,
    )
    assert makers.audit() == {}


def test_a_retry_needs_the_version_that_rendered_the_others(
    owner_api: Client, owner: User, node: RenderNode
) -> None:
    job = one_failed(owner, node)
    RenderNode.objects.update(engines={"blender": ["6.0"]})
    error = owner_api.post(f"/tasks/{job.pk}/retry").json()
    assert (error["code"], error["available"]) == ("engine_unavailable", {"blender": ["6.0"]})


# --- further frames ---


def test_further_frames_of_a_completed_job(owner_api: Client, owner: User, node: RenderNode) -> None:
    balance, _held = makers.money(owner)
    job = makers.in_status(owner, Status.COMPLETED, node)
    PriceRule.objects.update(price=9)

    task = owner_api.post(f"/tasks/{job.pk}/frames", {"frames": "1-4"}).json()

    assert (task["status"], task["total_frames"], task["frames"], task["progress"]) == (2, 4, "1-4", 50)
    assert (task["estimated_cost"], makers.money(owner)) == (2.0, (balance - 1, 1))
    render_all(job, node)
    assert (job.status, job.actual_cost) == (Status.COMPLETED, 2)
    assert makers.money(owner) == (balance - 2, 0)
    assert Bill.objects.count() == 2
    assert makers.audit() == {}


def test_further_frames_of_a_job_that_renders_are_held_with_the_others(
    owner_api: Client, owner: User, node: RenderNode
) -> None:
    job = makers.in_status(owner, Status.RENDERING, node)
    hold = job.hold_id

    task = owner_api.post(f"/tasks/{job.pk}/frames", {"frames": "8-9"}).json()

    assert (task["status"], task["total_frames"], task["frames"]) == (3, 4, "1,2,8,9")
    assert makers.money(owner)[1] == 2
    assert makers.audit() == {}
    cancel_job(job=RenderJob.objects.get(pk=job.pk))
    job.refresh_from_db()
    assert (job.hold_id, makers.money(owner)[1]) == (hold, 0)
    assert makers.audit() == {}


def test_further_frames_of_one_step(owner_api: Client, owner: User, node: RenderNode) -> None:
    file = makers.scene(owner, cameras=["a", "b"])
    job = makers.queued(owner, file, frames="1-2", cameras=["a", "b"])

    task = owner_api.post(f"/tasks/{job.pk}/frames", {"frames": "2-3", "step": "b"}).json()

    assert task["total_frames"] == 5
    assert list(Frame.objects.filter(step__name="b").order_by("number").values_list("number", flat=True)) == [
        1,
        2,
        3,
    ]
    assert owner_api.post(f"/tasks/{job.pk}/frames", {"frames": "3"}).json()["total_frames"] == 6
    assert owner_api.post(f"/tasks/{job.pk}/frames", {"frames": "1-3"}).json()["code"] == "nothing_to_render"
    assert makers.audit() == {}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"frames": "1-2"}, 409, "nothing_to_render"),
        ({"frames": "5-1"}, 422, "frame_range_invalid"),
        ({"frames": "1-100001"}, 422, "frame_range_too_long"),
        ({"frames": "1-100000"}, 402, "insufficient_balance"),
        ({"frames": "3-100001"}, 422, "frame_range_too_long"),
        ({}, 422, "validation_error"),
        ({"frames": "7", "step": "other"}, 404, "not_found"),
    ],
)
def test_further_frames_that_are_refused(
    owner_api: Client, owner: User, node: RenderNode, body: dict[str, str], status: int, code: str
) -> None:
    job = makers.in_status(owner, Status.COMPLETED, node)
    answer = owner_api.post(f"/tasks/{job.pk}/frames", body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    job.refresh_from_db()
    assert (job.status, job.total_frames, Frame.objects.count()) == (Status.COMPLETED, 2, 2)
    assert makers.audit() == {}


def test_a_price_below_a_fen_is_rounded_at_each_settlement(
    owner: User, node: RenderNode, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    PriceRule.objects.update(price=Decimal("0.003334"))
    job = makers.queued(owner, frames="1-4")
    render_all(job, node)
    assert job.actual_cost == Decimal("0.01")
    with django_capture_on_commit_callbacks(execute=True):
        add_frames(job=job, frames="5-6")
    render_all(job, node)
    assert (job.status, job.actual_cost) == (Status.COMPLETED, Decimal("0.02"))
    assert makers.audit() == {}


def test_what_costs_nothing_can_go_on(owner: User, node: RenderNode) -> None:
    PriceRule.objects.update(price=0)
    job = makers.queued(owner, frames="1")
    render_all(job, node)
    render_all(add_frames(job=job, frames="2"), node)
    job.refresh_from_db()
    assert (job.status, job.hold, job.charged_frames) == (Status.COMPLETED, None, 2)
    assert makers.audit() == {}


# --- races ---


def refused(call: Any) -> str:
    try:
        call()
    except DomainError as error:
        return error.code
    return ""


@pytest.mark.django_db(transaction=True)
def test_retried_by_six_at_once_is_held_once(owner: User, node: RenderNode) -> None:
    job = one_failed(owner, node)

    answers = race(6, lambda _number: refused(lambda: retry_frames(job=job)))

    assert sorted(answers) == ["", *["transition_not_allowed"] * 5]
    assert makers.money(owner)[1] == Decimal("0.5")
    assert makers.audit() == {}


@pytest.mark.django_db(transaction=True)
def test_further_frames_while_the_last_one_ends(owner: User, node: RenderNode) -> None:
    """Whoever is first, every frame is rendered and paid once."""
    job = makers.queued(owner, frames="1")
    attempt = makers.claimed(node)

    def act(number: int) -> str:
        if number:
            return refused(lambda: add_frames(job=job, frames="1-4"))
        return refused(lambda: makers.succeed(attempt))

    assert sorted(race(4, act)) == ["", "", "nothing_to_render", "nothing_to_render"]
    assert makers.audit() == {}
    render_all(job, node)
    assert (job.status, job.actual_cost, job.charged_frames) == (Status.COMPLETED, 2, 4)
    assert makers.audit() == {}


@pytest.mark.django_db(transaction=True)
def test_cancelled_while_it_is_extended(owner: User, node: RenderNode) -> None:
    jobs = [makers.queued(owner, frames="1-2") for _number in range(4)]

    def act(number: int) -> str:
        job = RenderJob.objects.get(pk=jobs[number // 2].pk)
        if number % 2:
            return refused(lambda: add_frames(job=job, frames="3-4"))
        return refused(lambda: cancel_job(job=job))

    race(8, act)

    assert set(RenderJob.objects.values_list("status", flat=True)) == {Status.CANCELLED}
    assert not Frame.objects.exclude(status="cancelled").exists()
    assert makers.money(owner)[1] == 0
    assert makers.audit() == {}
