"""Invoices (fapiao) that payers ask for, and the bills that they cover."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from billing.models.bills import Bill
from billing.models.documents import Document
from billing.models.orders import FenField
from billing.models.wallets import OwnedQuerySet, Wallet
from common.models import Row, StateRow


class InvoiceRequest(StateRow):
    """What somebody wants an invoice of. It takes up what its lines say of their bills until it is over.

    requested → issuing → issued → red_flushed
       │  │         └→ rejected
       │  └→ rejected, issued
       └→ cancelled (by whoever asked)
    Rejected, cancelled and red-flushed ones free what they took up.
    """

    class Status(models.TextChoices):
        REQUESTED = "requested", _("Requested")
        ISSUING = "issuing", _("Being issued")
        ISSUED = "issued", _("Invoice issued")
        REJECTED = "rejected", _("Rejected")
        CANCELLED = "cancelled", _("Cancelled")
        RED_FLUSHED = "red_flushed", _("Red-flushed")

    TRANSITIONS = {
        Status.REQUESTED: {Status.ISSUING, Status.ISSUED, Status.REJECTED, Status.CANCELLED},
        Status.ISSUING: {Status.ISSUED, Status.REJECTED},
        Status.ISSUED: {Status.RED_FLUSHED},
        Status.REJECTED: set(),
        Status.CANCELLED: set(),
        Status.RED_FLUSHED: set(),
    }
    LIVE_STATUSES = (Status.REQUESTED, Status.ISSUING, Status.ISSUED)
    OPEN_STATUSES = (Status.REQUESTED, Status.ISSUING)

    class Kind(models.TextChoices):
        ORDINARY = "ordinary", _("Electronic ordinary invoice")
        SPECIAL = "special", _("Special VAT invoice")

    class TitleKind(models.TextChoices):
        PERSONAL = "personal", _("Personal")
        COMPANY = "company", _("Company")

    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="invoices", verbose_name=_("wallet"))
    requester = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="invoices", verbose_name=_("asked for by")
    )
    key = models.CharField(_("idempotency key"), max_length=100)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    title_kind = models.CharField(_("kind of title"), max_length=10, choices=TitleKind.choices)
    title = models.CharField(_("invoice title"), max_length=100)
    tax_number = models.CharField(_("tax number"), max_length=18, blank=True)
    details = models.CharField(_("address, telephone, bank and account"), max_length=300, blank=True)
    email = models.EmailField(_("mailed to"))
    amount = FenField(_("amount"))
    first_day = models.DateField(_("first day"), null=True, blank=True)
    last_day = models.DateField(_("last day"), null=True, blank=True)
    status = models.CharField(_("status"), max_length=12, choices=Status.choices, default=Status.REQUESTED)
    operator = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("operator"),
    )
    number = models.CharField(_("invoice number"), max_length=20, blank=True)
    issued_on = models.DateField(_("issued on"), null=True, blank=True)
    document = models.OneToOneField(
        Document, models.PROTECT, null=True, blank=True, related_name="invoice", verbose_name=_("document")
    )
    red_number = models.CharField(_("number of the red invoice"), max_length=20, blank=True)
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    mailed_at = models.DateTimeField(_("mailed at"), null=True, blank=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        verbose_name = _("invoice")
        verbose_name_plural = _("invoices")
        permissions = [("issue_invoicerequest", gettext_noop("Can issue, reject and red-flush invoices"))]
        constraints = [
            models.UniqueConstraint(fields=["wallet", "key"], name="billing_invoice_key"),
            models.UniqueConstraint(
                fields=["number"], condition=~Q(number=""), name="billing_invoice_number"
            ),
            models.UniqueConstraint(
                fields=["red_number"], condition=~Q(red_number=""), name="billing_invoice_red_number"
            ),
            models.CheckConstraint(condition=Q(amount__gt=0), name="billing_invoice_amount_positive"),
            models.CheckConstraint(
                condition=Q(title_kind="company") & ~Q(tax_number="")
                | Q(title_kind="personal", tax_number="", kind="ordinary"),
                name="billing_invoice_title",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["issued", "red_flushed"], issued_on__isnull=False)
                & Q(document__isnull=False)
                & ~Q(number="")
                | ~Q(status__in=["issued", "red_flushed"])
                & Q(number="", issued_on__isnull=True, document__isnull=True),
                name="billing_invoice_issued",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["rejected", "red_flushed"]) | ~Q(reason=""),
                name="billing_invoice_reason",
            ),
            models.CheckConstraint(
                condition=Q(status="red_flushed") & ~Q(red_number="")
                | ~Q(status="red_flushed") & Q(red_number=""),
                name="billing_invoice_red_flushed",
            ),
        ]
        indexes = [
            models.Index(fields=["wallet", "-created_at"], name="billing_invoice_newest"),
            models.Index(
                fields=["created_at"],
                condition=Q(status__in=["requested", "issuing"]),
                name="billing_invoice_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.title}"


class InvoiceLine(Row):
    """How much of a bill an invoice covers; written with the invoice, never changed (triggers)."""

    invoice = models.ForeignKey(
        InvoiceRequest, models.PROTECT, related_name="lines", verbose_name=_("invoice")
    )
    bill = models.ForeignKey(Bill, models.PROTECT, related_name="invoice_lines", verbose_name=_("bill"))
    amount = FenField(_("amount"))

    class Meta:
        verbose_name = _("line of an invoice")
        verbose_name_plural = _("lines of invoices")
        constraints = [
            models.UniqueConstraint(fields=["invoice", "bill"], name="billing_invoiceline_once"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="billing_invoiceline_amount_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.amount}"
