"""Doors of billing: what is there, what moved, what was charged, what it went to."""

from typing import Any, ClassVar, cast

from django.db.models import BooleanField, ExpressionWrapper, F, Q, QuerySet
from django.http import StreamingHttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from billing.api import filters
from billing.api import serializers as shapes
from billing.api.paging import NumberedPage
from billing.models import Bill, Gift, Hold, LedgerEntry, Wallet
from billing.selectors import Grouping, entry_batches, every_day, spending
from billing.services.ledger import wallet_of
from billing.tables import csv_blocks
from common.errors import Invalid
from common.exports import streamed
from common.views import VisibleViewSet

ROWS_OF_SPENDING = 500


class BalanceView(APIView):
    @extend_schema(responses=shapes.BalanceSerializer, tags=["users"])
    def get(self, request: Request) -> Response:
        """Balance, what of it is held for running tasks, and what is available."""
        return Response(shapes.BalanceSerializer(wallet_of(cast(User, request.user))).data)


@extend_schema(tags=["billing"])
class WalletViewSet(ListModelMixin, RetrieveModelMixin, VisibleViewSet):
    """One's own wallets, and those of teams whose money one sees."""

    model = Wallet
    serializer_class = shapes.WalletSerializer
    results_key = "wallets"

    def narrow(self, rows: QuerySet) -> QuerySet:
        # One's own first.
        return rows.select_related("user", "team").order_by(F("user").asc(nulls_last=True), "currency", "pk")


class OfOneWallet(VisibleViewSet):
    """Rows of the wallet that the query names, by default of one's own in CNY."""

    def of_wallet(self, rows: QuerySet) -> QuerySet:
        return rows.filter(wallet=filters.asked_wallet(self.request)).select_related("wallet")


@extend_schema(
    tags=["billing"], parameters=[filters.WALLET, filters.TYPE, filters.FROM, filters.TO, filters.TASK]
)
class TransactionViewSet(ListModelMixin, OfOneWallet):
    """Entries of the ledger, the newest first."""

    model = LedgerEntry
    serializer_class = shapes.TransactionSerializer
    results_key = "transactions"
    days: ClassVar[tuple[str, str]] = ("from", "to")

    def narrow(self, rows: QuerySet) -> QuerySet:
        kinds = filters.asked_kinds(self.request)
        wanted = Q(kind__in=kinds) if kinds else ~Q(amount=0)
        wanted &= filters.asked_narrowing(self.request, *self.days).condition()
        return self.of_wallet(rows).filter(wanted).order_by("-sequence")

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.STR}, filters=False)
    def export(self, request: Request) -> StreamingHttpResponse:
        """The same entries, all of them, as CSV for a spreadsheet (UTF-8 with its mark, times of Shanghai)."""
        header = [
            _("number"), _("created at"), _("kind"), _("amount"), _("of it given"), _("change of held"),
            _("balance after"), _("description"), _("render task"),
        ]  # fmt: skip
        batches = ([columns(entry) for entry in batch] for batch in entry_batches(self.get_queryset()))
        return streamed(request._request, csv_blocks(header, batches), "transactions.csv")


@extend_schema(tags=["users"])
class PagedTransactionViewSet(TransactionViewSet):
    """The same by `page` and `pageSize`, as the desktop client asks."""

    pagination_class = NumberedPage


@extend_schema(
    tags=["users"],
    parameters=[
        OpenApiParameter("start_date", OpenApiTypes.DATE, description="First day (Asia/Shanghai)."),
        OpenApiParameter("end_date", OpenApiTypes.DATE, description="Last day (Asia/Shanghai)."),
    ],
)
class RecordViewSet(TransactionViewSet):
    """The same as `records`, as the desktop client asks."""

    serializer_class = shapes.RecordSerializer
    results_key = "records"
    days = ("start_date", "end_date")


def columns(entry: LedgerEntry) -> list[Any]:
    return [
        entry.sequence, entry.created_at, entry.get_kind_display(), entry.amount, entry.gift_delta, entry.held_delta,
        entry.balance_after, entry.description, entry.task_id,
    ]  # fmt: skip


@extend_schema(tags=["billing"], parameters=[filters.WALLET, filters.FROM, filters.TO, filters.TASK])
class BillViewSet(ListModelMixin, OfOneWallet):
    """Bills with their lines, the newest first."""

    model = Bill
    serializer_class = shapes.BillSerializer
    results_key = "bills"

    def narrow(self, rows: QuerySet) -> QuerySet:
        wanted = filters.asked_narrowing(self.request).condition()
        return self.of_wallet(rows).filter(wanted).prefetch_related("lines").order_by("-created_at", "-pk")


@extend_schema(tags=["users"])
class PagedBillViewSet(BillViewSet):
    """The same by `page` and `pageSize`, as the desktop client asks."""

    pagination_class = NumberedPage


@extend_schema(tags=["billing"])
class OneBillViewSet(RetrieveModelMixin, VisibleViewSet):
    """A bill, of whichever wallet one sees."""

    model = Bill
    serializer_class = shapes.BillSerializer

    def narrow(self, rows: QuerySet) -> QuerySet:
        return rows.select_related("wallet").prefetch_related("lines")


@extend_schema(tags=["billing"], parameters=[filters.WALLET, filters.TASK])
class HoldViewSet(ListModelMixin, OfOneWallet):
    """Money set aside: what is open first, then the newest."""

    model = Hold
    serializer_class = shapes.HoldSerializer
    results_key = "holds"

    def narrow(self, rows: QuerySet) -> QuerySet:
        wanted = filters.asked_narrowing(self.request).condition()
        return self.of_wallet(rows).filter(wanted).order_by("-status", "-created_at", "-pk")


@extend_schema(tags=["billing"], parameters=[filters.WALLET])
class GiftViewSet(ListModelMixin, OfOneWallet):
    """What was given: what is left first, in the order in which it is spent."""

    model = Gift
    serializer_class = shapes.GiftSerializer
    results_key = "gifts"

    def narrow(self, rows: QuerySet) -> QuerySet:
        is_spent = ExpressionWrapper(Q(remaining=0), BooleanField())
        gifts = self.of_wallet(rows).select_related("entry").annotate(is_spent=is_spent)
        return gifts.order_by("is_spent", F("expires_at").asc(nulls_last=True), "pk")


class SpendingView(APIView):
    @extend_schema(
        tags=["billing"],
        parameters=[
            filters.WALLET,
            filters.FROM,
            filters.TO,
            OpenApiParameter("by", OpenApiTypes.STR, enum=[each.value for each in Grouping]),
        ],
        responses=shapes.SpendingAnswerSerializer,
    )
    def get(self, request: Request) -> Response:
        """What was spent by day (also those without), task, engine or member; of the last thirty days by default.

        Of tasks and the like the 500 that cost most are listed; the sums are of all.
        """
        by = request.query_params.get("by") or Grouping.DAY
        if by not in list(Grouping):
            raise Invalid(field="by")
        first, last = filters.asked_period(request)
        wallet = filters.asked_wallet(request)
        rows = list(spending(wallet=wallet, first=first, last=last, by=Grouping(by)))
        sums = {name: sum(row[name] for row in rows) for name in ("spent", "refunded")}
        shown = every_day(rows, first, last) if by == Grouping.DAY else rows[:ROWS_OF_SPENDING]
        names = self.names(Grouping(by), shown)
        answer = {
            "by": by,
            "currency": wallet.currency,
            "first_day": first,
            "last_day": last,
            **sums,
            "rows": [{**row, "name": names(row)} for row in shown],
        }
        return Response(shapes.SpendingAnswerSerializer(answer).data)

    def names(self, by: Grouping, rows: list[dict[str, Any]]) -> Any:
        """How each row is called."""
        if by != Grouping.MEMBER:
            return lambda row: row.get("description", "") if by == Grouping.TASK else str(row["group"] or "")
        members = User.objects.in_bulk([row["group"] for row in rows if row["group"]])
        return lambda row: members[row["group"]].public_name if row["group"] else ""
