"""Shapes that all apps answer."""

from rest_framework import serializers


class DoneSerializer(serializers.Serializer):
    """A plain command was carried out."""

    success = serializers.BooleanField()
    message = serializers.CharField(required=False)
