"""Vouchers: codes that turn into gifts. Operators issue them in batches; each batch takes two operators."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.lookups import LessThanOrEqual
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from billing.models.approvals import Proposal
from billing.models.base import Currency
from billing.models.orders import FenField
from billing.models.wallets import Gift
from common.models import Row

MOST_WORTH = Decimal(10_000_000)
"""The most that all codes of a batch may give together; the same limit as for credits by hand."""


class VoucherBatch(Proposal):
    """Codes of one kind: what each gives, to whom, and when it may be redeemed.

    pending → approved → issued (its codes are made) → expired (its time is over)
       ├→ rejected  └───────┴──→ revoked | expired
       └→ withdrawn (by its maker)
    """

    class Status(models.TextChoices):
        PENDING = "pending", _("Waiting for a second operator")
        APPROVED = "approved", _("Approved")
        ISSUED = "issued", _("Issued")
        REJECTED = "rejected", _("Rejected")
        WITHDRAWN = "withdrawn", _("Withdrawn")
        REVOKED = "revoked", _("Revoked")
        EXPIRED = "expired", _("Expired")

    TRANSITIONS = {
        Status.PENDING: {Status.APPROVED, Status.REJECTED, Status.WITHDRAWN},
        Status.APPROVED: {Status.ISSUED, Status.REVOKED, Status.EXPIRED},
        Status.ISSUED: {Status.REVOKED, Status.EXPIRED},
        Status.REJECTED: set(),
        Status.WITHDRAWN: set(),
        Status.REVOKED: set(),
        Status.EXPIRED: set(),
    }

    name = models.CharField(
        _("name"), max_length=100, unique=True, help_text=_("Its receivers read it, too.")
    )
    currency = models.CharField(_("currency"), max_length=10, choices=Currency.choices, default=Currency.CNY)
    amount = FenField(_("amount"), help_text=_("What each redemption gives."))
    gift_days = models.PositiveSmallIntegerField(
        _("days of the gift"),
        null=True,
        blank=True,
        help_text=_("Counted from the redemption. Empty: the gift does not expire."),
    )
    is_shared = models.BooleanField(
        _("one code for all"), default=False, help_text=_("Otherwise each code is redeemed once.")
    )
    count = models.PositiveIntegerField(
        _("codes"), help_text=_("Where one code is for all: how often it may be redeemed.")
    )
    per_user_limit = models.PositiveSmallIntegerField(
        _("at most for each user"), default=1, help_text=_("Redemptions of the batch.")
    )
    valid_from = models.DateTimeField(_("redeemed from"))
    valid_until = models.DateTimeField(_("redeemed until"))
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.PENDING)
    issued_at = models.DateTimeField(_("issued at"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    revoked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("revoked by"),
    )
    revocation = models.CharField(_("reason of the revocation"), max_length=500, blank=True)

    class Meta:
        verbose_name = _("voucher batch")
        verbose_name_plural = _("voucher batches")
        constraints = [
            models.CheckConstraint(
                condition=Q(amount__gt=0, count__gt=0, per_user_limit__gt=0)
                & (Q(gift_days__isnull=True) | Q(gift_days__gt=0)),
                name="billing_voucherbatch_positive",
            ),
            models.CheckConstraint(
                condition=LessThanOrEqual(F("amount") * F("count"), MOST_WORTH),
                name="billing_voucherbatch_worth",
            ),
            models.CheckConstraint(
                condition=Q(valid_from__lt=F("valid_until")), name="billing_voucherbatch_window"
            ),
            models.CheckConstraint(
                condition=Q(checker__isnull=True) | ~Q(checker=F("maker")),
                name="billing_voucherbatch_two_people",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["pending", "withdrawn"], checker__isnull=True)
                | Q(
                    status__in=["approved", "issued", "rejected", "revoked", "expired"], checker__isnull=False
                ),
                name="billing_voucherbatch_checked",
            ),
            models.CheckConstraint(
                condition=~Q(status="issued") | Q(issued_at__isnull=False),
                name="billing_voucherbatch_issued",
            ),
            models.CheckConstraint(
                condition=Q(status="revoked", revoked_by__isnull=False)
                | ~Q(status="revoked") & Q(revoked_by__isnull=True),
                name="billing_voucherbatch_revoked",
            ),
        ]
        indexes = [
            models.Index(
                fields=["valid_until"],
                condition=Q(status__in=["approved", "issued"]),
                name="billing_voucherbatch_due",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Voucher(Row):
    """A code, stored as a keyed hash: reading the table is not enough to redeem one. `suffix` identifies it to
    people.
    """

    batch = models.ForeignKey(
        VoucherBatch, models.PROTECT, related_name="vouchers", verbose_name=_("voucher batch")
    )
    code_hash = models.CharField(_("code"), max_length=64, unique=True, editable=False)
    suffix = models.CharField(_("ends in"), max_length=4)
    max_uses = models.PositiveIntegerField(_("may be redeemed"), default=1)
    uses = models.PositiveIntegerField(_("redeemed"), default=0)

    class Meta:
        verbose_name = _("voucher")
        verbose_name_plural = _("vouchers")
        constraints = [
            models.CheckConstraint(condition=Q(uses__lte=F("max_uses")), name="billing_voucher_not_exceeded"),
        ]

    def __str__(self) -> str:
        return f"…{self.suffix}"


class RedemptionQuerySet(models.QuerySet["Redemption"]):
    def visible_to(self, user: User) -> RedemptionQuerySet:
        return self.filter(user=user)


class Redemption(Row):
    """A user's redemption of a code, and the gift it became; written once."""

    batch = models.ForeignKey(
        VoucherBatch, models.PROTECT, related_name="redemptions", verbose_name=_("voucher batch")
    )
    voucher = models.ForeignKey(
        Voucher, models.PROTECT, related_name="redemptions", verbose_name=_("voucher")
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="redemptions", verbose_name=_("user")
    )
    gift = models.OneToOneField(Gift, models.PROTECT, related_name="redemption", verbose_name=_("gift"))
    use_number = models.PositiveIntegerField(_("use of the code"))
    user_number = models.PositiveIntegerField(_("of the user in the batch"))

    objects = RedemptionQuerySet.as_manager()

    class Meta:
        verbose_name = _("redemption")
        verbose_name_plural = _("redemptions")
        constraints = [
            models.UniqueConstraint(fields=["voucher", "use_number"], name="billing_redemption_once"),
            models.UniqueConstraint(
                fields=["batch", "user", "user_number"], name="billing_redemption_of_user"
            ),
        ]
        indexes = [models.Index(fields=["user", "-created_at"], name="billing_redemption_newest")]

    def __str__(self) -> str:
        return f"{self.user} {self.voucher}"
