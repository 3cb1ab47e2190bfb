"""Submitting meets others: the same task at once, a cancel, a change of what is asked for."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from django.db import transaction
from pytest_django import Settings

from accounts.models import User
from billing.models import Hold, LedgerEntry
from common.errors import TransitionNotAllowed
from drives.models import File, Folder
from rendering.models import Frame, JobFile, RenderJob, RenderNode, SceneReport
from rendering.services.admission import advance_job
from rendering.services.creating import change_draft
from rendering.services.jobs import cancel_job, set_priority
from rendering.services.submitting import submit_job
from tests.racing import race, somebody_waits_for_a_lock, wait_for
from tests.rendering import makers

Status = RenderJob.Status


@pytest.mark.django_db(transaction=True)
def test_submitted_by_eight_at_once_is_held_once(owner: User, scene: File, node: RenderNode) -> None:
    job = makers.draft(owner, scene)
    settings_of_thread = [RenderJob.objects.get(pk=job.pk) for _number in range(8)]

    def submit(number: int) -> bool:
        try:
            submit_job(job=settings_of_thread[number])
        except TransitionNotAllowed:
            return False
        return True

    assert sum(race(8, submit)) == 1
    assert Hold.objects.count() == LedgerEntry.objects.filter(kind="hold").count() == 1
    race(8, lambda number: advance_job(job_id=job.pk))
    job.refresh_from_db()
    assert (job.status, Frame.objects.count(), makers.money(owner)[1]) == (Status.QUEUED, 3, Decimal("1.5"))
    assert Folder.objects.filter(path__startswith="/renders/").count() == 1
    assert makers.audit() == {}


@pytest.mark.django_db(transaction=True)
def test_eight_jobs_do_not_hold_more_than_there_is(owner: User, node: RenderNode) -> None:
    balance, _held = makers.money(owner)
    frames = int(balance / 3 / Decimal("0.5"))
    jobs = [makers.draft(owner, frames=f"1-{frames}") for _number in range(8)]

    def submit(number: int) -> str:
        try:
            submit_job(job=jobs[number])
        except Exception as error:
            return getattr(error, "code", repr(error))
        return "held"

    answers = race(8, submit)

    assert sorted(answers) == ["held"] * 3 + ["insufficient_balance"] * 5
    assert makers.audit() == {}


@pytest.mark.django_db(transaction=True)
def test_cancelled_while_it_is_being_queued(owner: User, node: RenderNode, settings: Settings) -> None:
    """Whoever wins, the money is free in the end and no frame is left to render."""
    jobs = [submit_job(job=makers.draft(owner, frames="1-5")) for _number in range(6)]

    def act(number: int) -> None:
        job = jobs[number // 2]
        if number % 2:
            advance_job(job_id=job.pk)
        else:
            cancel_job(job=job)

    race(12, act)

    assert set(RenderJob.objects.values_list("status", flat=True)) == {Status.CANCELLED}
    assert not Frame.objects.exclude(status="cancelled").exists()
    assert makers.money(owner)[1] == 0
    assert makers.audit() == {}


@pytest.mark.django_db(transaction=True)
def test_a_draft_that_is_changed_while_it_is_submitted(owner: User, node: RenderNode) -> None:
    """It is planned and paid as it is then, not as it was when somebody began to submit it."""
    job, other = makers.draft(owner, frames="1-4"), makers.scene(owner)

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            change_draft(job=job, changes={"frames": "1-2", "priority": 3, "scene_file_id": other.pk})
            submit = pool.submit(race, 1, lambda _number: submit_job(job=RenderJob.objects.get(pk=job.pk)))
            wait_for(somebody_waits_for_a_lock)
        [submitted] = submit.result()

    assert (submitted.frame_range, submitted.total_frames, submitted.priority) == ("1-2", 2, 3)
    assert submitted.price_rule is not None
    assert submitted.price_multiplier == submitted.price_rule.multiplier(3)
    assert makers.money(owner)[1] == submitted.estimated_cost == 2 * (submitted.unit_price or 0) > 0
    assert JobFile.objects.get(job=job, is_scene=True).blob_id == other.blob_id
    assert makers.audit() == {}


@pytest.mark.django_db(transaction=True)
def test_another_priority_while_a_pending_job_is_planned(owner: User, node: RenderNode) -> None:
    job, file = makers.pending_without_report(owner)
    SceneReport.objects.filter(blob=file.blob).update(status="ready", data=makers.REPORT)

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            set_priority(job=job, priority=3)
            advance = pool.submit(race, 1, lambda _number: advance_job(job_id=job.pk))
            wait_for(somebody_waits_for_a_lock)
        advance.result()
    advance_job(job_id=job.pk)

    job.refresh_from_db()
    assert job.price_rule is not None
    assert (job.status, job.price_multiplier) == (Status.QUEUED, job.price_rule.multiplier(3))
    assert makers.money(owner)[1] == job.estimated_cost == 3 * (job.unit_price or 0) > 0
    assert makers.audit() == {}


@pytest.mark.django_db(transaction=True)
def test_two_changes_of_a_draft_at_once(owner: User, node: RenderNode) -> None:
    job = makers.draft(owner, frames="1-4")
    other = RenderJob.objects.get(pk=job.pk)

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            change_draft(job=job, changes={"frames": "1-2"})
            second = pool.submit(race, 1, lambda _number: change_draft(job=other, changes={"width": 32}))
            wait_for(somebody_waits_for_a_lock)
        [changed] = second.result()

    assert (changed.frame_range, changed.width) == ("1-2", 32)
