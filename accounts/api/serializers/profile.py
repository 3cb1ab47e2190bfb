"""Shapes of a user's own account: profile, security log, deletion."""

from typing import Any

from rest_framework import serializers

from accounts.models import AuditEvent


class SecurityEventSerializer(serializers.ModelSerializer):
    """An event of the security log. From where somebody else acted is theirs: `ip` and `device` are empty then."""

    label = serializers.CharField(source="get_action_display", read_only=True)
    ip = serializers.SerializerMethodField()
    device = serializers.SerializerMethodField()
    by_operator = serializers.SerializerMethodField()
    before = serializers.DictField(read_only=True)
    after = serializers.DictField(read_only=True)

    class Meta:
        model = AuditEvent
        fields = ("id", "action", "label", "ip", "device", "created_at", "by_operator", "before", "after")

    def is_by_another(self, event: AuditEvent) -> bool:
        return event.action in AuditEvent.BY_OPERATORS or event.actor_id not in (None, event.user_id)

    def get_ip(self, event: AuditEvent) -> str | None:
        return None if self.is_by_another(event) else event.ip

    def get_device(self, event: AuditEvent) -> str:
        return "" if self.is_by_another(event) else event.device

    def get_by_operator(self, event: AuditEvent) -> bool:
        actor: Any = event.actor
        return event.action in AuditEvent.BY_OPERATORS or (
            self.is_by_another(event) and actor is not None and actor.is_staff
        )
