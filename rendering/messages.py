"""Celery messages of rendering, by name.

They carry ids only and may arrive twice, late or never: the database knows what is due, and `tend` sends it again.
"""

from uuid import UUID

from celery import current_app
from django.conf import settings
from django.db import transaction

SLOT_SECONDS = 30
MESSAGE_SECONDS = 600  # a worker that comes back drops what was tended again meanwhile


def queue_of(engine: str) -> str:
    return f"render.{engine}"


def send_on_commit(name: str, *arguments: str) -> None:
    """Send after the commit. While the broker is away this costs a few seconds, not the request: `tend` sends it
    again.
    """
    transaction.on_commit(lambda: send(name, *arguments), robust=True)


def send(name: str, *arguments: str) -> None:
    queue = settings.CELERY_TASK_ROUTES.get(f"rendering.tasks.{name}", {}).get("queue")
    current_app.send_task(f"rendering.tasks.{name}", args=arguments, queue=queue, expires=MESSAGE_SECONDS)


def ask_inspection(report_id: UUID) -> None:
    send_on_commit("inspect_scene", str(report_id))


def ask_advance(job_id: UUID) -> None:
    send_on_commit("advance_job", str(job_id))


def tell_credited(wallet_id: UUID) -> None:
    send_on_commit("continue_paid", str(wallet_id))


def wake_slots(engine: str, count: int) -> None:
    """Tell `count` idle slots that there are frames. Messages nobody takes in time vanish."""
    for _slot in range(count):
        current_app.send_task(
            "rendering.tasks.fill_slot", args=[engine], queue=queue_of(engine), expires=SLOT_SECONDS
        )
