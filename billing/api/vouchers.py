"""Doors of vouchers: a code is redeemed; what one has redeemed."""

from typing import cast

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from billing.api.idempotency import once_per_key
from billing.api.serializers import GiftSerializer
from billing.models import Redemption
from billing.selectors import visible_wallet
from billing.services import vouchers
from common.limits import client_ip
from common.views import VisibleViewSet


class CodeSerializer(serializers.Serializer):
    """`wallet_id` names the wallet of a team whose money the caller manages; without it the gift is their own."""

    code = serializers.CharField(max_length=100, help_text="In any case, with or without hyphens and blanks.")
    wallet_id = serializers.UUIDField(required=False, allow_null=True)


class RedemptionSerializer(serializers.ModelSerializer):
    """A redeemed code, of which only the end is known, and the gift that it became."""

    name = serializers.CharField(source="batch.name")
    suffix = serializers.CharField(source="voucher.suffix")
    currency = serializers.CharField(source="batch.currency")
    gift = GiftSerializer()

    class Meta:
        model = Redemption
        fields = ("id", "name", "suffix", "currency", "gift", "created_at")


@extend_schema(tags=["billing"])
class VoucherViewSet(ListModelMixin, VisibleViewSet):
    """Codes that the caller has redeemed, the newest first."""

    model = Redemption
    serializer_class = RedemptionSerializer
    results_key = "vouchers"
    refusals = {"redeem": vouchers.REFUSALS}

    def narrow(self, rows: QuerySet) -> QuerySet:
        return rows.select_related("batch", "voucher", "gift__entry").order_by("-created_at", "-pk")

    @extend_schema(request=CodeSerializer, responses={201: RedemptionSerializer})
    @once_per_key
    def redeem(self, request: Request) -> Response:
        """Turn a code into a gift of the caller or a team. Codes that are none are counted: 20 an hour are allowed."""
        given, user = self.valid(CodeSerializer, request), cast(User, request.user)
        wallet_id = given.get("wallet_id")
        redemption = vouchers.redeem(
            user=user,
            payee=visible_wallet(user, wallet_id).owner if wallet_id else user,
            code=given["code"],
            ip=client_ip(request),
            now=timezone.now(),
        )
        return Response(RedemptionSerializer(redemption).data, 201)
