"""What the doors of accounts share."""

from dataclasses import asdict
from typing import Any

from rest_framework import status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.serializers.base import UserSerializer
from accounts.models import User
from accounts.services.tokens import TokenPack


def checked(serializer_class: type[Any], request: Request) -> dict[str, Any]:
    serializer = serializer_class(data=request.data)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def device_of(request: Request) -> str:
    return request.headers.get("User-Agent", "")


def signed_in(user: User, pack: TokenPack, code: int = status.HTTP_200_OK) -> Response:
    return Response({**asdict(pack), "user": UserSerializer(user).data}, status=code)


class PublicView(APIView):
    """A door that needs no sign-in. An expired token in the header does not matter."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
