"""What comes in the middle of something else: one waits for a row of the other, and goes on by what it says then."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from accounts.models import Notification, User
from accounts.services.deletion import delete_user
from accounts.services.levels import change_level
from billing.models import MembershipPlan, PriceRule
from billing.services import membership
from billing.services.credits import credit
from billing.services.ledger import wallet_of
from billing.services.receivables import lock_wallet
from drives.models import Drive
from drives.services.places import lock_tree
from rendering.models import Attempt, ConcurrencyLimit, Frame, RenderJob, RenderNode, SceneReport
from rendering.node import Node
from rendering.node.node import NameInUse
from rendering.services import attempts, jobs, limits
from rendering.services.admission import advance_job
from rendering.services.idle_holds import expire_holds
from tests.racing import overtake, waiting_for_locks
from tests.rendering import makers

pytestmark = pytest.mark.django_db(transaction=True)
Status = RenderJob.Status


def renew(attempt: Attempt) -> bool:
    return attempts.renew(attempt_id=attempt.pk, progress=40, message="Sample 4/10", log_tail="Sample 4/10")


def test_a_heartbeat_behind_the_end_of_its_attempt_changes_nothing(owner: User, node: RenderNode) -> None:
    makers.queued(owner, frames="1-2")
    attempt = makers.claimed(node)
    assert not overtake(lambda: makers.fail(attempt), lambda: renew(attempt))
    attempt.refresh_from_db()
    assert (attempt.message, attempt.progress, attempt.log_tail) == ("It went wrong: crashed.", 0, "")


def test_two_hosts_at_once_do_not_take_over_the_same_node(node: RenderNode) -> None:
    RenderNode.objects.filter(pk=node.pk).update(heartbeat_at=timezone.now() - timedelta(hours=1))

    def taken_elsewhere() -> None:
        RenderNode.objects.filter(pk=node.pk).update(host="elsewhere", heartbeat_at=timezone.now())

    def take() -> str:
        try:
            Node(name=node.name, slots=1).register()
        except NameInUse:
            return "in use"
        return "taken"

    RenderNode.objects.filter(pk=node.pk).update(host="an older one")
    assert overtake(taken_elsewhere, take) == "in use"


def test_of_two_schedules_at_once_one_tells_that_money_was_released(
    owner: User, node: RenderNode, price: PriceRule
) -> None:
    job = jobs.pause_job(job=makers.queued(owner, frames="1-4"))
    RenderJob.objects.filter(pk=job.pk).update(updated_at=timezone.now() - timedelta(days=31))
    now = timezone.now()
    assert overtake(lambda: expire_holds(now=now), lambda: expire_holds(now=now)) == 0
    assert Notification.objects.filter(user=owner, title__contains="released").count() == 1


@pytest.fixture
def levels(transactional_db: None) -> Iterator[None]:
    """Two frames at once, or sixteen with Pro. Plans outlive a test that commits."""
    for level, frames in {0: 2, 2: 16}.items():
        MembershipPlan.objects.filter(level=level).update(concurrent_frames=frames)
    yield
    MembershipPlan.objects.update(concurrent_frames=None)


def test_a_job_that_was_read_before_its_owner_s_level_was_raised_runs_by_the_new_one(
    owner: User, node: RenderNode, levels: None
) -> None:
    makers.queued(owner, frames="1")
    job = RenderJob.objects.select_related("user").get()
    change_level(User.objects.filter(pk=owner.pk), level=2)
    with transaction.atomic():
        assert limits.limits_of(job).share.maximum == 16


def test_a_job_that_is_queued_while_its_owner_s_level_is_raised_runs_by_the_new_one(
    owner: User, node: RenderNode, levels: None
) -> None:
    """It counts as the level of before says, which changes while it waits for the limit."""
    makers.queued(owner, frames="1")
    job = RenderJob.objects.get()
    ConcurrencyLimit.objects.filter(kind="user").update(maximum=4)

    def count() -> int | None:
        with transaction.atomic():
            return limits.limits_of(job).share.maximum

    assert overtake(lambda: change_level(User.objects.filter(pk=owner.pk), level=2), count) == 16
    assert ConcurrencyLimit.objects.get(kind="user").maximum == 16


def test_an_account_is_deleted_while_its_job_ends(owner: User, node: RenderNode) -> None:
    job = makers.queued(owner, frames="1")
    attempt, now = makers.claimed(node), timezone.now()
    User.objects.filter(pk=owner.pk).update(deletion_due_at=now)
    assert overtake(lambda: makers.succeed(attempt), lambda: delete_user(user_id=owner.pk, now=now))
    assert makers.fresh(job).status == Status.COMPLETED
    assert makers.audit() == {}


# --- Locks: job, drive, places, hold, wallet -----------------------------------------------------------------------


def test_money_is_held_anew_while_a_claim_holds_the_job(
    owner: User, node: RenderNode, price: PriceRule
) -> None:
    """Who waited for the claim would do so with the wallet in hand, and the claim waits for whoever ends a job."""
    PriceRule.objects.filter(pk=price.pk).update(high_multiplier=2)
    job = makers.queued(owner, frames="1-3")
    makers.claimed(node)

    def raise_priority() -> int:
        return jobs.set_priority(job=job, priority=2, by_operator=True).priority

    def nobody_waits() -> None:
        assert waiting_for_locks() == 0

    assert overtake(lambda: makers.claimed(node), raise_priority, nobody_waits) == 2
    assert makers.fresh(job).hold_id != job.hold_id
    assert makers.audit() == {}


@pytest.mark.parametrize("end", [makers.fail, lambda attempt: attempts.lose(attempt_id=attempt.pk)])
def test_an_attempt_that_ends_has_its_frames_before_its_places(
    owner: User, node: RenderNode, end: Callable[[Attempt], Any]
) -> None:
    """So has a claim, which may hold a frame that another took at the moment of its look, and come for a place then."""
    makers.queued(owner, frames="1-2")
    attempt = makers.claimed(node)
    overtake(
        lambda: Frame.objects.select_for_update().get(attempt=attempt),
        lambda: end(attempt),
        lambda: ConcurrencyLimit.objects.select_for_update(no_key=True).get(kind="user", key=str(owner.pk)),
    )
    assert Frame.objects.get(attempts=attempt).status == "ready"
    assert makers.audit() == {}


def test_a_job_that_is_queued_has_its_drive_before_its_places(owner: User, node: RenderNode) -> None:
    """Its places are not yet what its owner's level gives, and are locked to be changed."""
    makers.queued(owner, frames="1")
    job, file = makers.pending_without_report(owner, frames="1-2")
    SceneReport.objects.all().delete()
    makers.set_report(file)
    places = ConcurrencyLimit.objects.filter(kind="user", key=str(owner.pk))
    places.update(maximum=4)
    overtake(
        lambda: lock_tree(Drive.objects.get(user=owner)),
        lambda: advance_job(job_id=job.pk),
        lambda: places.select_for_update(no_key=True).get(),
    )
    assert (makers.fresh(job).status, places.get().maximum) == (Status.QUEUED, None)


def upgrade(owner: User) -> Any:
    return membership.change_plan(user=owner, level=MembershipPlan.Level.PRO)


def renewal(owner: User) -> Any:
    """A month of Pro is over, and goes on as Basic."""
    assert membership.renew_due(now=timezone.now() + timedelta(days=40)) == 1


def resume(owner: User) -> Any:
    """Nobody has come to stop what runs of it, and its money was released."""
    return jobs.resume_job(job=RenderJob.objects.get(status=Status.PAUSED))


def advance(owner: User) -> Any:
    """Its scene was not read when it was submitted."""
    return advance_job(job_id=RenderJob.objects.get(status=Status.PENDING).pk)


def delete(owner: User) -> Any:
    return delete_user(user_id=owner.pk, now=timezone.now())


@pytest.mark.parametrize("act", [upgrade, renewal, resume, advance, delete])
def test_nobody_waits_for_places_or_a_drive_with_money_in_hand(
    owner: User, node: RenderNode, act: Callable[[User], Any]
) -> None:
    """A job that ends has both in hand, and comes for the money then: they would meet in a circle."""
    credit(user=owner, amount=Decimal(1000), key="rich", reason="test")
    for level in () if act is upgrade else (2, 1):
        membership.change_plan(user=owner, level=level)
    for _job in range(2):
        makers.queued(owner, frames="1-2")
    makers.claimed(node)
    if act is resume:
        paused = makers.queued(owner, frames="1-2", priority=3)
        makers.claimed(node)
        RenderJob.objects.filter(pk=paused.pk).update(
            status=Status.PAUSED, pause_reason="user", updated_at=timezone.now() - timedelta(days=31)
        )
        assert expire_holds(now=timezone.now()) == 1
    if act is advance:
        _job_pending, file = makers.pending_without_report(owner, frames="1-2")
        SceneReport.objects.all().delete()
        makers.set_report(file)
    User.objects.filter(pk=owner.pk).update(deletion_due_at=timezone.now())
    wallet = wallet_of(owner)

    def hold() -> None:
        """As the end of the second job does."""
        RenderJob.objects.select_for_update(no_key=True).filter(status=Status.QUEUED).last()
        lock_tree(Drive.objects.get(user=owner))
        ConcurrencyLimit.objects.select_for_update(no_key=True).get(kind="user", key=str(owner.pk))

    overtake(hold, lambda: act(owner), lambda: lock_wallet(wallet))
    assert makers.audit() == {}
