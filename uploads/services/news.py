"""Progress events of uploads: at most two a second for each task; the last one is always sent.

What happens within a second of the last event waits for the end of that second; the end of the task is told at once.
"""

import time
from functools import partial
from uuid import UUID

from django.db import transaction

from common.realtime import end_turn, publish, rest_of_turn
from uploads.messages import tell_progress_later
from uploads.models import UploadTask
from uploads.selectors import progress_of

SECONDS = 1.0
MOST_QUIET = 1000
REST_SECONDS = 10  # a message that got lost bars no later one for longer


def announce(task: UploadTask, *, at_once: bool = False) -> None:
    """Tell the owner how far the upload is, once the transaction at hand is committed.

    `at_once` is for what the owner did or must not miss; the end of a task always is.
    """
    ended = task.status not in UploadTask.OPEN_STATUSES
    transaction.on_commit(partial(tell, task.pk, at_once=at_once or ended), robust=True)


quiet_until: dict[UUID, float] = {}
"""Monotonic time until which Redis need not be asked: a message is on its way that looks at the task after that."""


def tell(task_id: UUID, *, at_once: bool = False) -> None:
    """Send the event now, or once its turn has come."""
    now = time.monotonic()
    if not at_once and now < quiet_until.get(task_id, 0):
        return
    rest = None if at_once else rest_of_turn(f"upload:{task_id}", SECONDS, REST_SECONDS)
    if rest is None:
        task = UploadTask.objects.filter(pk=task_id).first()
        if task is not None:
            publish(task.user_id, "upload:progress", progress_of(task))
        return
    if rest == REST_SECONDS:
        tell_progress_later(task_id, seconds=SECONDS)
    if len(quiet_until) > MOST_QUIET:
        quiet_until.clear()
    quiet_until[task_id] = now + rest - (REST_SECONDS - SECONDS)


def tell_rest(task_id: UUID) -> None:
    """Send what had to wait. Whatever happens after this look at the task asks for a message of its own."""
    quiet_until.pop(task_id, None)
    end_turn(f"upload:{task_id}:rest")
    if UploadTask.objects.filter(pk=task_id, status__in=UploadTask.OPEN_STATUSES).exists():
        tell(task_id)  # otherwise its end has been told
