"""What operators must look at because money is at stake."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from billing.models.orders import RechargeOrder
from billing.models.wallets import Wallet
from common.models import Row


class MoneyAlert(Row):
    """Something does not add up, and nothing was done about it: an operator looks, acts, and writes down what was
    done.
    """

    class Kind(models.TextChoices):
        PAID_AFTER_CLOSE = "paid_after_close", _("Paid after the order was closed")
        AMOUNT_MISMATCH = "amount_mismatch", _("Another amount was paid")
        CURRENCY_MISMATCH = "currency_mismatch", _("Another currency was paid")
        MERCHANT_MISMATCH = "merchant_mismatch", _("Another merchant was paid")
        PAID_TWICE = "paid_twice", _("Paid a second time")
        REFUND_MISMATCH = "refund_mismatch", _("The channel paid back something else")
        REFUND_FAILED = "refund_failed", _("A refund failed at the channel")
        CHARGEBACK_UNCOVERED = "chargeback_uncovered", _("A chargeback is not covered")
        INVOICE_EXCEEDED = "invoice_exceeded", _("An invoice is of more than was paid")

    kind = models.CharField(_("kind"), max_length=30, choices=Kind.choices)
    key = models.CharField(_("what it is about"), max_length=120, unique=True)
    wallet = models.ForeignKey(
        Wallet, models.PROTECT, null=True, blank=True, related_name="alerts", verbose_name=_("wallet")
    )
    order = models.ForeignKey(
        RechargeOrder, models.PROTECT, null=True, blank=True, related_name="alerts", verbose_name=_("order")
    )
    data = models.JSONField(_("data"), default=dict, blank=True)
    resolved_at = models.DateTimeField(_("resolved at"), null=True, blank=True)
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("resolved by"),
    )
    resolution = models.CharField(_("what was done"), max_length=500, blank=True)

    class Meta:
        verbose_name = _("alert about money")
        verbose_name_plural = _("alerts about money")
        permissions = [("resolve_moneyalert", gettext_noop("Can write down what was done about alerts"))]
        indexes = [
            models.Index(
                fields=["created_at"], condition=Q(resolved_at__isnull=True), name="billing_alert_open"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"
