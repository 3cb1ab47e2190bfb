"""Money from outside and back: orders at payment channels, refunds through them, and what wallets owe."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from billing.models.base import Currency, MoneyField
from billing.models.holds import Hold
from billing.models.wallets import LedgerEntry, OwnedQuerySet, Wallet
from common.models import Row, StateRow


class Channel(models.TextChoices):
    """Who collects the money for us."""

    WECHAT = "wechat", _("WeChat Pay")
    ALIPAY = "alipay", _("Alipay")


class FenField(models.DecimalField):
    """An amount in the precision of the channels: whole fen."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        kwargs.setdefault("max_digits", 14)
        kwargs.setdefault("decimal_places", 2)
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]


class RechargeOrder(StateRow):
    """What somebody wants to pay into a wallet; only a channel's word for the payment credits it.

    pending → paid      (the recharge entry is written with it)
       ├────→ closed    (cancelled, or not paid in time)
       └────→ failed    (the channel refused it)
    closed, failed → paid only by an operator, for what the channel confirms to have taken all the same.
    """

    class Status(models.TextChoices):
        PENDING = "pending", _("Waiting for payment")
        PAID = "paid", _("Paid")
        CLOSED = "closed", _("Closed")
        FAILED = "failed", _("Failed")

    TRANSITIONS = {
        Status.PENDING: {Status.PAID, Status.CLOSED, Status.FAILED},
        Status.CLOSED: {Status.PAID},
        Status.FAILED: {Status.PAID},
        Status.PAID: set(),
    }

    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="orders", verbose_name=_("wallet"))
    payer = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="recharge_orders", verbose_name=_("payer")
    )
    channel = models.CharField(_("channel"), max_length=10, choices=Channel.choices)
    merchant = models.CharField(_("merchant"), max_length=64)
    amount = FenField(_("amount"))
    currency = models.CharField(
        _("currency"), max_length=10, choices=Currency.choices, default=Currency.CNY, editable=False
    )
    description = models.CharField(_("description"), max_length=500, blank=True)
    order_no = models.CharField(_("order number"), max_length=32, unique=True)
    key = models.CharField(_("idempotency key"), max_length=100)
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.PENDING)
    code_url = models.CharField(_("content of the QR code"), max_length=512, blank=True)
    pay_url = models.TextField(_("payment page"), blank=True)
    transaction_no = models.CharField(_("number at the channel"), max_length=64, blank=True, db_index=True)
    entry = models.OneToOneField(
        LedgerEntry,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="order",
        verbose_name=_("ledger entry"),
    )
    expires_at = models.DateTimeField(_("to be paid until"))
    paid_at = models.DateTimeField(_("paid at"), null=True, blank=True)
    closed_at = models.DateTimeField(_("order closed at"), null=True, blank=True)
    poll_at = models.DateTimeField(_("the channel is asked next at"))
    failure = models.CharField(_("why it failed"), max_length=200, blank=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        verbose_name = _("recharge order")
        verbose_name_plural = _("recharge orders")
        permissions = [
            ("settle_rechargeorder", gettext_noop("Can ask channels about orders and settle them")),
            ("payback_rechargeorder", gettext_noop("Can pay orders back and record chargebacks")),
        ]
        constraints = [
            models.UniqueConstraint(fields=["wallet", "payer", "key"], name="billing_rechargeorder_key"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="billing_rechargeorder_amount_positive"),
            models.CheckConstraint(condition=Q(currency="CNY"), name="billing_rechargeorder_yuan"),
            models.CheckConstraint(
                condition=Q(status="paid", entry__isnull=False, paid_at__isnull=False)
                | ~Q(status="paid") & Q(entry__isnull=True, paid_at__isnull=True),
                name="billing_rechargeorder_paid_has_entry",
            ),
        ]
        indexes = [
            models.Index(fields=["wallet", "-created_at"], name="billing_order_newest"),
            models.Index(fields=["poll_at"], condition=Q(status="pending"), name="billing_order_due"),
            models.Index(fields=["paid_at"], name="billing_order_paid"),
        ]

    def __str__(self) -> str:
        return f"{self.order_no} {self.amount:.2f}"


class RefundOrder(StateRow):
    """Paying an order back, or a part of it, by its channel; a hold keeps the money until the channel has answered.

    pending → succeeded (the hold is captured)
       └────→ failed    (the hold is released)
    """

    class Status(models.TextChoices):
        PENDING = "pending", _("Under way")
        SUCCEEDED = "succeeded", _("Paid back")
        FAILED = "failed", _("Failed")

    TRANSITIONS = {
        Status.PENDING: {Status.SUCCEEDED, Status.FAILED},
        Status.SUCCEEDED: set(),
        Status.FAILED: set(),
    }

    order = models.ForeignKey(RechargeOrder, models.PROTECT, related_name="refunds", verbose_name=_("order"))
    amount = FenField(_("amount"))
    refund_no = models.CharField(_("refund number"), max_length=32, unique=True)
    key = models.CharField(_("idempotency key"), max_length=100)
    reason = models.CharField(_("reason"), max_length=200)
    maker = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("operator")
    )
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.PENDING)
    hold = models.OneToOneField(Hold, models.PROTECT, related_name="refund_order", verbose_name=_("hold"))
    channel_no = models.CharField(_("number at the channel"), max_length=64, blank=True)
    done_at = models.DateTimeField(_("done at"), null=True, blank=True)
    poll_at = models.DateTimeField(_("the channel is asked next at"))
    failure = models.CharField(_("why it failed"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("refund by channel")
        verbose_name_plural = _("refunds by channels")
        constraints = [
            models.UniqueConstraint(fields=["order", "key"], name="billing_refundorder_key"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="billing_refundorder_amount_positive"),
            models.CheckConstraint(
                condition=Q(status="pending", done_at__isnull=True)
                | ~Q(status="pending") & Q(done_at__isnull=False),
                name="billing_refundorder_done",
            ),
        ]
        indexes = [
            models.Index(fields=["poll_at"], condition=Q(status="pending"), name="billing_refund_due"),
        ]

    def __str__(self) -> str:
        return f"{self.refund_no} {self.amount:.2f}"


class Receivable(Row):
    """A chargeback: money that a channel took back from us, and how much of it the wallet has paid so far.

    The rest is taken from the next recharges, oldest receivable first.
    """

    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="receivables", verbose_name=_("wallet"))
    order = models.ForeignKey(
        RechargeOrder, models.PROTECT, related_name="receivables", verbose_name=_("order")
    )
    amount = FenField(_("amount"))
    collected = MoneyField(_("collected"), default=Decimal(0))
    key = models.CharField(_("idempotency key"), max_length=100)
    reason = models.CharField(_("reason"), max_length=200)
    maker = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("operator")
    )
    settled_at = models.DateTimeField(_("settled at"), null=True, blank=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        verbose_name = _("receivable")
        verbose_name_plural = _("receivables")
        constraints = [
            models.UniqueConstraint(fields=["order", "key"], name="billing_receivable_key"),
            models.CheckConstraint(
                condition=Q(amount__gt=0, collected__gte=0, collected__lte=F("amount")),
                name="billing_receivable_not_exceeded",
            ),
            models.CheckConstraint(
                condition=Q(settled_at__isnull=True, collected__lt=F("amount"))
                | Q(settled_at__isnull=False, collected=F("amount")),
                name="billing_receivable_settled_whole",
            ),
        ]
        indexes = [
            models.Index(
                fields=["wallet", "created_at"],
                condition=Q(settled_at__isnull=True),
                name="billing_receivable_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount - self.collected:.2f} / {self.amount:.2f}"
