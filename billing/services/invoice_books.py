"""The nightly check of invoices: together they never exceed what was paid with real money and used."""

from datetime import date

from django.db import transaction

from billing.models import InvoiceRequest, ReconciliationRun, Wallet
from billing.services import nightly
from billing.services.invoiceable import covering, excess_of
from billing.services.nightly import Finding, Report
from billing.services.receivables import lock_wallet


def check_invoices(day: date) -> Report:
    """All wallets as they are now, whatever the day: one with too much is found each night until it is put right."""
    live = InvoiceRequest.objects.filter(status__in=InvoiceRequest.LIVE_STATUSES)
    findings = []
    for wallet in Wallet.objects.filter(pk__in=live.values("wallet")).order_by("pk"):
        with transaction.atomic():
            # Sums of several statements are of one moment: whoever invoices or gives back waits.
            locked = lock_wallet(wallet)
            excess, numbers = excess_of(locked), covering(locked)
        if excess:
            detail = f"{excess} too much, issued: {', '.join(numbers) or '-'}"
            findings.append(Finding("invoices", str(wallet.pk), detail, wallet_id=wallet.pk))
    return Report(live.count(), findings)


nightly.register(ReconciliationRun.Kind.INVOICES, check_invoices)
