"""Alerts: what operators must look at because money is at stake."""

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from accounts.models import User
from billing.models import MoneyAlert, RechargeOrder, Wallet
from billing.services.operators import alert as tell
from common.errors import Invalid

Kind = MoneyAlert.Kind


def alert(
    kind: MoneyAlert.Kind,
    *,
    key: str,
    wallet: Wallet | None = None,
    order: RechargeOrder | None = None,
    data: dict[str, Any] | None = None,
) -> MoneyAlert:
    """Record an alert and tell those who may act on it; only once for the same `kind` and `key`."""
    found = {"kind": kind, "wallet": wallet, "order": order, "data": data or {}}
    row, is_new = MoneyAlert.objects.get_or_create(key=f"{kind}:{key}"[:120], defaults=found)
    if is_new:
        tell(
            right="billing.resolve_moneyalert",
            title=gettext_noop("An alert about money"),
            message=gettext_noop("%(kind)s: see the alerts in the back office."),
            params={"kind": kind.value},
            action_url=f"/admin/billing/moneyalert/{row.pk}/change/",
        )
    return row


def resolve(*, alert: MoneyAlert, actor: User, resolution: str) -> MoneyAlert:
    """Write down what was done. The first record stays. Raises Invalid."""
    if not resolution.strip() or len(resolution) > 500:
        raise Invalid(_("A text of at most 500 characters is needed."), field="resolution")
    now = timezone.now()
    MoneyAlert.objects.filter(pk=alert.pk, resolved_at=None).update(
        resolved_at=now, resolved_by=actor, resolution=resolution, updated_at=now
    )
    alert.refresh_from_db()
    return alert
