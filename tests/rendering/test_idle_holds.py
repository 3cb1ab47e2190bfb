"""Money set aside for tasks that are paused for long: released once, and held anew when they go on."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from accounts.models import Notification, User
from billing.models import Hold, PriceRule
from rendering.models import RenderJob, RenderNode
from rendering.services.idle_holds import expire_holds
from rendering.tasks import expire_holds as scheduled
from tests.conftest import Client
from tests.racing import race
from tests.rendering import makers

pytestmark = pytest.mark.django_db
MONTH = timedelta(days=30, minutes=1)


def age(job: RenderJob, by: timedelta = MONTH) -> None:
    RenderJob.objects.filter(pk=job.pk).update(updated_at=timezone.now() - by)


def paused(owner_api: Client, owner: User, node: RenderNode) -> RenderJob:
    """A job of four frames, one of which was rendered, paused by its owner."""
    job = makers.queued(owner, frames="1-4")
    makers.succeed(makers.claimed(node))
    assert owner_api.put(f"/tasks/{job.pk}/pause").status_code == 200
    return job


def test_a_task_paused_for_long_holds_anew_when_it_goes_on(
    owner_api: Client, owner: User, node: RenderNode, price: PriceRule
) -> None:
    balance, _held = makers.money(owner)
    job = paused(owner_api, owner, node)
    age(job, timedelta(days=29))
    assert expire_holds(now=timezone.now()) == 0
    assert makers.money(owner) == (balance, Decimal("2.00"))

    age(job)
    scheduled()
    assert makers.money(owner) == (balance - Decimal("0.50"), 0)
    task = owner_api.get(f"/tasks/{job.pk}").json()
    assert (task["pause_reason"], task["actual_cost"]) == ("user", 0.5)
    assert Notification.objects.filter(user=owner, title__contains="released").count() == 1
    age(job)
    assert expire_holds(now=timezone.now()) == 0

    assert owner_api.put(f"/tasks/{job.pk}/resume").status_code == 200
    assert makers.money(owner) == (balance - Decimal("0.50"), Decimal("1.50"))
    for _frame in range(3):
        makers.succeed(makers.claimed(node))
    assert makers.money(owner) == (balance - 2, 0)
    assert owner_api.get(f"/tasks/{job.pk}").json()["actual_cost"] == 2
    assert not makers.audit()


def test_a_task_that_cannot_hold_anew_stays_paused(
    owner_api: Client, owner: User, node: RenderNode, price: PriceRule
) -> None:
    job = paused(owner_api, owner, node)
    age(job)
    expire_holds(now=timezone.now())
    makers.spend(owner, "0.10")
    answer = owner_api.put(f"/tasks/{job.pk}/resume")
    assert (answer.status_code, answer.json()["code"]) == (402, "insufficient_balance")
    job.refresh_from_db()
    assert (job.status, job.pause_reason) == (RenderJob.Status.PAUSED, "user")


def test_approval_that_cannot_hold_anew_is_refused(
    owner_api: Client, owner: User, node: RenderNode, price: PriceRule
) -> None:
    job = makers.queued(owner, frames="1-9", test_frames=True)
    for _frame in range(3):
        makers.succeed(makers.claimed(node))
    assert owner_api.get(f"/tasks/{job.pk}").json()["pause_reason"] == "approval"
    age(job)
    assert expire_holds(now=timezone.now()) == 1
    makers.spend(owner, "0.10")
    answer = owner_api.post(f"/tasks/{job.pk}/approve")
    assert (answer.status_code, answer.json()["code"]) == (402, "insufficient_balance")
    job.refresh_from_db()
    assert (job.status, job.approved_at) == (RenderJob.Status.PAUSED, None)


def test_a_task_that_waits_for_money_keeps_what_it_holds(
    owner: User, node: RenderNode, price: PriceRule
) -> None:
    job = makers.queued(owner, frames="1-4")
    RenderJob.objects.filter(pk=job.pk).update(status=RenderJob.Status.PAUSED, pause_reason="balance")
    age(job)
    assert expire_holds(now=timezone.now()) == 0
    assert Hold.objects.get(task_id=job.pk).status == Hold.Status.OPEN


def test_a_task_whose_money_cannot_be_released_does_not_keep_the_others(
    owner: User, node: RenderNode, price: PriceRule
) -> None:
    found = [makers.queued(owner, frames="1-4") for _job in range(2)]
    for job in found:
        RenderJob.objects.filter(pk=job.pk).update(status=RenderJob.Status.PAUSED, pause_reason="user")
    age(found[0], 2 * MONTH)
    age(found[1])
    makers.break_row(Hold.objects.get(task_id=found[0].pk))
    assert expire_holds(now=timezone.now()) == 1
    assert [Hold.objects.get(task_id=job.pk).status for job in found] == ["open", "closed"]


@pytest.mark.django_db(transaction=True)
def test_released_while_its_owner_goes_on(
    owner_api: Client, owner: User, node: RenderNode, price: PriceRule
) -> None:
    """Whichever is first: a task that is queued holds what its frames will cost."""
    job = paused(owner_api, owner, node)
    age(job)

    def act(number: int) -> None:
        if number % 2:
            expire_holds(now=timezone.now())
        else:
            owner_api.put(f"/tasks/{job.pk}/resume")

    race(4, act)
    job.refresh_from_db()
    assert job.status == RenderJob.Status.QUEUED
    held = Hold.objects.get(task_id=job.pk, status=Hold.Status.OPEN)
    assert held.amount - held.captured >= Decimal("1.50")
    assert not makers.audit()
