"""Money from outside and back: orders, refunds, receivables, credits by hand, alerts. Read-only except for deeds."""

from collections.abc import Callable
from typing import Any, cast

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin import EmptyFieldListFilter
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.enums import ActionVariant

from accounts.models import User
from billing.admin.documents import WithDocument
from billing.admin.ledger import OWNER
from billing.admin.money_forms import PayBackForm
from billing.models import CreditRequest, MoneyAlert, Receivable, RechargeOrder, RefundOrder
from billing.services import alerts, approvals, orders, receivables, refunds
from billing.services.settlement import Source
from common.admin import ReadOnlyAdmin, ReadOnlyInline
from common.columns import choice_column
from common.deeds import ReasonForm, deed
from common.errors import DomainError

COLOURS = {
    "pending": "warning",
    "paid": "success",
    "succeeded": "success",
    "approved": "success",
    "failed": "danger",
    "rejected": "danger",
}
"""Of orders, refunds and credits by hand."""


def actor_of(request: HttpRequest) -> User:
    return cast(User, request.user)


def site_of(request: HttpRequest) -> str:
    return settings.PUBLIC_URL or request.build_absolute_uri("/")


def is_paid(order: RechargeOrder) -> bool:
    return order.status == RechargeOrder.Status.PAID


def may_be_paid(order: RechargeOrder) -> bool:
    return RechargeOrder.Status.PAID in RechargeOrder.TRANSITIONS[RechargeOrder.Status(order.status)]


def is_pending(request: CreditRequest) -> bool:
    return request.status == CreditRequest.Status.PENDING


def each(request: HttpRequest, rows: QuerySet[Any], act: Callable[[Any], Any]) -> None:
    """Process the rows one by one, and report the outcome of each."""
    for row in rows:
        try:
            outcome = act(row)
        except DomainError as error:
            messages.error(request, f"{row}: {error}")
        else:
            row = outcome if isinstance(outcome, Model) else row
            row.refresh_from_db()
            state = getattr(row, "get_status_display", lambda: _("Done"))()
            messages.success(request, f"{row}: {state}")


class RefundInline(ReadOnlyInline):
    model = RefundOrder
    fields = ("created_at", "amount", "status", "reason", "maker", "channel_no", "done_at", "failure")
    readonly_fields = fields
    show_change_link = True


class ReceivableInline(ReadOnlyInline):
    model = Receivable
    fields = ("created_at", "amount", "collected", "reason", "maker", "settled_at")
    readonly_fields = fields


@admin.register(RechargeOrder)
class RechargeOrderAdmin(ReadOnlyAdmin):
    list_display = (
        "created_at", "order_no", "wallet", "payer", "channel", "amount", "shown_status", "paid_at", "transaction_no",
    )  # fmt: skip
    list_filter = ("status", "channel")
    list_select_related = ("wallet__user", "wallet__team", "payer")
    search_fields = (*OWNER, "order_no", "transaction_no", "payer__username", "payer__phone")
    ordering = ("-created_at", "-pk")
    inlines = (RefundInline, ReceivableInline)
    actions = ("ask_channel",)
    actions_detail = ("ask_channel", "settle", "pay_back", "charge_back")
    shown_status = choice_column("status", COLOURS)

    def has_settle_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.settle_rechargeorder")

    def has_pay_back_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.payback_rechargeorder")

    @deed(
        description=_("Ask the channel"),
        permission="settle",
        icon="sync",
        text=_("What was paid is credited; what is closed there is closed here."),
        fits=may_be_paid,
    )
    def ask_channel(self, request: HttpRequest, rows: QuerySet[RechargeOrder], given: dict[str, Any]) -> None:
        each(request, rows, lambda row: orders.check_order(order=row, source=Source.POLL))

    @deed(
        description=_("Settle"),
        permission="settle",
        form=ReasonForm,
        icon="task_alt",
        text=_("Credits the order if the channel confirms that it was paid, though it was closed here."),
        fits=may_be_paid,
    )
    def settle(self, request: HttpRequest, rows: QuerySet[RechargeOrder], given: dict[str, Any]) -> None:
        each(
            request,
            rows,
            lambda row: orders.check_order(
                order=row, source=Source.OPERATOR, actor=actor_of(request), reason=given["reason"]
            ),
        )

    @deed(
        description=_("Pay back"),
        permission="pay_back",
        form=PayBackForm,
        icon="undo",
        text=_("Goes back the way it came. The money is set aside until the channel has paid it back."),
        variant=ActionVariant.DANGER,
        fits=is_paid,
    )
    def pay_back(self, request: HttpRequest, rows: QuerySet[RechargeOrder], given: dict[str, Any]) -> None:
        each(
            request,
            rows,
            lambda row: refunds.refund_order(
                order=row,
                amount=given["amount"],
                key=str(given["key"]),
                reason=given["reason"],
                actor=actor_of(request),
                site=site_of(request),
            ),
        )

    @deed(
        description=_("Record a chargeback"),
        permission="pay_back",
        form=PayBackForm,
        icon="money_off",
        text=_(
            "The channel took this money back. What the wallet cannot give up, its next recharges pay first."
        ),
        variant=ActionVariant.DANGER,
        fits=is_paid,
    )
    def charge_back(self, request: HttpRequest, rows: QuerySet[RechargeOrder], given: dict[str, Any]) -> None:
        each(
            request,
            rows,
            lambda row: receivables.charge_back(
                order=row,
                amount=given["amount"],
                key=str(given["key"]),
                reason=given["reason"],
                actor=actor_of(request),
            ),
        )


@admin.register(RefundOrder)
class RefundOrderAdmin(ReadOnlyAdmin):
    list_display = (
        "created_at",
        "refund_no",
        "order",
        "amount",
        "shown_status",
        "reason",
        "maker",
        "done_at",
        "failure",
    )
    list_filter = ("status", "order__channel")
    list_select_related = ("order", "maker")
    search_fields = ("refund_no", "channel_no", "order__order_no", "order__payer__username")
    ordering = ("-created_at", "-pk")
    actions = actions_detail = ("ask_channel",)
    shown_status = choice_column("status", COLOURS)

    def has_ask_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.payback_rechargeorder")

    @deed(
        description=_("Ask the channel"),
        permission="ask",
        icon="sync",
        fits=lambda refund: refund.status == RefundOrder.Status.PENDING,
    )
    def ask_channel(self, request: HttpRequest, rows: QuerySet[RefundOrder], given: dict[str, Any]) -> None:
        each(
            request,
            rows.select_related("order"),
            lambda row: refunds.check_refund(refund=row, site=site_of(request)),
        )


@admin.register(Receivable)
class ReceivableAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "wallet", "order", "amount", "collected", "reason", "maker", "settled_at")
    list_filter = (("settled_at", EmptyFieldListFilter),)
    list_select_related = ("wallet__user", "wallet__team", "order", "maker")
    search_fields = (*OWNER, "order__order_no", "reason")
    ordering = ("-created_at", "-pk")


@admin.register(CreditRequest)
class CreditRequestAdmin(WithDocument):
    list_display = (
        "created_at", "wallet", "amount", "reason", "maker", "shown_status", "checker", "decided_at", "decision",
    )  # fmt: skip
    list_filter = ("status",)
    list_select_related = ("wallet__user", "wallet__team", "maker", "checker")
    search_fields = (*OWNER, "reason", "maker__username", "checker__username")
    ordering = ("-created_at", "-pk")
    exclude = ("document",)
    readonly_fields = ("shown_document",)
    actions = actions_detail = ("approve", "reject", "withdraw")
    shown_status = choice_column("status", COLOURS)

    def has_check_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.check_creditrequest")

    def has_make_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.credit_wallet")

    @deed(
        description=_("Approve"),
        permission="check",
        form=ReasonForm,
        icon="check",
        text=_(
            "Posts the entry; it cannot be taken back. Requests of one's own are approved by somebody else."
        ),
        variant=ActionVariant.PRIMARY,
        fits=is_pending,
    )
    def approve(self, request: HttpRequest, rows: QuerySet[CreditRequest], given: dict[str, Any]) -> None:
        checker, why = actor_of(request), given["reason"]

        def act(row: CreditRequest) -> None:
            approvals.approve_credit(request=row, checker=checker, decision=why)

        each(request, rows, act)

    @deed(description=_("Reject"), permission="check", form=ReasonForm, icon="close", fits=is_pending)
    def reject(self, request: HttpRequest, rows: QuerySet[CreditRequest], given: dict[str, Any]) -> None:
        checker, why = actor_of(request), given["reason"]
        each(request, rows, lambda row: approvals.reject_credit(request=row, checker=checker, decision=why))

    @deed(
        description=_("Withdraw"),
        permission="make",
        icon="undo",
        text=_("Only whoever made the request does."),
        fits=is_pending,
    )
    def withdraw(self, request: HttpRequest, rows: QuerySet[CreditRequest], given: dict[str, Any]) -> None:
        each(request, rows, lambda row: approvals.withdraw(request=row, maker=actor_of(request)))


@admin.register(MoneyAlert)
class MoneyAlertAdmin(ReadOnlyAdmin):
    list_display = (
        "created_at",
        "kind",
        "wallet",
        "order",
        "data",
        "resolved_at",
        "resolved_by",
        "resolution",
    )
    list_filter = (("resolved_at", EmptyFieldListFilter), "kind")
    list_select_related = ("wallet__user", "wallet__team", "order", "resolved_by")
    search_fields = (*OWNER, "key", "order__order_no")
    ordering = ("-created_at", "-pk")
    actions = actions_detail = ("resolve",)

    def has_resolve_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.resolve_moneyalert")

    @deed(
        description=_("Resolved"),
        permission="resolve",
        form=ReasonForm,
        icon="done_all",
        text=_("Say what was done about it. The alert itself stays written down."),
        fits=lambda alert: alert.resolved_at is None,
    )
    def resolve(self, request: HttpRequest, rows: QuerySet[MoneyAlert], given: dict[str, Any]) -> None:
        actor, done = actor_of(request), given["reason"]
        each(request, rows, lambda row: alerts.resolve(alert=row, actor=actor, resolution=done))
