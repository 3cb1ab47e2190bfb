"""Doors of recharge orders, and those at which payment channels send their notices."""

from typing import Any, cast

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from accounts.models import User
from billing import errors
from billing.api import order_serializers as shapes
from billing.api.filters import asked_id, named_wallet
from billing.api.idempotency import HEADER, once_per_key
from billing.channels import offered
from billing.models import Currency, RechargeOrder
from billing.services import notices, orders
from common.errors import DomainError, Forbidden
from common.ids import new_id
from common.views import VisibleViewSet

PLACING = (
    errors.ChannelNotOffered,
    errors.CurrencyMismatch,
    errors.TooManyOrders,
    errors.IdempotencyConflict,
    errors.ChannelUnavailable,
    errors.ChannelRefused,
    Forbidden,
)


def place(request: Request, given: dict[str, Any]) -> RechargeOrder:
    """The order that a validated body asks for."""
    user = cast(User, request.user)
    return orders.place_order(
        wallet=named_wallet(user, given.get("wallet_id")),
        payer=user,
        channel=given.get("channel", ""),
        amount=given["amount"],
        currency=given.get("currency", Currency.CNY),
        key=request.headers.get(HEADER) or str(new_id()),
        description=given.get("description", ""),
        site=settings.PUBLIC_URL or request.build_absolute_uri("/"),
    )


OF_WALLET = OpenApiParameter("wallet", OpenApiTypes.UUID, description="Those of this wallet alone.")


@extend_schema(tags=["billing"])
class RechargeViewSet(ListModelMixin, RetrieveModelMixin, VisibleViewSet):
    """Recharge orders of one's own wallet, and of teams whose money one sees; newest first."""

    model = RechargeOrder
    results_key = "recharges"
    refusals = {
        "create": PLACING,
        "cancel": (errors.OrderNotPending, errors.ChannelUnavailable, errors.ChannelRefused, errors.ChannelNotOffered,
                   errors.SettlementRefused, errors.AmountMismatch, errors.CurrencyMismatch, errors.MerchantMismatch,
                   Forbidden),
    }  # fmt: skip

    def narrow(self, rows: QuerySet) -> QuerySet:
        wallet_id = asked_id(self.request, "wallet")
        return (rows.filter(wallet=wallet_id) if wallet_id else rows).order_by("-created_at", "-pk")

    def get_serializer_class(self) -> type[shapes.OrderSerializer]:
        return shapes.OrderSerializer if self.action == "list" else shapes.PayableOrderSerializer

    @extend_schema(parameters=[OF_WALLET])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().list(request, *args, **kwargs)

    @extend_schema(request=shapes.RechargeSerializer, responses={201: shapes.PayableOrderSerializer})
    @once_per_key
    def create(self, request: Request) -> Response:
        """An order, and how to pay it. The money is in the wallet once the channel says that it was paid."""
        order = place(request, self.valid(shapes.RechargeSerializer, request))
        return Response(shapes.PayableOrderSerializer(order).data, 201)

    @extend_schema(request=None, responses=shapes.PayableOrderSerializer)
    def cancel(self, request: Request, pk: Any = None) -> Response:
        """Close an order that waits; one that was paid meanwhile is credited, and says so."""
        order = orders.cancel_order(order=self.get_object(), actor=cast(User, request.user))
        return Response(shapes.PayableOrderSerializer(order).data)


class ChannelsView(APIView):
    @extend_schema(responses=shapes.ChannelsSerializer, tags=["billing"])
    def get(self, request: Request) -> Response:
        """The ways to pay that are offered here."""
        shown = {"channels": offered(), "limit": settings.RECHARGE_LIMIT, "currency": Currency.CNY}
        return Response(shapes.ChannelsSerializer(shown).data)


class RechargeView(APIView):
    """The door that existing clients know."""

    refusals = {"post": PLACING}
    shape: type[Serializer] = shapes.RechargeSerializer

    @extend_schema(
        request=shapes.RechargeSerializer, responses=shapes.RechargedUserSerializer, tags=["users"]
    )
    @once_per_key
    def post(self, request: Request) -> Response:
        """An order as POST /billing/recharges makes it; nothing is credited before it is paid."""
        form = self.shape(data=request.data)
        form.is_valid(raise_exception=True)
        order = place(request, dict(form.validated_data))
        user = cast(User, request.user)
        for name in ("order_no", "status", "code_url", "pay_url"):
            setattr(user, name, getattr(order, name))
        return Response(shapes.RechargedUserSerializer(user, context={"request": request}).data)


@extend_schema_view(post=extend_schema(request=shapes.DesktopRechargeSerializer))
class DesktopRechargeView(RechargeView):
    """The same as the desktop client asks for it."""

    shape = shapes.DesktopRechargeSerializer


class NoticeView(APIView):
    """Where a channel tells what was paid. Who it is, its signature says."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    channel = ""

    def take_in(self, request: Request) -> DomainError | None:
        """What was wrong with the message, if anything."""
        try:
            # As it came: it is signed byte by byte.
            body = request._request.body
            notices.take_in(channel=self.channel, headers=request.headers, body=body, now=timezone.now())
        except DomainError as error:
            return error
        return None


class WechatNoticeView(NoticeView):
    channel = "wechat"
    refusals = {"post": notices.REFUSALS}

    @extend_schema(request=OpenApiTypes.OBJECT, responses=OpenApiTypes.OBJECT, tags=["billing"])
    def post(self, request: Request) -> Response:
        """A notice of WeChat Pay, API v3. Whatever is refused is sent again by WeChat for a day."""
        error = self.take_in(request)
        if error is None:
            return Response({"code": "SUCCESS", "message": ""})
        return Response({**error.body(), "code": error.code, "message": str(error)}, error.status)


class AlipayNoticeView(NoticeView):
    channel = "alipay"

    @extend_schema(
        request=OpenApiTypes.OBJECT, responses={(200, "text/plain"): OpenApiTypes.STR}, tags=["billing"]
    )
    def post(self, request: Request) -> HttpResponse:
        """A notice of Alipay, answered by the word success; at any other Alipay tells again for a day."""
        error = self.take_in(request)
        return HttpResponse(f"fail {error.code}" if error else "success", content_type="text/plain")
