"""Jobs that are paid by the hour: estimated, extended, and waiting where the money ends."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Notification, User
from billing.models import Bill, Hold, PriceRule
from billing.services.credits import credit
from billing.services.gifts import give
from billing.services.ledger import wallet_of
from common.errors import DomainError
from common.ids import new_id
from rendering import tasks
from rendering.models import Attempt, RenderJob, RenderNode
from rendering.services import attempts, jobs, money
from tests.conftest import Client
from tests.racing import race
from tests.rendering import makers

pytestmark = pytest.mark.django_db
Status = RenderJob.Status


@pytest.fixture
def by_hour(price: PriceRule) -> PriceRule:
    """Blender is paid by the core-hour: 36 yuan, a fen for each CPU second."""
    return PriceRule.objects.create(
        engine="blender", unit="core_hour", price=36, valid_from=timezone.now() - timedelta(days=1)
    )


def test_hours_are_estimated_by_what_is_known(
    owner_api: Client, owner: User, node: RenderNode, by_hour: PriceRule, settings: Any
) -> None:
    settings.RENDER_EXPECTED_FRAME_SECONDS = 10
    scene = makers.scene(owner)
    job = makers.queued(owner, scene, frames="1-4")
    body = owner_api.get(f"/tasks/{makers.draft(owner, scene, frames='1-2').pk}/estimate").json()
    assert (body["basis"], body["unit"], body["unit_price"], body["estimated_cost"]) == (
        "setting", "core_hour", 36.0, 0.200016,
    )  # fmt: skip
    assert makers.money(owner)[1] == Decimal("0.41")
    for _frame in range(4):
        makers.succeed(makers.claimed(node), cpu_seconds=20)

    assert (makers.fresh(job).status, makers.fresh(job).actual_cost) == (Status.COMPLETED, Decimal("0.8"))
    line = Bill.objects.get().lines.get()
    assert (line.quantity, line.unit_price) == (Decimal("0.022222"), 36)
    body = owner_api.get(f"/tasks/{makers.draft(owner, scene, frames='1-2').pk}/estimate").json()
    assert (body["basis"], round(body["expected_hours"], 4), round(body["estimated_cost"], 2)) == (
        "scene",
        0.0111,
        0.4,
    )
    assert makers.audit() == {}


def test_node_hours_are_those_on_the_wall(owner: User, node: RenderNode, by_hour: PriceRule) -> None:
    PriceRule.objects.create(engine="blender", unit="node_hour", price=36, valid_from=timezone.now())
    job = makers.queued(owner, frames="1")
    attempt = makers.claimed(node)
    Attempt.objects.filter(pk=attempt.pk).update(created_at=timezone.now() - timedelta(seconds=90))
    makers.succeed(attempt, cpu_seconds=1)
    assert (makers.fresh(job).price_unit, round(makers.fresh(job).actual_cost or 0, 1)) == (
        "node_hour",
        Decimal("0.9"),
    )
    assert makers.audit() == {}


def test_what_ends_badly_costs_no_hours(owner: User, node: RenderNode, by_hour: PriceRule) -> None:
    job = makers.queued(owner, frames="1-3")
    makers.fail(makers.claimed(node))
    attempts.lose(attempt_id=makers.claimed(node).pk)
    stopped = makers.claimed(node)
    jobs.pause_job(job=makers.fresh(job))
    Attempt.objects.filter(pk=stopped.pk).update(cpu_seconds=99)
    jobs.cancel_job(job=makers.fresh(job))
    assert (makers.fresh(job).actual_cost, makers.money(owner)[1], Bill.objects.count()) == (0, 0, 0)
    assert makers.audit() == {}


def test_a_job_that_outgrows_its_hold_takes_more(
    owner: User, node: RenderNode, by_hour: PriceRule, settings: Any
) -> None:
    settings.RENDER_EXPECTED_FRAME_SECONDS = 10
    balance, _held = makers.money(owner)
    job = makers.queued(owner, frames="1-4")
    makers.succeed(makers.claimed(node), cpu_seconds=100)
    # 100 s are used, 300 more expected, rounded up to the fen.
    assert (makers.fresh(job).status, makers.money(owner)[1]) == (Status.RENDERING, Decimal("4.01"))
    for _frame in range(3):
        makers.succeed(makers.claimed(node), cpu_seconds=100)
    assert (makers.fresh(job).status, makers.money(owner)) == (Status.COMPLETED, (balance - 4, 0))
    assert makers.audit() == {}


def outgrown(owner: User, node: RenderNode) -> tuple[RenderJob, Attempt]:
    """A job of four frames, held at 0.41, that has 0.59 more to spend; its first frame took 0.70, its second runs."""
    makers.spend(owner, "1.00")
    job = makers.queued(owner, frames="1-4")
    first, second = makers.claimed(node), makers.claimed(node)
    makers.succeed(first, cpu_seconds=70)
    return makers.fresh(job), second


def test_at_an_exhausted_balance_a_job_waits_and_goes_on_after_a_recharge(
    owner_api: Client, owner: User, node: RenderNode, by_hour: PriceRule, settings: Any,
    django_capture_on_commit_callbacks: Any,
) -> None:  # fmt: skip
    settings.RENDER_EXPECTED_FRAME_SECONDS = 10
    job, second = outgrown(owner, node)
    # As far as the money goes: all of it is held now, and still covers what is used.
    assert (job.status, makers.money(owner)[1] - wallet_of(owner).holds.get(key="away").amount) == (
        Status.RENDERING, Decimal("1.00"),
    )  # fmt: skip
    with django_capture_on_commit_callbacks(execute=True):
        makers.succeed(second, cpu_seconds=70)
    job = makers.fresh(job)
    assert (job.status, job.pause_reason, job.done_frames) == (Status.PAUSED, "balance", 2)
    assert Notification.objects.filter(user=owner, title="%(task)s waits for money").count() == 1
    assert not Attempt.objects.filter(status="running").exists()
    assert wallet_of(owner).available == 0
    refused = owner_api.put(f"/tasks/{job.pk}/resume")
    assert (refused.status_code, refused.json()["code"]) == (402, "insufficient_balance")
    tasks.continue_paid(str(wallet_of(owner).pk))
    assert makers.fresh(job).status == Status.PAUSED
    assert makers.audit() == {}

    # 1.40 is used: 0.40 was owed, 0.70 is for the next frame, which is all there is for now.
    give(wallet=wallet_of(owner), amount=Decimal("1.20"), key="more", description="more")
    tasks.continue_paid(str(wallet_of(owner).pk))
    job = makers.fresh(job)
    assert (job.status, job.pause_reason, wallet_of(owner).available) == (Status.QUEUED, "", 0)
    makers.succeed(makers.claimed(node), cpu_seconds=70)
    jobs.cancel_job(job=makers.fresh(job))
    assert makers.fresh(job).actual_cost == Decimal("2.10")
    assert makers.audit() == {}


def test_a_job_that_costs_more_than_there_is_keeps_no_other_waiting(
    owner: User, node: RenderNode, by_hour: PriceRule, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RENDER_EXPECTED_FRAME_SECONDS = 10
    monkeypatch.setattr(jobs, "TRIED_AT_ONCE", 1)
    dear, cheap = (makers.queued(owner, frames=frames, chunk_size=100) for frames in ("1-100", "1"))
    waiting = RenderJob.objects.filter(pk__in=[dear.pk, cheap.pk])
    makers.spend(owner, "0.11")
    waiting.update(status=Status.PAUSED, pause_reason="balance")
    settings.RENDER_EXPECTED_FRAME_SECONDS = 20  # more than is held
    for _round in range(64):
        jobs.continue_paid()
    assert (makers.fresh(dear).status, makers.fresh(cheap).status) == (Status.PAUSED, Status.QUEUED)


def test_what_is_beyond_the_money_is_not_charged(
    owner: User, node: RenderNode, by_hour: PriceRule, settings: Any
) -> None:
    settings.RENDER_EXPECTED_FRAME_SECONDS = 10
    job, second = outgrown(owner, node)
    makers.succeed(second, cpu_seconds=70)
    assert money.capture_due(now=timezone.now() + timedelta(hours=1)) == 1
    assert (makers.fresh(job).status, makers.fresh(job).actual_cost) == (Status.PAUSED, 1)
    assert makers.audit() == {}
    jobs.cancel_job(job=makers.fresh(job))

    assert (makers.fresh(job).actual_cost, wallet_of(owner).available) == (1, 0)
    bill = Bill.objects.get(task_id=job.pk)
    assert [line.amount for line in bill.lines.order_by("-amount")] == [
        Decimal("1.400004"),
        Decimal("-0.400004"),
    ]
    assert makers.audit() == {}


def test_a_frame_that_runs_beyond_the_money_is_stopped(
    owner: User, node: RenderNode, by_hour: PriceRule, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    settings.RENDER_EXPECTED_FRAME_SECONDS = 10
    RenderNode.objects.update(cores=4)  # one for each slot
    job, second = outgrown(owner, node)
    money.pause_uncovered()
    assert makers.fresh(job).status == Status.RENDERING
    Attempt.objects.filter(pk=second.pk).update(created_at=timezone.now() - timedelta(seconds=31))
    with django_capture_on_commit_callbacks(execute=True):
        money.pause_uncovered()
    second.refresh_from_db()
    assert (makers.fresh(job).pause_reason, second.status) == ("balance", "stopped")
    assert makers.audit() == {}


def test_a_job_whose_hold_cannot_grow_does_not_let_others_run_without_money(
    owner: User, stranger: User, node: RenderNode, by_hour: PriceRule, settings: Any
) -> None:
    settings.RENDER_EXPECTED_FRAME_SECONDS = 10
    broken = makers.queued(stranger, frames="1")
    makers.claimed(node)
    job, _second = outgrown(owner, node)
    Attempt.objects.filter(status="running").update(created_at=timezone.now() - timedelta(hours=1))
    makers.break_row(Hold.objects.get(task_id=broken.pk))
    money.pause_uncovered()
    assert makers.fresh(broken).status == Status.RENDERING
    assert makers.fresh(job).pause_reason == "balance"


@pytest.mark.django_db(transaction=True)
def test_jobs_by_the_hour_never_take_more_than_there_is(
    owner: User, node: RenderNode, by_hour: PriceRule, settings: Any
) -> None:
    """Frames of three jobs end, are stopped and charged while their money runs out and more comes in."""
    settings.RENDER_EXPECTED_FRAME_SECONDS = 10
    makers.spend(owner, "2.00")
    running_jobs = [makers.queued(owner, frames="1-4") for _job in range(3)]
    running = [makers.claimed(node) for _frame in range(6)]
    given = Decimal(0)

    def act(number: int) -> None:
        try:
            if number < 6:
                makers.succeed(running[number], cpu_seconds=50 + 10 * number)
            elif number == 6:
                money.capture_due(now=timezone.now() + timedelta(hours=1))
                money.pause_uncovered()
            else:
                credit(user=owner, amount=Decimal("0.50"), key=f"more:{new_id()}", reason="more")
                jobs.continue_paid()
        except DomainError:
            return

    race(8, act)
    given += Decimal("0.50")
    assert makers.audit() == {}
    for job in running_jobs:
        if makers.fresh(job).status not in RenderJob.FINAL_STATUSES:
            jobs.cancel_job(job=makers.fresh(job))
    assert makers.audit() == {}
    taken = sum(Bill.objects.values_list("amount", flat=True))
    assert 0 < taken <= 2 + given
    assert wallet_of(owner).available == 2 + given - taken
