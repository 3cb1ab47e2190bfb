"""The user who asks."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.serializers.base import UserSerializer


class MeView(APIView):
    @extend_schema(responses=UserSerializer, tags=["users"])
    def get(self, request: Request) -> Response:
        """The user who asks."""
        return Response(UserSerializer(request.user).data)
