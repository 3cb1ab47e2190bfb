"""Doors of billing."""

from typing import cast

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from billing.api import serializers as shapes
from billing.models import Bill, LedgerEntry
from billing.services.ledger import wallet_of
from common.views import VisibleViewSet


class BalanceView(APIView):
    @extend_schema(responses=shapes.BalanceSerializer, tags=["users"])
    def get(self, request: Request) -> Response:
        """Balance, what of it is held for running tasks, and what is available."""
        return Response(shapes.BalanceSerializer(wallet_of(cast(User, request.user))).data)


@extend_schema(tags=["users"])
class TransactionViewSet(ListModelMixin, VisibleViewSet):
    """What changed the balance, newest first."""

    model = LedgerEntry
    serializer_class = shapes.TransactionSerializer
    results_key = "transactions"

    def narrow(self, rows: QuerySet) -> QuerySet:
        return rows.exclude(amount=0).select_related("wallet").order_by("-created_at", "-pk")


@extend_schema(tags=["users"])
class BillViewSet(ListModelMixin, VisibleViewSet):
    """Bills with their lines, newest first."""

    model = Bill
    serializer_class = shapes.BillSerializer
    results_key = "bills"

    def narrow(self, rows: QuerySet) -> QuerySet:
        return rows.select_related("wallet").prefetch_related("lines").order_by("-created_at", "-pk")
