"""The one WebSocket: /ws. Apps publish to it through common.realtime; it only carries.

Sign-in: `?ticket=` (POST /auth/ws-ticket), `?token=` or an Authorization header (access token), or a first message
`{"event": "auth", "data": {"token": ...}}` within AUTH_SECONDS. A `user_id` in the address that is not the
token's is refused. Events: wire contract §4.
"""

import asyncio
import contextlib
import json
import logging
from typing import Any
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import DatabaseError
from django.http import HttpRequest
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts.errors import TokenInvalid
from accounts.models import Session
from accounts.services import notifications, sessions
from common import realtime
from common.ids import as_uuid
from common.parsers import is_storable, strict_json

logger = logging.getLogger(__name__)
AUTH_SECONDS = 10
REFUSED = 4401
MAX_MESSAGE = 16 * 1024
NOTIFICATION = '{"event": "notification"'


def language_of(headers: dict[bytes, bytes]) -> str:
    """The language that the handshake asks for, told as for any request."""
    request = HttpRequest()
    request.META["HTTP_ACCEPT_LANGUAGE"] = headers.get(b"accept-language", b"").decode("latin-1")
    return translation.get_language_from_request(request)


def in_words(text: str) -> str:
    """A published notification in the language of the socket."""
    event = json.loads(text)
    return json.dumps({**event, "data": notifications.translated(event["data"])}, ensure_ascii=False)


class EventConsumer(AsyncWebsocketConsumer):
    session: Session | None = None
    watcher: asyncio.Task | None = None
    seen: tuple[int, ...] = ()
    is_over = False

    async def connect(self) -> None:
        asked = parse_qs(self.scope["query_string"].decode("latin-1"))
        query = {key: values[-1] for key, values in asked.items()}
        self.since = query.get("since", "")
        self.wanted_user = self.scope["url_route"]["kwargs"].get("user_id") or query.get("user_id", "")
        headers = dict(self.scope["headers"])
        translation.activate(language_of(headers))  # for this socket's task, and those it makes
        bearer = headers.get(b"authorization", b"").decode("latin-1").removeprefix("Bearer ").strip()
        token = query.get("token") or bearer
        if not query.get("ticket") and not token:
            await self.accept()
            self.watcher = asyncio.create_task(self.wait_for_sign_in())
            return
        try:
            session = await self.authenticate(query.get("ticket", ""), token)
        except TokenInvalid:
            await self.close(REFUSED)
            return
        await self.accept()
        await self.start(session)

    @database_sync_to_async
    def authenticate(self, ticket: str, token: str) -> Session:
        session = sessions.redeem_ticket(ticket) if ticket else sessions.session_of(token)
        if self.wanted_user and as_uuid(self.wanted_user) != session.user_id:
            raise TokenInvalid
        return session

    async def wait_for_sign_in(self) -> None:
        await asyncio.sleep(AUTH_SECONDS)
        await self.close(REFUSED)

    async def start(self, session: Session) -> None:
        """Subscribe first, then catch up, so that nothing falls between; what comes twice is dropped by revision."""
        if self.watcher:
            self.watcher.cancel()
        self.session = session
        await self.channel_layer.group_add(realtime.group_of(session.user_id), self.channel_name)
        now = timezone.now()
        await self.emit("connection:established", user_id=session.user_id, timestamp=now)
        welcome = {"title": _("Connected"), "message": _("You will see your tasks live."), "type": "success"}
        await self.emit("notification", **welcome, timestamp=now)
        if self.since:
            await self.catch_up(session)
        self.watcher = asyncio.create_task(self.watch_session(session))

    async def catch_up(self, session: Session) -> None:
        missed = await asyncio.to_thread(realtime.missed, session.user_id, self.since)
        if missed is None:
            await self.emit("resync", message=_("Events are missing; read the state from the API."))
            return
        for revision, text in missed:
            await self.forward(revision, text)

    async def watch_session(self, session: Session) -> None:
        """Close the socket soon after its session has ended, also where the word about it was lost."""
        while not self.is_over:
            await asyncio.sleep(settings.WS_RECHECK_SECONDS)
            await self.check_session(session)

    async def check_session(self, session: Session) -> None:
        if self.is_over:
            return
        try:
            await database_sync_to_async(sessions.living_session)(session.pk, session.user_id)
        except TokenInvalid:
            self.is_over = True
            await self.close(REFUSED)
        except DatabaseError:
            logger.warning("session %s could not be looked up", session.pk, exc_info=True)

    async def session_check(self, message: dict[str, Any]) -> None:
        """A session of the user has ended (sign-out, block, password change): look whether it is this one."""
        if self.session:
            await self.check_session(self.session)

    async def disconnect(self, code: int) -> None:
        if self.watcher:
            self.watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.watcher
        if self.session:
            await self.channel_layer.group_discard(realtime.group_of(self.session.user_id), self.channel_name)

    async def news(self, message: dict[str, Any]) -> None:
        """An event from the channel layer."""
        await self.forward(message["revision"], message["text"])

    async def forward(self, revision: str, text: str) -> None:
        position = tuple(int(part) for part in revision.split("-"))
        if self.seen and position <= self.seen:
            return
        self.seen = position
        if text.startswith(NOTIFICATION):
            text = in_words(text)
        await self.send(text[:-1] + f', "revision": "{revision}"}}')

    async def emit(self, event: str, **data: Any) -> None:
        await self.send(json.dumps({"event": event, "data": data}, cls=DjangoJSONEncoder))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            if text_data is None or len(text_data) > MAX_MESSAGE:
                raise ValueError
            message = strict_json(text_data)
            event, data = message["event"], message.get("data") or {}
            if not isinstance(event, str) or not isinstance(data, dict) or not is_storable(message):
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            await self.emit("error", message=_("Not a JSON message with an event."))
            return
        if self.session is None:
            await self.sign_in(event, data)
            return
        await self.handle(event, data)

    async def sign_in(self, event: str, data: dict[str, Any]) -> None:
        if event in ("ping", "heartbeat"):
            await self.emit("pong", timestamp=data.get("timestamp"))
            return
        try:
            if event != "auth":
                raise TokenInvalid
            session = await self.authenticate(str(data.get("ticket") or ""), str(data.get("token") or ""))
        except TokenInvalid:
            await self.close(REFUSED)
            return
        await self.start(session)

    async def handle(self, event: str, data: dict[str, Any]) -> None:
        task_id = data.get("task_id") or data.get("taskId")
        if event in ("ping", "heartbeat"):
            await self.emit("pong", timestamp=data.get("timestamp"))
        elif event in ("subscribe", "unsubscribe"):
            # Everything of the user's arrives anyway; the words are answered because clients wait for them.
            if task_id:
                await self.emit(f"{event}d", task_id=task_id, taskId=task_id, message="ok")
            else:
                await self.emit("error", message=_("task_id is missing."))
        else:
            await self.emit("error", message=_("Unknown event type: %(event)s") % {"event": event[:64]})
