"""Money held for paused tasks that nobody resumes: after a while it is released."""

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.models import Notification
from accounts.services.notifications import notify
from billing.models import Hold
from rendering.models import RenderJob
from rendering.services import news
from rendering.services.money import settle

logger = logging.getLogger(__name__)
Reason = RenderJob.PauseReason


def expire_holds(*, now: datetime, limit: int = 1000) -> int:
    """Settle jobs that were paused RENDER_IDLE_HOLD_DAYS ago; returns how many. They hold money again when they go
    on.

    A job that waits for money is left out: it holds none that it could release, and goes on by itself.
    """
    since = now - timedelta(days=settings.RENDER_IDLE_HOLD_DAYS)
    idle = RenderJob.objects.filter(
        status=RenderJob.Status.PAUSED, updated_at__lte=since, hold__status=Hold.Status.OPEN
    ).exclude(pause_reason=Reason.BALANCE)
    expired = 0
    for pk in idle.order_by("updated_at", "pk").values_list("pk", flat=True)[:limit]:
        try:
            with transaction.atomic():
                job = RenderJob.objects.select_for_update(no_key=True).get(pk=pk)
                # Asked in a second statement: while this waited for the job's lock the hold may have been closed, and
                # a joined row is not read again.
                if idle.filter(pk=pk).exists():
                    let_go(job)
                    expired += 1
        except Exception:  # one broken job must not keep the others
            logger.exception("the money of task %s was not released", pk)
    return expired


def let_go(job: RenderJob) -> None:
    settle(job)
    news.log(job, _("Paused for long: the money set aside was released."))
    notify(
        user=job.user,
        title=gettext_noop("The money set aside for %(task)s was released"),
        message=gettext_noop(
            "The task is paused for %(days)s days. It sets money aside again when it goes on."
        ),
        level=Notification.Level.INFO,
        params={"task": job.task_name, "days": settings.RENDER_IDLE_HOLD_DAYS},
        action_url=f"/tasks/{job.pk}",
    )
