"""What rendering does about signals from the apps below."""

from contextlib import suppress
from typing import Any

from django.dispatch import receiver

from accounts.models import User
from accounts.signals import level_changed, user_deleted, user_leaves
from billing.models import MembershipPlan, Wallet
from billing.signals import plan_changed, wallet_credited
from common.errors import TransitionNotAllowed
from rendering import messages
from rendering.models import RenderJob
from rendering.services import limits
from rendering.services.jobs import cancel_job


@receiver([user_leaves, user_deleted])
def end_jobs(sender: Any, user: User, **kwargs: Any) -> None:
    """Jobs of a deleted user end: what was rendered is charged, the rest of the money is released.

    They end before the deletion, each in its own transaction, so that none waits for a job while it holds the locks of
    another. In the deletion itself end those that were submitted in between.
    """
    open_jobs = RenderJob.objects.filter(user=user).exclude(status__in=RenderJob.FINAL_STATUSES)
    for job in open_jobs.select_related("user", "drive", "hold").order_by("pk"):
        with suppress(TransitionNotAllowed):  # it ended by itself meanwhile
            cancel_job(job=job)


@receiver(level_changed)
def share_by_level(sender: Any, user: User, **kwargs: Any) -> None:
    """What is queued already counts by the new level."""
    limits.level_changed(user)


@receiver(plan_changed)
def share_by_plan(sender: Any, plan: MembershipPlan, **kwargs: Any) -> None:
    """What is queued already counts by the changed plan."""
    limits.plan_changed(plan)


@receiver(wallet_credited)
def go_on_with_money(sender: Any, wallet: Wallet, **kwargs: Any) -> None:
    """Jobs that wait for money of this wallet go on. `tend` finds those that this misses."""
    if RenderJob.objects.filter(pause_reason=RenderJob.PauseReason.BALANCE, hold__wallet=wallet).exists():
        messages.tell_credited(wallet.pk)
