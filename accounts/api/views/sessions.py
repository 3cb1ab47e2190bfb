"""The sessions of who asks: where they are signed in."""

from typing import Any, cast
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.serializers.auth import EndedSerializer, SessionSerializer
from accounts.models import Session, User
from accounts.services.sessions import End, end_sessions
from common.errors import NotVisible
from common.serializers import DoneSerializer
from common.views import VisibleViewSet, done


@extend_schema(tags=["auth"])
class SessionViewSet(VisibleViewSet):
    """Living sessions; those that ended or expired are out of sight."""

    model = Session
    serializer_class = SessionSerializer
    results_key = "sessions"
    open_to_guests = ("destroy", "end_others")

    def narrow(self, rows: QuerySet) -> QuerySet:
        return cast(Any, rows).living(timezone.now())

    def list(self, request: Request) -> Response:
        """The devices that are signed in, those seen last first."""
        return self.page(self.get_queryset().order_by("-last_seen_at", "-pk"))

    @extend_schema(responses={200: DoneSerializer})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Sign a device out. Its tokens are refused from now on; ending the session that asks is signing out."""
        chosen = self.get_queryset().filter(pk=pk)
        if not end_sessions(chosen, reason=End.ENDED, actor=cast(User, request.user)):
            raise NotVisible
        return done()

    @extend_schema(request=None, responses=EndedSerializer)
    @action(detail=False, methods=["post"], url_path="end-others")
    def end_others(self, request: Request) -> Response:
        """Sign all other devices out."""
        others = self.get_queryset().exclude(pk=cast(Session, request.auth).pk)
        return done(ended=end_sessions(others, reason=End.OTHERS_ENDED, actor=cast(User, request.user)))
