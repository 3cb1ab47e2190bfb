"""Vouchers: requested by one operator, approved by another, and issued once as a file of codes that is not shown
again.
"""

from collections.abc import Callable
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts.models import User
from billing.admin.orders import actor_of, each
from billing.models import Redemption, Voucher, VoucherBatch
from billing.services import approvals, voucher_batches
from billing.tables import csv_blocks
from common.admin import AuditedAdmin, ReadOnlyAdmin
from common.columns import choice_column
from common.deeds import ReasonForm, deed
from common.errors import DomainError, Invalid
from common.exports import streamed

Status = VoucherBatch.Status
COLOURS = {
    Status.PENDING: "warning",
    Status.APPROVED: "info",
    Status.ISSUED: "success",
    Status.REVOKED: "danger",
    Status.REJECTED: "danger",
}
ASKED = (
    "name", "currency", "amount", "gift_days", "is_shared", "count", "per_user_limit", "valid_from", "valid_until",
    "reason",
)  # fmt: skip


def can_become(status: VoucherBatch.Status) -> Callable[[VoucherBatch], bool]:
    return lambda batch: status in VoucherBatch.TRANSITIONS[Status(batch.status)]


class BatchForm(forms.ModelForm):
    """Shows a refusal of the service beside the field that it concerns."""

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if not self.errors:
            try:
                voucher_batches.require_sound(VoucherBatch(**given))
            except Invalid as error:
                self.add_error(error.field, str(error))
        return given


class ChosenCodeForm(forms.Form):
    code = forms.CharField(
        label=_("code"),
        required=False,
        max_length=40,
        help_text=_("6 to 32 letters and digits that people remember. Empty: one is made."),
        widget=UnfoldAdminTextInputWidget,
    )


@admin.register(VoucherBatch)
class VoucherBatchAdmin(AuditedAdmin):
    form = BatchForm
    list_display = (
        "name", "shown_gives", "shown_codes", "shown_status", "valid_from", "valid_until", "maker", "checker",
    )  # fmt: skip
    list_filter = ("status", "currency")
    list_select_related = ("maker", "checker")
    search_fields = ("name", "reason", "maker__username", "checker__username")
    ordering = ("-created_at", "-pk")
    actions = ("approve", "reject", "withdraw", "revoke")
    actions_detail = ("approve", "reject", "withdraw", "issue_codes", "revoke")

    def get_queryset(self, request: HttpRequest) -> QuerySet[VoucherBatch]:
        redeemed = Redemption.objects.filter(batch=OuterRef("pk")).order_by().values("batch")
        count = Subquery(redeemed.annotate(count=Count("pk")).values("count"), output_field=IntegerField())
        return super().get_queryset(request).annotate(redeemed=Coalesce(count, 0))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            text = _("A second operator approves it; then its codes are made.")
            return ((None, {"fields": ASKED, "description": text}),)
        decided = (
            "status",
            "maker",
            "created_at",
            "checker",
            "decided_at",
            "decision",
            "issued_at",
            "shown_redeemed",
        )
        ended = ("ended_at", "revoked_by", "revocation")
        return (
            (None, {"fields": ASKED}),
            (_("What became of it"), {"fields": (*decided, *ended) if obj.ended_at else decided}),
        )

    @display(description=_("gives"))
    def shown_gives(self, batch: VoucherBatch) -> str:
        return f"{batch.amount} {batch.get_currency_display()}"

    @display(description=_("redeemed"))
    def shown_codes(self, batch: Any) -> str:
        return f"{batch.redeemed} / {batch.count}"

    @display(description=_("redeemed"))
    def shown_redeemed(self, batch: Any) -> str:
        query = f"?batch__id__exact={batch.pk}"
        return format_html(
            '{} / {} · <a class="text-primary-600" href="{}">{}</a> · <a class="text-primary-600" href="{}">{}</a>',
            batch.redeemed,
            batch.count,
            reverse("admin:billing_redemption_changelist") + query,
            Redemption._meta.verbose_name_plural,
            reverse("admin:billing_voucher_changelist") + query,
            Voucher._meta.verbose_name_plural,
        )

    shown_status = choice_column("status", COLOURS)

    # --- Who may. The rights are those of credits by hand: it is money out of nothing, too.

    def has_make_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.credit_wallet")

    def has_check_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.check_creditrequest")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_make_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: VoucherBatch, form: Any, change: bool) -> None:
        voucher_batches.request_batch(batch=obj, maker=cast(User, request.user))

    # --- What is done

    @deed(
        description=_("Approve"),
        permission="check",
        form=ReasonForm,
        icon="check",
        text=_("Its codes can then be made. Batches of one's own are approved by somebody else."),
        variant=ActionVariant.PRIMARY,
        fits=can_become(Status.APPROVED),
    )
    def approve(self, request: HttpRequest, rows: QuerySet[VoucherBatch], given: dict[str, Any]) -> None:
        checker, why = actor_of(request), given["reason"]
        each(
            request,
            rows,
            lambda row: voucher_batches.approve_batch(batch=row, checker=checker, decision=why),
        )

    @deed(
        description=_("Reject"),
        permission="check",
        form=ReasonForm,
        icon="close",
        fits=can_become(Status.REJECTED),
    )
    def reject(self, request: HttpRequest, rows: QuerySet[VoucherBatch], given: dict[str, Any]) -> None:
        checker, why = actor_of(request), given["reason"]
        each(request, rows, lambda row: approvals.reject(request=row, checker=checker, decision=why))

    @deed(
        description=_("Withdraw"),
        permission="make",
        icon="undo",
        text=_("Only whoever made the request does."),
        fits=can_become(Status.WITHDRAWN),
    )
    def withdraw(self, request: HttpRequest, rows: QuerySet[VoucherBatch], given: dict[str, Any]) -> None:
        each(request, rows, lambda row: approvals.withdraw(request=row, maker=actor_of(request)))

    @deed(
        description=_("Revoke"),
        permission="make",
        form=ReasonForm,
        icon="block",
        text=_("Its codes are worth nothing from now on. What they gave stays given."),
        variant=ActionVariant.DANGER,
        fits=can_become(Status.REVOKED),
    )
    def revoke(self, request: HttpRequest, rows: QuerySet[VoucherBatch], given: dict[str, Any]) -> None:
        actor, why = actor_of(request), given["reason"]
        each(request, rows, lambda row: voucher_batches.revoke_batch(batch=row, actor=actor, reason=why))

    @action(description=_("Make the codes"), url_path="issue-codes", permissions=["make"], icon="key")
    def issue_codes(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """A page of its own, no dialog: what it answers is the file with the codes."""
        if not self.has_make_permission(request):
            raise PermissionDenied
        batch: VoucherBatch | None = self.get_object(request, object_id)
        if batch is None:
            raise Http404
        form = ChosenCodeForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            try:
                codes = voucher_batches.issue_codes(
                    batch=batch, chosen=form.cleaned_data["code"] if batch.is_shared else ""
                )
            except Invalid as error:
                form.add_error("code" if batch.is_shared else None, str(error))
            except DomainError as error:
                messages.error(request, str(error))
                return HttpResponseRedirect(reverse("admin:billing_voucherbatch_change", args=[batch.pk]))
            else:
                self.tell_deed(request, batch, "issue_codes", {"count": len(codes)})
                return file_of(request, batch, codes)
        return self.asking(request, batch, form)

    vars(issue_codes)["fits"] = can_become(Status.ISSUED)

    def asking(self, request: HttpRequest, batch: VoucherBatch, form: ChosenCodeForm) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": _("Make the codes"),
            "subtitle": str(batch),
            "opts": self.opts,
            "batch": batch,
            "form": form,
            "can_issue": batch.status == Status.APPROVED,
        }
        return TemplateResponse(request, "admin/billing/issue_codes.html", context)


def file_of(request: HttpRequest, batch: VoucherBatch, codes: list[str]) -> HttpResponseBase:
    header = [_("code"), _("name"), _("amount"), _("currency"), _("redeemed from"), _("redeemed until")]
    facts = [batch.name, batch.amount, batch.get_currency_display(), batch.valid_from, batch.valid_until]
    blocks = csv_blocks(header, [[[code, *facts] for code in codes]])
    return streamed(request, blocks, f"vouchers-{batch.name}.csv")


@admin.register(Voucher)
class VoucherAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "batch", "shown_code", "uses", "max_uses")
    list_select_related = ("batch",)
    list_filter = ("batch__status",)
    search_fields = ("=suffix", "batch__name")
    fields = ("batch", "suffix", "uses", "max_uses", "created_at", "updated_at")
    ordering = ("-created_at", "-pk")

    @display(description=_("code"), ordering="suffix")
    def shown_code(self, voucher: Voucher) -> str:
        return str(voucher)


@admin.register(Redemption)
class RedemptionAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "user", "batch", "voucher", "gift")
    list_select_related = ("user", "batch", "voucher", "gift")
    search_fields = ("user__username", "user__phone", "batch__name", "=voucher__suffix")
    ordering = ("-created_at", "-pk")
