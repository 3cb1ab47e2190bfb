"""Doors of invoices (fapiao)."""

from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils.http import content_disposition_header
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from billing import errors
from billing.api import filters
from billing.api.idempotency import HEADER, once_per_key
from billing.api.serializers import AmountField, MoneyNumber
from billing.api.views import OfOneWallet
from billing.models import Bill, InvoiceLine, InvoiceRequest
from billing.services import invoices
from billing.services.documents import content_of
from billing.services.invoiceable import invoiceable
from common.errors import Forbidden, NotVisible, TransitionNotAllowed
from common.ids import new_id
from common.views import VisibleViewSet

ROWS = 500


class InvoiceAmountField(AmountField):
    """Without the limit of a recharge: what can be invoiced bounds it."""

    limit = Decimal("999999999999.99")


class InvoiceLineSerializer(serializers.ModelSerializer):
    amount = MoneyNumber()

    class Meta:
        model = InvoiceLine
        fields = ("bill_id", "amount")


class InvoiceSerializer(serializers.ModelSerializer):
    """`number` and the document at /pdf come with being issued; `reason` says why it was rejected or red-flushed."""

    title_type = serializers.ChoiceField(InvoiceRequest.TitleKind.choices, source="title_kind")
    amount = MoneyNumber()
    bills = InvoiceLineSerializer(source="lines", many=True)

    class Meta:
        model = InvoiceRequest
        fields = (
            "id", "wallet_id", "requester_id", "kind", "title_type", "title", "tax_number", "details", "email",
            "amount", "first_day", "last_day", "bills", "status", "number", "issued_on", "red_number", "reason",
            "created_at", "updated_at",
        )  # fmt: skip


class InvoiceRequestSerializer(serializers.Serializer):
    """Of `bills`, or of the days `first_day` to `last_day` (Asia/Shanghai), or of all; `amount` of it, or all.

    A company has a `tax_number`: 18 characters with their check digit, or 15 of before. `details` stand on it as they
    are told: address and telephone, bank and account.
    """

    kind = serializers.ChoiceField(InvoiceRequest.Kind.choices, default=InvoiceRequest.Kind.ORDINARY)
    title_type = serializers.ChoiceField(InvoiceRequest.TitleKind.choices)
    title = serializers.CharField(max_length=100)
    tax_number = serializers.CharField(required=False, allow_blank=True, max_length=30, default="")
    details = serializers.CharField(required=False, allow_blank=True, max_length=300, default="")
    email = serializers.EmailField(max_length=254)
    amount = InvoiceAmountField(required=False, allow_null=True)
    first_day = serializers.DateField(required=False, allow_null=True)
    last_day = serializers.DateField(required=False, allow_null=True)
    bills = serializers.ListField(
        child=serializers.UUIDField(), required=False, min_length=1, max_length=ROWS
    )
    wallet_id = serializers.UUIDField(required=False, allow_null=True)


class InvoiceableBillSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    kind = serializers.ChoiceField(Bill.Kind.choices)
    description = serializers.CharField()
    created_at = serializers.DateTimeField()
    amount = MoneyNumber(help_text="What of it can be invoiced.")


class InvoiceableSerializer(serializers.Serializer):
    """`amount` is the most that one invoice can be of; of the bills those 500 are listed that are the oldest."""

    wallet_id = serializers.UUIDField()
    amount = MoneyNumber()
    bill_count = serializers.IntegerField()
    bills = InvoiceableBillSerializer(many=True)


class InvoiceableView(APIView):
    @extend_schema(
        tags=["billing"],
        parameters=[filters.WALLET, filters.FROM, filters.TO],
        responses=InvoiceableSerializer,
    )
    def get(self, request: Request) -> Response:
        """How much can be invoiced: what was paid with real money, was used, and stands on no invoice yet."""
        wallet = filters.asked_wallet(request)
        found = invoiceable(wallet, narrowing=filters.asked_narrowing(request))
        shown = found.bills[:ROWS]
        bills = Bill.objects.in_bulk([left.bill_id for left in shown])
        rows = [
            {
                "id": left.bill_id,
                "kind": bills[left.bill_id].kind,
                "description": bills[left.bill_id].description,
                "created_at": left.created_at,
                "amount": left.amount,
            }
            for left in shown
        ]
        answer = {
            "wallet_id": wallet.pk,
            "amount": found.amount,
            "bill_count": len(found.bills),
            "bills": rows,
        }
        return Response(InvoiceableSerializer(answer).data)


@extend_schema(tags=["billing"], parameters=[filters.WALLET])
class InvoiceViewSet(ListModelMixin, OfOneWallet):
    """Invoices of a wallet, the newest first."""

    model = InvoiceRequest
    serializer_class = InvoiceSerializer
    results_key = "invoices"
    refusals = {
        "create": (errors.CurrencyMismatch, errors.InvoiceExceeded, errors.TooManyInvoices, errors.WalletParked,
                   errors.IdempotencyConflict, NotVisible, Forbidden),
    }  # fmt: skip

    def narrow(self, rows: QuerySet) -> QuerySet:
        return self.of_wallet(rows).prefetch_related("lines").order_by("-created_at", "-pk")

    @extend_schema(parameters=[], request=InvoiceRequestSerializer, responses={201: InvoiceSerializer})
    @once_per_key
    def create(self, request: Request) -> Response:
        """Ask for an invoice. Gifts and vouchers give none; what was given back lowers it. An operator issues it."""
        given = self.valid(InvoiceRequestSerializer, request)
        user = cast(User, request.user)
        invoice = invoices.request_invoice(
            wallet=filters.named_wallet(user, given.get("wallet_id")),
            requester=user,
            buyer=invoices.Buyer(
                kind=given["kind"],
                title_kind=given["title_type"],
                title=given["title"],
                email=given["email"],
                tax_number=given["tax_number"],
                details=given["details"],
            ),
            key=request.headers.get(HEADER) or str(new_id()),
            amount=given.get("amount"),
            bills=given.get("bills"),
            first=given.get("first_day"),
            last=given.get("last_day"),
        )
        return Response(InvoiceSerializer(invoice).data, 201)


@extend_schema(tags=["billing"])
class OneInvoiceViewSet(RetrieveModelMixin, VisibleViewSet):
    """An invoice, of whichever wallet one sees."""

    model = InvoiceRequest
    serializer_class = InvoiceSerializer
    refusals = {"cancel": (TransitionNotAllowed, Forbidden)}

    def narrow(self, rows: QuerySet) -> QuerySet:
        return rows.select_related("wallet__team", "wallet__user", "document").prefetch_related("lines")

    @extend_schema(request=None, responses=InvoiceSerializer)
    @once_per_key
    def cancel(self, request: Request, pk: UUID) -> Response:
        """Take a request back, as long as no operator has taken it up."""
        invoice = invoices.cancel_invoice(invoice=self.get_object(), actor=cast(User, request.user))
        return Response(InvoiceSerializer(invoice).data)

    @extend_schema(responses={(200, "application/pdf"): OpenApiTypes.BINARY})
    def pdf(self, request: Request, pk: UUID) -> HttpResponse:
        """The invoice itself, also a red-flushed one; 404 before it is issued."""
        invoice: InvoiceRequest = self.get_object()
        if invoice.document is None:
            raise NotVisible
        headers: dict[str, Any] = {
            "Content-Disposition": content_disposition_header(True, f"{invoice.number}.pdf") or "attachment",
            "Cache-Control": "private, no-store",
            "X-Content-Type-Options": "nosniff",
        }
        content = content_of(invoice.document)
        return HttpResponse(content, content_type=invoice.document.content_type, headers=headers)
