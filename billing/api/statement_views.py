"""Doors of monthly statements."""

from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from django.utils.http import content_disposition_header
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request

from billing.api import filters
from billing.api.serializers import MoneyNumber
from billing.api.views import OfOneWallet
from billing.models import Statement
from billing.services.statement_documents import statement_csv, statement_pdf
from common.exports import streamed
from common.views import VisibleViewSet


class StatementSerializer(serializers.ModelSerializer):
    """opening + moved = closing; `sums` has the part of each type of transaction."""

    month = serializers.DateField(format="%Y-%m")
    opening = MoneyNumber()
    moved = MoneyNumber()
    closing = MoneyNumber()
    opening_gift = MoneyNumber()
    closing_gift = MoneyNumber()
    closing_held = MoneyNumber()
    sums = serializers.DictField(child=MoneyNumber())

    class Meta:
        model = Statement
        fields = (
            "id", "wallet_id", "month", "opening", "moved", "closing", "opening_gift", "closing_gift", "closing_held",
            "sums", "first_sequence", "last_sequence", "created_at",
        )  # fmt: skip


@extend_schema(tags=["billing"], parameters=[filters.WALLET])
class StatementViewSet(ListModelMixin, OfOneWallet):
    """Months of a wallet, the newest first. A month without transactions has no statement."""

    model = Statement
    serializer_class = StatementSerializer
    results_key = "statements"

    def narrow(self, rows: QuerySet) -> QuerySet:
        return self.of_wallet(rows).order_by("-month")


@extend_schema(tags=["billing"])
class OneStatementViewSet(RetrieveModelMixin, VisibleViewSet):
    """A month, of whichever wallet one sees."""

    model = Statement
    serializer_class = StatementSerializer

    def narrow(self, rows: QuerySet) -> QuerySet:
        return rows.select_related("wallet__user", "wallet__team")

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.STR})
    def csv(self, request: Request, pk: UUID) -> StreamingHttpResponse:
        """Its transactions for a spreadsheet."""
        statement: Statement = self.get_object()
        return streamed(request._request, statement_csv(statement), f"statement-{statement}.csv")

    @extend_schema(responses={(200, "application/pdf"): OpenApiTypes.BINARY})
    def pdf(self, request: Request, pk: UUID) -> HttpResponse:
        """The same as a document in Chinese."""
        statement: Statement = self.get_object()
        headers = {
            "Content-Disposition": content_disposition_header(True, f"statement-{statement}.pdf")
            or "attachment",
            "Cache-Control": "private, no-store",
            "X-Content-Type-Options": "nosniff",
        }
        return HttpResponse(statement_pdf(statement), content_type="application/pdf", headers=headers)
