"""Devices that sign in by themselves, and the phone that makes a guest a user."""

from dataclasses import asdict
from typing import cast
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import errors
from accounts.api.serializers import devices as shapes
from accounts.api.serializers.base import UserSerializer
from accounts.api.views.base import PublicView, checked, device_of
from accounts.models import AppPassword, Device, Session, User
from accounts.services import app_passwords, devices, phones
from common.limits import client_ip
from common.serializers import DoneSerializer
from common.views import VisibleViewSet, done


class DeviceSignInView(PublicView):
    refusals = {
        "post": (errors.WrongCredentials,),
    }

    @extend_schema(
        request=shapes.DeviceSignInSerializer, responses=shapes.DeviceSignedInSerializer, tags=["auth"]
    )
    def post(self, request: Request) -> Response:
        """Sign a device in. Its first use makes a guest, who may look and upload until a phone is bound."""
        data = checked(shapes.DeviceSignInSerializer, request)
        found = devices.sign_in(**data, agent=device_of(request), ip=client_ip(request))
        body = {**asdict(found.pack), "user": UserSerializer(found.user).data, "device_id": found.device_id}
        if found.secret:
            body["device_secret"] = found.secret
        return Response(body)


@extend_schema(tags=["users"])
class DeviceViewSet(ListModelMixin, VisibleViewSet):
    """The user's devices that may sign in, newest first."""

    model = Device
    serializer_class = shapes.DeviceSerializer
    results_key = "devices"
    open_to_guests = ("destroy",)

    def narrow(self, rows: QuerySet) -> QuerySet:
        return rows.order_by("-created_at", "-pk")

    @extend_schema(responses={200: DoneSerializer})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Let the device in no more, and end its sessions."""
        devices.revoke(device=cast(Device, self.get_object()))
        return done()


@extend_schema(tags=["users"])
class AppPasswordViewSet(ListModelMixin, VisibleViewSet):
    """The user's passwords for network drives, newest first."""

    model = AppPassword
    serializer_class = shapes.AppPasswordSerializer
    results_key = "app_passwords"
    refusals = {"create": (errors.TooManyAppPasswords,)}

    def narrow(self, rows: QuerySet) -> QuerySet:
        return rows.order_by("-created_at", "-pk")

    @extend_schema(responses={201: shapes.NewAppPasswordSerializer})
    def create(self, request: Request) -> Response:
        """A new one, for one device. It is told in this answer alone."""
        user, name = cast(User, request.user), self.valid(shapes.AppPasswordSerializer, request)["name"]
        session = cast(Session, request.auth)
        row, password = app_passwords.create(user=user, name=name, session=session)
        body = {**shapes.AppPasswordSerializer(row).data, "password": password, "username": user.username}
        return Response(body, status=201)

    @extend_schema(responses={200: DoneSerializer})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """It opens nothing any more."""
        app_passwords.revoke(app_password=cast(AppPassword, self.get_object()))
        return done()


class PhoneView(APIView):
    open_to_guests = ("post",)
    refusals = {
        "post": (errors.CodeInvalid, errors.PhoneTaken),
    }

    @extend_schema(request=shapes.PhoneSerializer, responses=UserSerializer, tags=["users"])
    def post(self, request: Request) -> Response:
        """Bind a phone, or another one, by a code sent for `bind_phone`."""
        data = checked(shapes.PhoneSerializer, request)
        user = phones.bind_phone(
            user=cast(User, request.user),
            phone=data["phone"],
            code=data["verification_code"],
            ip=client_ip(request),
        )
        return Response(UserSerializer(user).data)
