"""What happened to the account of the user who asks."""

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.mixins import ListModelMixin

from accounts.api.serializers.profile import SecurityEventSerializer
from accounts.models import AuditEvent
from common.views import VisibleViewSet


@extend_schema(tags=["users"])
class SecurityLogViewSet(ListModelMixin, VisibleViewSet):
    """Sign-ins, failures, ended sessions, changes of balance, roles and profile, newest first."""

    model = AuditEvent
    serializer_class = SecurityEventSerializer
    results_key = "events"

    def narrow(self, rows: QuerySet) -> QuerySet:
        return rows.select_related("actor").order_by("-created_at", "-pk")
