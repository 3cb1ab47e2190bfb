"""The page of a user, with what the apps above accounts know: money, drives, jobs."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery, Sum
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from accounts.admin.users import UserAdmin
from accounts.models import User
from billing.admin.credits import ask_for_credit, credit_deed
from billing.models import Wallet
from billing.services.ledger import wallet_of
from common.admin import ReadOnlyInline
from drives.models import Drive
from rendering.models import RenderJob


class GlanceInline(ReadOnlyInline):
    """Rows of the user on a tab, for operators who may see such rows; each links to its own page."""

    tab = True
    per_page = 10
    show_change_link = True


class WalletInline(GlanceInline):
    model = Wallet
    fields = readonly_fields = ("currency", "balance", "held", "updated_at")
    ordering = ("currency",)


class DriveInline(GlanceInline):
    model = Drive
    fields = readonly_fields = ("name", "shown_used", "shown_quota", "is_active")
    ordering = ("pk",)

    @display(description=_("used"))
    def shown_used(self, drive: Drive) -> str:
        return filesizeformat(drive.used_size)

    @display(description=_("quota"))
    def shown_quota(self, drive: Drive) -> str:
        return "∞" if drive.total_size is None else filesizeformat(drive.total_size)


class JobInline(GlanceInline):
    model = RenderJob
    fields = readonly_fields = ("task_name", "status", "shown_frames", "actual_cost", "created_at")
    ordering = ("-pk",)

    @display(description=_("frames"))
    def shown_frames(self, job: RenderJob) -> str:
        return f"{job.done_frames}/{job.total_frames}"


admin.site.unregister(User)


@admin.register(User)
class PeopleAdmin(UserAdmin):
    inlines = (*UserAdmin.inlines, WalletInline, DriveInline, JobInline)  # type: ignore[assignment]
    actions_detail = ("credit", *UserAdmin.actions_detail)  # type: ignore[assignment]

    def has_credit_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("billing.credit_wallet"))

    def get_list_display(self, request: HttpRequest) -> Any:
        glance = [name for name, (right, _rows) in GLANCES.items() if request.user.has_perm(right)]
        return (*UserAdmin.list_display[:4], *glance, *UserAdmin.list_display[4:])

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """What the list shows at a glance is read with its rows: one statement, however many users."""
        rows: QuerySet[User] = super().get_queryset(request)
        if request.resolver_match is None or request.resolver_match.kwargs:
            return rows
        seen = {name: found for name, (right, found) in GLANCES.items() if request.user.has_perm(right)}
        return rows.annotate(**{f"its_{name}": found for name, found in seen.items()})

    @credit_deed
    def credit(self, request: HttpRequest, rows: QuerySet[User], given: dict[str, Any]) -> None:
        for user in rows:
            ask_for_credit(request, wallet_of(user), given)

    @display(description=_("balance"))
    def balance(self, user: Any) -> Any:
        return "" if user.its_balance is None else f"{user.its_balance:.2f}"

    @display(description=_("storage"))
    def storage(self, user: Any) -> str:
        return filesizeformat(user.its_storage or 0)

    @display(description=_("render tasks"))
    def jobs(self, user: Any) -> Any:
        if not user.its_jobs:
            return 0
        address = reverse("admin:rendering_renderjob_changelist")
        return format_html('<a href="{}?user__id__exact={}">{}</a>', address, user.pk, user.its_jobs)


def total(rows: QuerySet[Any], **aggregate: Any) -> Subquery:
    of_user = rows.filter(user=OuterRef("pk")).order_by().values("user")
    return Subquery(of_user.annotate(**aggregate).values(*aggregate))


GLANCES = {
    "balance": (
        "billing.view_wallet",
        Subquery(Wallet.objects.filter(user=OuterRef("pk"), currency="CNY").values("balance")[:1]),
    ),
    "storage": ("drives.view_drive", total(Drive.objects.filter(is_active=True), size=Sum("used_size"))),
    "jobs": ("rendering.view_renderjob", total(RenderJob.objects.all(), count=Count("pk"))),
}
"""Columns of the list, each with the right that it needs and what it reads."""
