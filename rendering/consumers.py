"""Operators who watch a job: /ws/office/jobs/<id>, authenticated by their session of the back office.

The client sends nothing. It receives `job` at first and whenever the job's state or counts have changed, and `log`
with the end of the log of each running attempt, whenever that has changed. The database is read every LOOK_SECONDS,
and only while somebody watches; the owner's events are not used for this.
"""

import asyncio
import contextlib
import json
from importlib import import_module
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.contrib.auth import get_user
from django.db import DatabaseError
from django.http import HttpRequest

from accounts.models import User
from accounts.services import second_factor
from rendering.models import Attempt, RenderJob

REFUSED = 4403
STORE = import_module(settings.SESSION_ENGINE).SessionStore
LOOK_SECONDS = 1.5
RIGHT = "rendering.view_attempt"


def may_watch(session: Any) -> bool:
    """Whether this session of the back office is that of an operator who may see the logs of jobs."""
    request = HttpRequest()
    request.session = STORE(session.session_key)  # read anew: it may have ended
    user = get_user(request)
    if not isinstance(user, User) or not user.is_active or not user.is_staff:
        return False
    return second_factor.is_passed(request.session, user) and user.has_perm(RIGHT)


class JobWatchConsumer(AsyncWebsocketConsumer):
    watcher: asyncio.Task | None = None

    async def connect(self) -> None:
        self.job_id: UUID = self.scope["url_route"]["kwargs"]["job_id"]
        if not await self.is_allowed():
            await self.close(REFUSED)
            return
        await self.accept()
        self.watcher = asyncio.create_task(self.watch())

    @database_sync_to_async
    def is_allowed(self) -> bool:
        return may_watch(self.scope["session"]) and RenderJob.objects.filter(pk=self.job_id).exists()

    async def watch(self) -> None:
        """Tell what has changed; ask now and then whether it may still be told."""
        state: Any = None
        logs: dict[UUID, Any] = {}
        looks = 0
        while True:
            with contextlib.suppress(DatabaseError):
                now, running = await self.look()
                if now != state:  # at first, too: something may have changed since the page was made
                    await self.tell("job", status=now[0])
                state = now
                for attempt_id, progress, log in running:
                    if logs.get(attempt_id) != (progress, log):
                        await self.tell("log", attempt=attempt_id, progress=progress, log=log)
                logs = {attempt_id: (progress, log) for attempt_id, progress, log in running}
            await asyncio.sleep(LOOK_SECONDS)
            looks += 1
            if looks * LOOK_SECONDS >= settings.WS_RECHECK_SECONDS:
                looks = 0
                if not await self.is_allowed():
                    await self.close(REFUSED)
                    return

    @database_sync_to_async
    def look(self) -> tuple[Any, list[Any]]:
        attempts = Attempt.objects.filter(job=self.job_id, status=Attempt.Status.RUNNING).order_by("pk")
        running = list(attempts.values_list("pk", "progress", "log_tail")[:20])
        columns = ("status", "pause_reason", "done_frames", "failed_frames", "total_frames", "failure_code")
        job = RenderJob.objects.filter(pk=self.job_id).values_list(*columns).first()
        return ((*(job or ("",)), tuple(row[0] for row in running)), running)

    async def tell(self, event: str, **data: Any) -> None:
        await self.send(json.dumps({"event": event, "data": data}, default=str))

    async def disconnect(self, code: int) -> None:
        if self.watcher:
            self.watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.watcher
