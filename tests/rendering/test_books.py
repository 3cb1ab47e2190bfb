"""The nightly check of jobs against bills finds what does not agree, and nothing else."""

from decimal import Decimal

import pytest

from accounts.models import User
from billing import tasks
from billing.models import Bill, ReconciliationDifference, ReconciliationRun
from billing.services.bills import Charge
from billing.services.holds import place_hold, settle_hold
from billing.services.ledger import wallet_of
from common.ids import new_id
from rendering.models import RenderJob, RenderNode
from rendering.services import jobs
from tests.rendering import makers

pytestmark = pytest.mark.django_db
Kind, Status = ReconciliationRun.Kind, ReconciliationRun.Status


def found() -> list[tuple[str, str]]:
    """Check and detail of every difference."""
    tasks.reconcile([Kind.JOBS])  # what beat sends
    run = ReconciliationRun.objects.get(kind=Kind.JOBS)
    rows = ReconciliationDifference.objects.filter(run=run)
    assert run.status == (Status.DIFFERENT if rows else Status.CLEAN)
    return sorted(rows.values_list("check_name", "detail"))


def rendered(owner: User, node: RenderNode) -> RenderJob:
    """A job that was cancelled with one of three frames rendered."""
    job = makers.queued(owner)
    makers.succeed(makers.claimed(node))
    jobs.cancel_job(job=makers.fresh(job))
    return makers.fresh(job)


def test_jobs_that_were_paid_as_they_should_are_clean(owner: User, node: RenderNode) -> None:
    assert rendered(owner, node).actual_cost == Decimal("0.50")
    makers.queued(owner)  # one that waits holds its money, as it should
    assert found() == []


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"actual_cost": Decimal(9)}, ("cost", "cost 9.000000, billed 0.50")),
        ({"charged_frames": 0}, ("frames", "rendered 1, charged 0")),
    ],
)
def test_a_job_that_says_otherwise_is_found(
    owner: User, node: RenderNode, change: dict[str, object], difference: tuple[str, str]
) -> None:
    job = rendered(owner, node)
    RenderJob.objects.filter(pk=job.pk).update(**change)
    assert found() == [difference]


def test_what_is_held_or_billed_for_no_job_is_found(owner: User, node: RenderNode) -> None:
    wallet = wallet_of(owner)
    job = rendered(owner, node)
    place_hold(wallet=wallet, amount=Decimal(2), key="late", task_id=job.pk, description="j")
    hold = place_hold(wallet=wallet, amount=Decimal(1), key="gone", task_id=new_id(), description="j")
    settle_hold(hold=hold, charges=[Charge("f", Decimal(1), Decimal(1))], description="j")
    assert Bill.objects.filter(wallet=wallet).count() == 2
    assert found() == [("held", "held 2.000000"), ("orphan", "no task")]
