"""The first page: figures as cards, each linked to the list behind it, and a chart."""

import json
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.translation import gettext as _

from backoffice.alerts import alerts_for
from backoffice.figures import GROUPS, today


@dataclass(frozen=True)
class Card:
    """A figure, its meaning, and the list it comes from."""

    title: str
    value: str
    link: str
    hint: str = ""


def put_figures(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add to the first page what its operator may see. The skin calls it (DASHBOARD_CALLBACK)."""
    seen = {name: group.figures() for name, group in GROUPS.items() if request.user.has_perm(group.right)}
    context["alerts"] = alerts_for(request)
    context["cards"] = [card for name, figures in seen.items() for card in CARDS[name](figures)]
    if "money" in seen:
        context["chart"] = chart_of(seen["money"])
    return context


def to(name: str, query: str = "") -> str:
    return reverse(f"admin:{name}_changelist") + query


def yuan(amount: Any) -> str:
    return f"¥ {amount:,.2f}"


def money_cards(figures: dict[str, Any]) -> list[Card]:
    entries, now = "billing_ledgerentry", f"created_at_from={today()}"
    month = f"created_at_from={figures['days'][0]}"
    return [
        Card(_("Revenue today"), yuan(figures["revenue"][-1]), to(entries, f"?kind__exact=consume&{now}")),
        Card(_("Revenue of 30 days"), yuan(sum(figures["revenue"])), to(entries, f"?kind__exact=consume&{month}")),
        Card(
            _("Recharged today"), yuan(figures["recharged"][-1]), to(entries, f"?kind__exact=recharge&{now}"),
            _("30 days: %(amount)s") % {"amount": yuan(sum(figures["recharged"]))},
        ),
    ]  # fmt: skip


def job_cards(figures: dict[str, Any]) -> list[Card]:
    jobs = "rendering_renderjob"
    return [
        Card(_("Tasks that render"), f"{figures['running']:,}", to(jobs, "?status__exact=3")),
        Card(_("Tasks that wait"), f"{figures['queued']:,}", reverse("admin:queue")),
        Card(_("Tasks failed since yesterday"), f"{figures['failed']:,}", to(jobs, "?status__exact=6")),
    ]


def frame_cards(figures: dict[str, Any]) -> list[Card]:
    link = to("rendering_attempt", "?status__exact=succeeded")
    return [Card(_("Frames in the last hour"), f"{figures['frames']:,}", link)]


def node_cards(figures: dict[str, Any]) -> list[Card]:
    others = _("draining %(draining)s, disabled %(disabled)s, lost %(lost)s") % figures
    return [Card(_("Render nodes at work"), f"{figures['online']:,}", to("rendering_rendernode"), others)]


def storage_cards(figures: dict[str, Any]) -> list[Card]:
    saved = _("saved by storing once: %(size)s") % {"size": filesizeformat(figures["saved"])}
    return [Card(_("Storage used"), filesizeformat(figures["used"]), to("drives_drive", "?o=-4"), saved)]


def people_cards(figures: dict[str, Any]) -> list[Card]:
    week = _("7 days: %(count)s") % {"count": f"{figures['week']:,}"}
    return [
        Card(
            _("New users today"),
            f"{figures['today']:,}",
            to("accounts_user", f"?created_at_from={today()}"),
            week,
        )
    ]


CARDS = {
    "money": money_cards,
    "jobs": job_cards,
    "frames": frame_cards,
    "nodes": node_cards,
    "storage": storage_cards,
    "people": people_cards,
}


def chart_of(figures: dict[str, Any]) -> dict[str, str]:
    """Two rows of bars, a day each, as the skin's chart reads them."""
    rows = (
        (_("Revenue"), figures["revenue"], "var(--color-primary-600)"),
        (_("Recharged"), figures["recharged"], "var(--color-base-300)"),
    )
    data = {
        "labels": [f"{day:%m-%d}" for day in figures["days"]],
        "datasets": [
            {"label": label, "data": [float(amount) for amount in amounts], "backgroundColor": colour}
            for label, amounts, colour in rows
        ],
    }
    legend = {"display": True, "position": "top", "align": "end"}
    options = {"responsive": True, "maintainAspectRatio": False, "plugins": {"legend": legend}}
    return {"data": json.dumps(data), "options": json.dumps(options)}
