"""The user who asks: profile, picture, e-mail, the end of the account."""

from typing import cast

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import errors
from accounts.api.serializers import profile as shapes
from accounts.api.views.base import checked
from accounts.models import Session, User
from accounts.services import avatars, deletion, emails, profile
from common.errors import Forbidden, TooLarge
from common.limits import client_ip
from common.serializers import DoneSerializer
from common.views import done

ROOM = 64 * 1024
"""What a multipart body may hold beside the picture."""


def site_of(request: Request) -> str:
    """Scheme and host that links to our pages begin with."""
    return settings.PUBLIC_URL or request.build_absolute_uri("/")


def shown(request: Request, user: User) -> Response:
    return Response(shapes.ProfileSerializer(user, context={"request": request}).data)


class MeView(APIView):
    @extend_schema(responses=shapes.ProfileSerializer, tags=["users"])
    def get(self, request: Request) -> Response:
        """The user who asks."""
        return shown(request, cast(User, request.user))


class ProfileView(MeView):
    open_to_guests = ("put", "patch")
    refusals = {
        "put": (
            errors.CodeInvalid,
            errors.UsernameTaken,
            errors.PhoneTaken,
            errors.EmailTaken,
            errors.MailFailed,
        ),
        "patch": (
            errors.CodeInvalid,
            errors.UsernameTaken,
            errors.PhoneTaken,
            errors.EmailTaken,
            errors.MailFailed,
        ),
    }

    @extend_schema(request=shapes.ProfileInputSerializer, responses=shapes.ProfileSerializer, tags=["users"])
    def put(self, request: Request) -> Response:
        """Change username, e-mail or phone; what is left out stays. An e-mail counts once its link is opened."""
        new = profile.NewProfile(**checked(shapes.ProfileInputSerializer, request))
        user = profile.update_profile(
            user=cast(User, request.user), new=new, ip=client_ip(request), site=site_of(request)
        )
        return shown(request, user)

    @extend_schema(request=shapes.ProfileInputSerializer, responses=shapes.ProfileSerializer, tags=["users"])
    def patch(self, request: Request) -> Response:
        """The same as PUT."""
        return self.put(request)


class AvatarView(APIView):
    parser_classes = (MultiPartParser,)
    throttle_scope = "avatar"
    open_to_guests = ("post", "delete")
    refusals = {
        "post": (errors.ImageInvalid,),
    }

    @extend_schema(request=shapes.AvatarSerializer, responses=shapes.ProfileSerializer, tags=["users"])
    def post(self, request: Request) -> Response:
        """Set the picture: JPEG, PNG, WebP or GIF of at most 5 MiB; it is cut to a square of 256 pixels."""
        # Told before the body is parsed.
        if int(request.META.get("CONTENT_LENGTH") or 0) > avatars.MAX_SIZE + ROOM:
            raise TooLarge(max_size=avatars.MAX_SIZE)
        picture = checked(shapes.AvatarSerializer, request)["picture"]
        return shown(
            request, avatars.set_avatar(user=cast(User, request.user), file=picture, size=picture.size)
        )

    @extend_schema(responses={200: shapes.ProfileSerializer}, tags=["users"])
    def delete(self, request: Request) -> Response:
        """Take the picture away."""
        return shown(request, avatars.remove_avatar(user=cast(User, request.user)))


class EmailLinkView(APIView):
    refusals = {
        "post": (errors.MailFailed,),
    }

    @extend_schema(request=None, responses=DoneSerializer, tags=["users"])
    def post(self, request: Request) -> Response:
        """Mail the link that proves the e-mail address once more."""
        emails.resend_link(user=cast(User, request.user), ip=client_ip(request), site=site_of(request))
        return done()


class EmailVerificationView(APIView):
    refusals = {
        "post": (errors.EmailLinkInvalid, errors.EmailTaken),
    }

    @extend_schema(request=shapes.EmailTokenSerializer, responses=shapes.ProfileSerializer, tags=["users"])
    def post(self, request: Request) -> Response:
        """Prove the e-mail address by the token of the mailed link."""
        token = checked(shapes.EmailTokenSerializer, request)["token"]
        return shown(request, emails.verify(token=token, user=cast(User, request.user)))


class DeletionView(APIView):
    open_to_guests = ("post", "delete")
    refusals = {
        "post": (
            Forbidden,
            errors.WrongPassword,
            errors.CodeInvalid,
            errors.LastOwner,
            errors.LoginLocked,
            errors.Busy,
        ),
        "delete": (errors.DeletionBegun,),
    }

    throttle_scope = "deletion"

    @extend_schema(
        request=shapes.DeletionSerializer, responses=shapes.DeletionAnswerSerializer, tags=["users"]
    )
    def post(self, request: Request) -> Response:
        """Have the account deleted after the days of grace; all other devices are signed out."""
        user = deletion.request_deletion(
            user=cast(User, request.user),
            session=cast(Session, request.auth),
            ip=client_ip(request),
            **checked(shapes.DeletionSerializer, request),
        )
        return Response(shapes.DeletionAnswerSerializer(user).data)

    @extend_schema(responses={200: DoneSerializer}, tags=["users"])
    def delete(self, request: Request) -> Response:
        """Call the deletion off, until its time is over."""
        deletion.cancel_deletion(user=cast(User, request.user))
        return done()
