"""Shapes of notifications."""

from rest_framework import serializers

from accounts.models import Notification
from accounts.services.notifications import rendered

MAX_IDS = 1000


class NotificationSerializer(serializers.ModelSerializer):
    """A notification in the language of the reader. `read_at` is null while it is unread."""

    title = serializers.SerializerMethodField()
    message = serializers.SerializerMethodField()
    type = serializers.ChoiceField(source="level", choices=Notification.Level.choices, read_only=True)

    class Meta:
        model = Notification
        fields = ("id", "title", "message", "type", "action_url", "created_at", "read_at")
        read_only_fields = fields

    def get_title(self, notification: Notification) -> str:
        return rendered(notification.title, notification.params)

    def get_message(self, notification: Notification) -> str:
        return rendered(notification.message, notification.params)


class ReadSerializer(serializers.Serializer):
    ids = serializers.ListField(
        child=serializers.UUIDField(),
        required=False,
        allow_null=True,
        max_length=MAX_IDS,
        help_text="Those to mark; left out: all.",
    )


class ReadAnswerSerializer(serializers.Serializer):
    success = serializers.BooleanField()
    read = serializers.IntegerField(help_text="How many were unread until now.")


class UnreadCountSerializer(serializers.Serializer):
    unread = serializers.IntegerField()
