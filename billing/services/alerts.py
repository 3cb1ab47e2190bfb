"""Alerts: what an operator has to look at because money is at stake."""

from typing import Any

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from accounts.models import Notification, User
from accounts.services.notifications import notify
from billing.models import MoneyAlert, RechargeOrder, Wallet
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
    """Write an alert down and tell those who may act on it; the same `kind` and `key` do so once."""
    found = {"kind": kind, "wallet": wallet, "order": order, "data": data or {}}
    row, is_new = MoneyAlert.objects.get_or_create(key=f"{kind}:{key}"[:120], defaults=found)
    if is_new:
        for operator in keepers():
            notify(
                user=operator,
                title=gettext_noop("An alert about money"),
                message=gettext_noop("%(kind)s: see the alerts in the back office."),
                params={"kind": kind.value},
                level=Notification.Level.WARNING,
                action_url="/admin/billing/moneyalert/",
            )
    return row


def keepers() -> list[User]:
    """Operators who may write down what was done about an alert."""
    right = Q(groups__permissions__codename="resolve_moneyalert") | Q(
        user_permissions__codename="resolve_moneyalert"
    )
    return list(User.objects.filter(right, is_staff=True, is_active=True).distinct().order_by("pk"))


def resolve(*, alert: MoneyAlert, actor: User, resolution: str) -> MoneyAlert:
    """Write down what was done. The first word stays. Raises Invalid."""
    if not resolution.strip() or len(resolution) > 500:
        raise Invalid(_("A text of at most 500 characters is needed."), field="resolution")
    now = timezone.now()
    MoneyAlert.objects.filter(pk=alert.pk, resolved_at=None).update(
        resolved_at=now, resolved_by=actor, resolution=resolution, updated_at=now
    )
    alert.refresh_from_db()
    return alert
