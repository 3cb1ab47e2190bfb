"""What takes two operators: one makes the request, another one decides."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from billing.models.documents import Document
from billing.models.orders import FenField
from billing.models.wallets import LedgerEntry, Wallet
from common.models import StateRow


class Proposal(StateRow):
    """What one operator asks for and another one decides. Each kind has its own statuses, PENDING the first of them."""

    reason = models.CharField(_("reason"), max_length=500)
    maker = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("made by")
    )
    checker = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("checked by"),
    )
    decision = models.CharField(_("reason of the decision"), max_length=500, blank=True)
    decided_at = models.DateTimeField(_("decided at"), null=True, blank=True)

    class Meta:
        abstract = True


class CreditRequest(Proposal):
    """A correction of a wallet, up or down: maker and checker are two people, and approved it posts one entry.

    pending → approved | rejected | withdrawn (by its maker)
    """

    class Status(models.TextChoices):
        PENDING = "pending", _("Waiting for a second operator")
        APPROVED = "approved", _("Approved")
        REJECTED = "rejected", _("Rejected")
        WITHDRAWN = "withdrawn", _("Withdrawn")

    TRANSITIONS = {
        Status.PENDING: {Status.APPROVED, Status.REJECTED, Status.WITHDRAWN},
        Status.APPROVED: set(),
        Status.REJECTED: set(),
        Status.WITHDRAWN: set(),
    }

    wallet = models.ForeignKey(
        Wallet, models.PROTECT, related_name="credit_requests", verbose_name=_("wallet")
    )
    amount = FenField(_("amount"))
    evidence = models.TextField(_("evidence"), blank=True)
    document = models.OneToOneField(
        Document,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="credit_request",
        verbose_name=_("document"),
    )
    is_payment = models.BooleanField(
        _("is a payment"),
        default=False,
        help_text=_("Real money that came, or went back, outside of the channels; it can be invoiced."),
    )
    key = models.CharField(_("idempotency key"), max_length=100, unique=True)
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.PENDING)
    entry = models.OneToOneField(
        LedgerEntry,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="credit_request",
        verbose_name=_("ledger entry"),
    )

    class Meta:
        verbose_name = _("credit by hand")
        verbose_name_plural = _("credits by hand")
        permissions = [("check_creditrequest", gettext_noop("Can approve and reject credits by hand"))]
        constraints = [
            models.CheckConstraint(condition=~Q(amount=0), name="billing_creditrequest_not_zero"),
            models.CheckConstraint(
                condition=Q(checker__isnull=True) | ~Q(checker=F("maker")),
                name="billing_creditrequest_two_people",
            ),
            models.CheckConstraint(
                condition=Q(status="approved", entry__isnull=False, checker__isnull=False)
                | Q(status="rejected", entry__isnull=True, checker__isnull=False)
                | Q(status__in=["pending", "withdrawn"], entry__isnull=True, checker__isnull=True),
                name="billing_creditrequest_approved_has_entry",
            ),
        ]
        indexes = [
            models.Index(fields=["created_at"], condition=Q(status="pending"), name="billing_credit_pending"),
        ]

    def __str__(self) -> str:
        return f"{self.amount:.2f} {self.reason}"
