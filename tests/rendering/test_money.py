"""What a job costs: by the frame or the hour, at a priority, with a discount; charged while it renders."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from billing.models import Bill, Hold, LedgerEntry, MembershipPlan, PriceRule
from common.errors import Conflict
from rendering.models import Attempt, Frame, RenderJob, RenderNode
from rendering.services import jobs, money
from rendering.services.reopening import retry_frames
from tests.conftest import Client
from tests.racing import race
from tests.rendering import makers

pytestmark = pytest.mark.django_db
Status = RenderJob.Status


@pytest.fixture
def multiplied(price: PriceRule) -> PriceRule:
    PriceRule.objects.filter(pk=price.pk).update(
        low_multiplier=Decimal("0.8"), high_multiplier=Decimal("1.5"), urgent_multiplier=2
    )
    price.refresh_from_db()
    return price


# --- The formula -----------------------------------------------------------------------------------------------


def test_price_is_base_times_priority_less_the_discount(
    owner_api: Client, owner: User, node: RenderNode, multiplied: PriceRule
) -> None:
    MembershipPlan.objects.filter(level=0).update(discount=Decimal("0.05"))
    scene = makers.scene(owner)
    job = makers.draft(owner, scene, frames="1-10:3", priority=2)

    body = owner_api.get(f"/tasks/{job.pk}/estimate").json()
    assert (body["frames"], body["base_price"], body["priority_multiplier"], body["discount"]) == (
        4,
        0.5,
        1.5,
        0.05,
    )
    assert (body["unit_price"], body["estimated_cost"], body["basis"]) == (0.7125, 2.85, "frames")

    job = makers.queued(owner, scene, frames="1-10:3", priority=2)
    # What is changed afterwards does not reach the job.
    MembershipPlan.objects.filter(level=0).update(discount=0)
    PriceRule.objects.update(price=9, high_multiplier=7)
    for _frame in range(4):
        makers.succeed(makers.claimed(node))
    task = owner_api.get(f"/tasks/{job.pk}").json()
    assert task["actual_cost"] == task["estimated_cost"] == 2.85
    kept = (
        "price_rule_id",
        "price_version",
        "price_unit",
        "base_price",
        "price_multiplier",
        "price_discount",
    )
    assert [task[name] for name in kept] == [str(multiplied.pk), 1, "frame", 0.5, 1.5, 0.05]
    assert makers.audit().keys() <= {"a line has the price of the job's rule, at a priority that there is"}


def test_another_priority_counts_for_what_is_not_rendered_yet(
    owner_api: Client, owner: User, node: RenderNode, multiplied: PriceRule
) -> None:
    balance, _held = makers.money(owner)
    job = makers.queued(owner, frames="1-4", priority=0)
    assert makers.money(owner)[1] == Decimal("1.6")
    makers.succeed(makers.claimed(node))
    going_on = makers.claimed(node)

    task = owner_api.put(f"/tasks/{job.pk}/priority", {"priority": 3}).json()
    assert (task["unit_price"], task["actual_cost"], task["estimated_cost"]) == (1.0, 0.4, 3.4)
    assert makers.money(owner) == (balance - Decimal("0.4"), 3)
    makers.succeed(going_on)
    for _frame in range(2):
        makers.succeed(makers.claimed(node))

    assert makers.money(owner) == (balance - Decimal("3.4"), 0)
    assert sorted(Bill.objects.values_list("amount", flat=True)) == [Decimal("0.4"), Decimal(3)]
    assert makers.audit() == {}


def test_a_dearer_priority_that_cannot_be_paid_changes_nothing(
    owner_api: Client, owner: User, node: RenderNode, multiplied: PriceRule
) -> None:
    job = makers.queued(owner, frames="1-4", priority=0)
    makers.succeed(makers.claimed(node))
    makers.spend(owner, "0.5")
    before = makers.money(owner)

    refused = owner_api.put(f"/tasks/{job.pk}/priority", {"priority": 3})
    assert (refused.status_code, refused.json()["code"]) == (402, "insufficient_balance")
    job = makers.fresh(job)
    assert (job.priority, job.unit_price, job.charged_frames, makers.money(owner)) == (
        0,
        Decimal("0.4"),
        0,
        before,
    )
    assert makers.audit() == {}


def test_a_priority_above_the_plan_is_refused(owner_api: Client, owner: User, node: RenderNode) -> None:
    MembershipPlan.objects.filter(level=0).update(max_priority=2)
    scene = makers.scene(owner)
    wanted = {"task_name": "shot", "scene_file_id": str(scene.pk), "frames": "1", "priority": 3}
    refused = owner_api.post("/tasks", wanted)
    assert (refused.status_code, refused.json()["code"], refused.json()["highest"]) == (
        403,
        "priority_too_high",
        2,
    )
    assert not RenderJob.objects.exists()
    job = makers.draft(owner, scene, frames="1", priority=2)
    assert owner_api.put(f"/tasks/{job.pk}/priority", {"priority": 3}).json()["code"] == "priority_too_high"
    MembershipPlan.objects.filter(level=0).update(max_priority=1)
    assert owner_api.post(f"/tasks/{job.pk}/submit").json()["code"] == "priority_too_high"
    assert makers.fresh(job).status == Status.DRAFT
    owner_api.put(f"/tasks/{job.pk}/priority", {"priority": 1})
    assert owner_api.post(f"/tasks/{job.pk}/submit").status_code == 202


# --- While it renders --------------------------------------------------------------------------------------------


def test_what_is_rendered_is_charged_at_most_once_a_minute(owner: User, node: RenderNode) -> None:
    balance, _held = makers.money(owner)
    job = makers.queued(owner, frames="1-5")
    for _frame in range(3):
        makers.succeed(makers.claimed(node))
    assert makers.money(owner) == (balance, Decimal("2.5"))
    assert money.capture_due(now=timezone.now()) == 0

    later = timezone.now() + timedelta(seconds=61)
    assert [money.capture_due(now=later) for _twice in range(2)] == [1, 0]
    assert makers.money(owner) == (balance - Decimal("1.5"), 1)
    assert makers.fresh(job).actual_cost == Decimal("1.5")
    assert makers.audit() == {}
    makers.succeed(makers.claimed(node))
    jobs.cancel_job(job=makers.fresh(job))

    assert makers.money(owner) == (balance - 2, 0)
    assert list(LedgerEntry.objects.filter(kind="consume").order_by("sequence").values_list("amount", flat=True)) == [
        Decimal("-1.5"), Decimal("-0.5"),
    ]  # fmt: skip
    assert (Bill.objects.get().amount, makers.fresh(job).capture_due_at) == (2, None)
    assert makers.audit() == {}


def test_a_job_that_cannot_be_charged_does_not_keep_the_others(owner: User, node: RenderNode) -> None:
    balance, _held = makers.money(owner)
    found = []
    for _job in range(2):
        found.append(makers.queued(owner, frames="1-2"))
        makers.succeed(makers.claimed(node))
        makers.claimed(node)
    RenderJob.objects.update(capture_due_at=timezone.now())
    RenderJob.objects.filter(pk=found[0].pk).update(capture_due_at=timezone.now() - timedelta(hours=1))
    makers.break_row(Hold.objects.get(task_id=found[0].pk))
    assert money.capture_due() == 1
    assert makers.money(owner)[0] == balance - Decimal("0.5")


def test_what_failed_and_was_retried_is_not_charged_before_it_fails_again(
    owner: User, node: RenderNode, settings: Any
) -> None:
    settings.RENDER_FAILED_SHARE = Decimal("0.2")
    balance, _held = makers.money(owner)
    job = makers.queued(owner, frames="1-4")
    makers.succeed(makers.claimed(node))
    makers.fail(makers.claimed(node), "missing_texture", is_permanent=True)
    assert money.capture_due(now=timezone.now() + timedelta(seconds=61)) == 1
    assert makers.audit() == {}
    retry_frames(job=job)
    jobs.cancel_job(job=makers.fresh(job))
    assert makers.money(owner) == (balance - Decimal("0.5"), 0)
    assert makers.audit() == {}


@pytest.mark.django_db(transaction=True)
def test_charging_while_frames_end_and_the_owner_cancels(owner: User, node: RenderNode) -> None:
    for _round in range(3):
        job = makers.queued(owner, frames="1-6")
        running = [makers.claimed(node) for _frame in range(5)]
        makers.succeed(running.pop())

        def act(number: int, job: RenderJob = job, running: list[Attempt] = running) -> None:
            try:
                if number < 4:
                    makers.succeed(running[number])
                elif number < 7:
                    money.capture_due(now=timezone.now() + timedelta(hours=1))
                else:
                    jobs.cancel_job(job=makers.fresh(job))
            except Conflict:
                return

        race(8, act)
        assert makers.audit() == {}
        assert makers.money(owner)[1] == 0
    rendered = Frame.objects.filter(status="done").count()
    assert sum(Bill.objects.values_list("amount", flat=True)) == rendered * Decimal("0.5")


def test_frames_that_fail_by_a_fault_of_the_scene_are_free_unless_said_otherwise(
    owner: User, node: RenderNode, settings: Any
) -> None:
    balance, _held = makers.money(owner)

    def render() -> RenderJob:
        job = makers.queued(owner, frames="1-4")
        makers.succeed(makers.claimed(node))
        makers.fail(makers.claimed(node), "missing_texture", is_permanent=True)
        makers.fail(makers.claimed(node), "no_camera", is_permanent=True)
        makers.fail(makers.claimed(node), "crashed", is_permanent=True)
        return makers.fresh(job)

    assert render().actual_cost == Decimal("0.5")
    settings.RENDER_FAILED_SHARE = Decimal("0.2")
    job = render()
    assert job.actual_cost == Decimal("0.7")
    lines = (
        Bill.objects.get(task_id=job.pk).lines.order_by("-unit_price").values_list("quantity", "unit_price")
    )
    assert list(lines) == [(1, Decimal("0.5")), (2, Decimal("0.1"))]
    retry_frames(job=job, frames="2")
    makers.succeed(makers.claimed(node))
    # The one that failed again is not charged again: it was not tried again.
    assert makers.fresh(job).actual_cost == Decimal("1.2")
    assert makers.money(owner) == (balance - Decimal("1.7"), 0)
    assert makers.audit() == {}
