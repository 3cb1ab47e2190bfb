"""Wallets and what moves them: only read here; services write it."""

from typing import Any

from django.contrib import admin
from django.contrib.admin import EmptyFieldListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from billing.admin.credits import ask_for_credit, credit_deed
from billing.admin.parking import Parking
from billing.admin.trail import Trail
from billing.models import Gift, Hold, IdempotentRequest, LedgerEntry, Wallet
from common.admin import ReadOnlyAdmin
from common.numbers import shown

OWNER = ("wallet__user__username", "wallet__user__phone", "wallet__team__name")


@admin.register(Wallet)
class WalletAdmin(Parking, Trail, ReadOnlyAdmin):
    list_display = (
        "owner", "currency", "balance", "gift", "held", "shown_available", "sequence", "parked_at", "updated_at",
    )  # fmt: skip
    list_filter = ("currency", ("parked_at", EmptyFieldListFilter))
    list_select_related = ("user", "team")
    search_fields = ("user__username", "user__phone", "team__name")
    ordering = ("-created_at", "-pk")
    fields = (
        "user", "team", "currency", "balance", "gift", "held", "shown_available", "sequence", "parked_at",
        "parked_reason", "created_at", "updated_at", "shown_trail",
    )  # fmt: skip
    actions = ("park", "unpark")
    actions_detail = ("credit", "park", "unpark")

    @admin.display(description=_("available"))
    def shown_available(self, wallet: Wallet) -> Any:
        return shown(wallet.available)

    def has_credit_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.credit_wallet")

    @credit_deed
    def credit(self, request: HttpRequest, rows: QuerySet[Wallet], given: dict[str, Any]) -> None:
        for wallet in rows:
            ask_for_credit(request, wallet, given)


@admin.register(LedgerEntry)
class LedgerEntryAdmin(Trail, ReadOnlyAdmin):
    list_display = (
        "created_at", "wallet", "sequence", "kind", "amount", "held_delta", "gift_delta", "balance_after",
        "held_after", "gift_after", "description", "actor",
    )  # fmt: skip
    list_filter = ("kind", "wallet__currency")
    list_select_related = ("wallet__user", "wallet__team", "actor")
    search_fields = (*OWNER, "task_id")
    ordering = ("-created_at", "-pk")
    readonly_fields = ("shown_trail",)


@admin.register(Hold)
class HoldAdmin(Trail, ReadOnlyAdmin):
    list_display = (
        "created_at",
        "wallet",
        "purpose",
        "amount",
        "captured",
        "released",
        "status",
        "task_id",
        "closed_at",
    )
    list_filter = ("status",)
    list_select_related = ("wallet__user", "wallet__team")
    search_fields = (*OWNER, "task_id")
    ordering = ("-created_at", "-pk")
    readonly_fields = ("shown_trail",)


@admin.register(Gift)
class GiftAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "wallet", "amount", "remaining", "expires_at")
    list_select_related = ("wallet__user", "wallet__team")
    search_fields = OWNER
    ordering = ("-created_at", "-pk")


@admin.register(IdempotentRequest)
class IdempotentRequestAdmin(ReadOnlyAdmin):
    """Requests that clients sent with a key. The answer is not shown: it may hold what only its owner may know."""

    list_display = ("started_at", "user", "key", "status")
    list_select_related = ("user",)
    search_fields = ("key", "user__username")
    fields = ("user", "key", "started_at", "status")
    ordering = ("-started_at", "-pk")
