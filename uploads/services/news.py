"""News of how far an upload is: at most two a second for a task, the last one always sent.

What happens within a second of the last event waits for the end of that second; the end of the task is told at once.
"""

from functools import partial
from uuid import UUID

from django.db import transaction

from common.realtime import end_turn, publish, take_turn
from uploads.messages import tell_progress_later
from uploads.models import UploadTask
from uploads.selectors import progress_of

SECONDS = 1.0
REST_SECONDS = 10  # a message that got lost bars no later one for longer


def announce(task: UploadTask, *, at_once: bool = False) -> None:
    """Tell the owner how far the upload is, once the transaction at hand is committed.

    `at_once` is for what the owner did or must not miss; the end of a task always is.
    """
    ended = task.status not in UploadTask.OPEN_STATUSES
    transaction.on_commit(partial(tell, task.pk, at_once=at_once or ended), robust=True)


def tell(task_id: UUID, *, at_once: bool = False) -> None:
    """Send the event now, or have it sent when its turn has come."""
    if at_once or take_turn(f"upload:{task_id}", SECONDS):
        task = UploadTask.objects.filter(pk=task_id).first()
        if task is not None:
            publish(task.user_id, "upload:progress", progress_of(task))
    elif take_turn(f"upload-rest:{task_id}", REST_SECONDS):
        tell_progress_later(task_id, seconds=SECONDS)


def tell_rest(task_id: UUID) -> None:
    """Send what had to wait. Whatever comes after this look at the task asks for a message of its own."""
    end_turn(f"upload-rest:{task_id}")
    if UploadTask.objects.filter(pk=task_id, status__in=UploadTask.OPEN_STATUSES).exists():
        tell(task_id)  # otherwise its end has been told
