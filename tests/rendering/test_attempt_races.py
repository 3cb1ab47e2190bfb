"""Attempts of a job that end at the same moment: each counts once, and nobody pays twice."""

from decimal import Decimal

import pytest
from django.db.models import Sum
from django.utils import timezone

from accounts.models import User
from billing.models import Bill
from common.errors import Conflict
from rendering.engines import Failure
from rendering.errors import LateResult
from rendering.models import Attempt, Frame, RenderJob, RenderNode
from rendering.services import attempts, claims, jobs
from rendering.services.attempts import Usage
from tests.racing import race
from tests.rendering import makers

Status = RenderJob.Status


@pytest.mark.django_db(transaction=True)
def test_eight_results_of_one_attempt_count_once(owner: User, node: RenderNode) -> None:
    job = makers.queued(owner, frames="1")
    attempt = makers.claimed(node)
    makers.picture_blob(seed=1)
    failure = Failure("crashed", "It went wrong.")

    def act(number: int) -> bool:
        try:
            if number % 4 == 0:
                attempts.fail(attempt_id=attempt.pk, failure=failure, usage=Usage())
            elif number % 4 == 1:
                attempts.lose(attempt_id=attempt.pk)
            else:
                makers.succeed(attempt)
        except LateResult:
            return False
        return True

    assert sum(race(8, act)) == 1
    job.refresh_from_db()
    frame = Frame.objects.get()
    assert (frame.status == "done") + frame.failures + frame.losses == 1
    assert makers.audit() == {}


@pytest.mark.django_db(transaction=True)
def test_frames_that_end_at_once_close_the_job_once(owner: User, node: RenderNode) -> None:
    balance, _held = makers.money(owner)
    for _round in range(3):
        job = makers.queued(owner, frames="1-8")
        claimed = [makers.claimed(node) for _frame in range(8)]

        def act(number: int, claimed: list[Attempt] = claimed) -> None:
            if number == 0:
                makers.fail(claimed[number], "no_camera", is_permanent=True)
            else:
                makers.succeed(claimed[number])

        race(8, act)
        job.refresh_from_db()
        assert (job.status, job.done_frames, job.failed_frames) == (Status.FAILED, 7, 1)
        assert job.actual_cost == Decimal("3.5")
        assert makers.audit() == {}
    assert makers.money(owner) == (balance - 3 * Decimal("3.5"), 0)
    assert Bill.objects.count() == 3


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("act_of_owner", [jobs.cancel_job, jobs.pause_job])
def test_whatever_happens_at_once_nobody_pays_twice(
    owner: User, node: RenderNode, act_of_owner: object
) -> None:
    """Frames end well and badly, are lost and claimed, while the owner cancels or pauses."""
    for _round in range(4):
        job = makers.queued(owner, frames="1-8")
        claimed = [makers.claimed(node) for _frame in range(6)]

        def act(number: int, job: RenderJob = job, claimed: list[Attempt] = claimed) -> None:
            try:
                if number < 3:
                    makers.succeed(claimed[number])
                elif number == 3:
                    makers.fail(claimed[3])
                elif number == 4:
                    makers.expire(claimed[4])
                    attempts.reap(timezone.now())
                elif number == 5:
                    claims.claim(node=node, engine="blender")
                else:
                    act_of_owner(job=RenderJob.objects.get(pk=job.pk))  # type: ignore[operator]
            except Conflict:
                return

        race(8, act)
        assert makers.audit() == {}
        job.refresh_from_db()
        if job.status != Status.CANCELLED:
            jobs.cancel_job(job=job)
        assert makers.audit() == {}
        assert makers.money(owner)[1] == 0
    paid = RenderJob.objects.aggregate(total=Sum("actual_cost"))["total"]
    assert paid == Decimal("0.5") * Frame.objects.filter(status="done").count()
