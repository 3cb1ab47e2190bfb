"""The sidebar: sections of the daily work, each with the pages that the operator may see."""

from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class Page:
    """A page that belongs to no model: the name of its URL, and the right that it needs."""

    title: Any
    icon: str
    address: str
    right: str = ""


@dataclass(frozen=True)
class Section:
    """`models` are listed in this order, by label, each with an icon; all other models of `apps` are folded away
    below.
    """

    title: Any
    apps: tuple[str, ...]
    models: dict[str, str]
    pages: tuple[Page, ...] = ()


SECTIONS = (
    Section(
        _("People"),
        ("accounts",),
        {
            "accounts.user": "group", "accounts.team": "groups", "accounts.session": "devices",
            "accounts.notice": "campaign", "accounts.auditevent": "policy",
        },
    ),
    Section(
        _("Money"),
        ("billing",),
        {
            "billing.wallet": "account_balance_wallet", "billing.ledgerentry": "receipt_long",
            "billing.creditrequest": "approval", "billing.rechargeorder": "payments", "billing.bill": "request_quote",
            "billing.invoicerequest": "receipt",
            "billing.pricerule": "sell", "billing.membership": "card_membership",
            "billing.voucherbatch": "redeem", "billing.reconciliationrun": "balance",
        },
    ),
    Section(
        _("Render farm"),
        ("rendering",),
        {
            "rendering.renderjob": "movie", "rendering.rendernode": "dns", "rendering.attempt": "replay",
            "rendering.concurrencylimit": "speed",
        },
        (Page(_("Queue"), "queue", "admin:queue", "rendering.view_renderjob"),),
    ),
    Section(
        _("Drives and files"),
        ("drives", "uploads"),
        {
            "drives.drive": "hard_drive", "drives.file": "draft", "drives.fileoperation": "history",
            "drives.sharelink": "link", "uploads.uploadtask": "cloud_upload",
            "drives.storagecheck": "health_and_safety",
        },
    ),
    Section(
        _("System"),
        ("django_celery_beat", "django_celery_results", "auth"),
        {
            "django_celery_beat.periodictask": "schedule", "django_celery_results.taskresult": "task_alt",
            "auth.group": "admin_panel_settings",
        },
    ),
)  # fmt: skip


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """The sections as the skin wants them, without what the operator may not see."""
    first = {"title": _("Overview"), "icon": "dashboard", "link": reverse("admin:index")}
    groups: list[dict[str, Any]] = [{"items": [first]}]
    for section in SECTIONS:
        items = [
            {"title": page.title, "icon": page.icon, "link": reverse(page.address)}
            for page in section.pages
            if not page.right or request.user.has_perm(page.right)
        ]
        named = models_of(section, request)
        items += [entry(named.pop(label), icon) for label, icon in section.models.items() if label in named]
        if items:
            groups.append({"title": section.title, "items": items, "separator": True})
        if named:
            rest = [entry(model, "table_rows") for model in named.values()]
            title = _("More of this") if items else section.title
            groups.append({"title": title, "items": rest, "collapsible": True, "separator": not items})
    return groups


def models_of(section: Section, request: HttpRequest) -> dict[str, type[Model]]:
    return {
        model._meta.label_lower: model
        for app in section.apps
        if apps.is_installed(app)
        for model in apps.get_app_config(app).get_models()
        if (page := admin.site._registry.get(model)) and page.has_view_or_change_permission(request)
    }


def entry(model: type[Model], icon: str) -> dict[str, Any]:
    address = f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
    return {"title": model._meta.verbose_name_plural, "icon": icon, "link": reverse(address)}
