"""Invoices (fapiao): asked for by payers, issued by operators at the tax office's platform, and kept here."""

import logging
import re
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, override

from accounts.models import Notification, User
from accounts.services.notifications import notify
from billing.errors import (
    CurrencyMismatch,
    IdempotencyConflict,
    InvoiceExceeded,
    InvoiceNumberTaken,
    TooManyInvoices,
    WalletParked,
)
from billing.models import Bill, Currency, Document, InvoiceLine, InvoiceRequest, Wallet
from billing.periods import day_of
from billing.selectors import Narrowing
from billing.services.approvals import require_not_own
from billing.services.documents import PDF, content_of, discard_document, store_document
from billing.services.invoiceable import excess_of, invoiceable
from billing.services.ledger import FEN
from billing.services.operators import LANGUAGE, send_all
from billing.services.orders import require_to_pay_into
from billing.services.receivables import lock_wallet, require_reason
from billing.tax_numbers import is_tax_number, normalised
from common.errors import Invalid, NotVisible

logger = logging.getLogger(__name__)
Status = InvoiceRequest.Status
Kind = InvoiceRequest.Kind
TitleKind = InvoiceRequest.TitleKind
MOST_OPEN = 20
"""How many invoices of a wallet may be pending at once."""
NUMBER = re.compile(r"[0-9]{18}|[0-9]{20}")
"""A digital invoice has 20 digits; one of before a code of 10 or 12 and a number of 8, written together."""
MAILED_FOR = timedelta(days=14)
"""A mail that could not be sent so long is not sent any more; the invoice is in the account."""
PAGE = "/billing#invoices"


@dataclass(frozen=True)
class Buyer:
    """To whom an invoice is made out, and where it is mailed."""

    kind: str
    title_kind: str
    title: str
    email: str
    tax_number: str = ""
    details: str = ""


def checked(buyer: Buyer) -> Buyer:
    """As it will stand on the invoice. Raises Invalid."""
    number = normalised(buyer.tax_number)
    if not buyer.title.strip():
        raise Invalid(gettext_lazy("A title is needed."), field="title")
    if buyer.title_kind == TitleKind.PERSONAL:
        if buyer.kind == Kind.SPECIAL:
            raise Invalid(gettext_lazy("A special VAT invoice is made out to a company."), field="title_type")
        if number:
            raise Invalid(gettext_lazy("A person has no tax number of a company."), field="tax_number")
    elif not is_tax_number(number):
        raise Invalid(
            gettext_lazy(
                "A company's tax number is expected: the unified social credit code of 18 characters, or 15 of before."
            ),
            field="tax_number",
        )
    return Buyer(
        **asdict(buyer)
        | {"title": buyer.title.strip(), "tax_number": number, "details": buyer.details.strip()}
    )


def request_invoice(
    *,
    wallet: Wallet,
    requester: User,
    buyer: Buyer,
    key: str,
    amount: Decimal | None = None,
    bills: Collection[UUID] | None = None,
    first: date | None = None,
    last: date | None = None,
) -> InvoiceRequest:
    """Ask for an invoice of these bills, or of those of these days, or of all; of `amount` yuan, or of all that can be.

    The same `key` asks once. Raises Invalid, NotVisible, Forbidden, CurrencyMismatch, WalletParked, InvoiceExceeded,
    TooManyInvoices, IdempotencyConflict.
    """
    require_to_pay_into(wallet, requester)
    if wallet.currency != Currency.CNY:
        raise CurrencyMismatch
    if amount is not None and (not amount.is_finite() or amount <= 0 or amount % FEN):
        raise Invalid(gettext_lazy("An amount is more than 0, with at most two decimals."), field="amount")
    if first and last and first > last:
        raise Invalid(gettext_lazy("The first day is after the last."), field="from")
    buyer = checked(buyer)
    asked = {**asdict(buyer), "first_day": first, "last_day": last, "requester": requester}
    narrowing = Narrowing(first, last) if first or last else None
    if bills is not None and Bill.objects.filter(wallet=wallet, pk__in=bills).count() != len(set(bills)):
        raise NotVisible
    with transaction.atomic():
        # Bills before their wallet, as whoever gives back of them: what is counted stays as it is until the commit.
        lock_bills(row.bill_id for row in invoiceable(wallet, bills=bills, narrowing=narrowing).bills)
        locked = lock_wallet(wallet)
        if known := InvoiceRequest.objects.filter(wallet=wallet, key=key).first():
            return repeated(known, asked, amount)
        if locked.parked_at is not None:
            raise WalletParked
        waiting = InvoiceRequest.objects.filter(wallet=wallet, status__in=InvoiceRequest.OPEN_STATUSES)
        if waiting.count() >= MOST_OPEN:
            raise TooManyInvoices(limit=MOST_OPEN)
        found = invoiceable(locked, bills=bills, narrowing=narrowing)
        wanted = found.amount if amount is None else amount
        if not 0 < wanted <= found.amount:
            raise InvoiceExceeded(available=float(found.amount))
        row = InvoiceRequest.objects.create(wallet=locked, key=key, amount=wanted, **asked)
        InvoiceLine.objects.bulk_create(
            InvoiceLine(invoice=row, bill_id=bill_id, amount=part) for bill_id, part in found.shares(wanted)
        )
        return row


def repeated(known: InvoiceRequest, asked: dict[str, Any], amount: Decimal | None) -> InvoiceRequest:
    """What was asked for with this key before. Raises IdempotencyConflict where it was something else."""
    if any(getattr(known, name) != value for name, value in asked.items()) or amount not in (
        None,
        known.amount,
    ):
        raise IdempotencyConflict
    return known


def lock_bills(ids: Any) -> None:
    """In the order in which whoever gives back of several takes them."""
    rows = Bill.objects.filter(pk__in=list(ids)).select_for_update(of=("self",), no_key=True)
    list(rows.order_by("-created_at", "-pk").values_list("pk"))


def cancel_invoice(*, invoice: InvoiceRequest, actor: User) -> InvoiceRequest:
    """Take a request back before an operator has taken it up. Raises NotVisible, Forbidden, TransitionNotAllowed."""
    require_to_pay_into(invoice.wallet, actor)
    invoice.move_to(Status.CANCELLED)
    return invoice


# --- What operators do ---


def start_invoice(*, invoice: InvoiceRequest, operator: User) -> None:
    """Take a request up: from now on its payer cannot take it back. Raises OwnMoney, TransitionNotAllowed."""
    require_not_own(invoice.wallet, operator)
    invoice.move_to(Status.ISSUING, operator=operator)


def issue_invoice(
    *, invoice: InvoiceRequest, operator: User, number: str, issued_on: date, file: UploadedFile
) -> None:
    """Keep the invoice that was made, and tell and mail it to whoever asked.

    Refused where less is left of its bills by now than it is of: it is rejected then, or the rest asked for anew.
    Raises Invalid, TooLarge, DocumentRefused, OwnMoney, InvoiceNumberTaken, InvoiceExceeded, TransitionNotAllowed.
    """
    require_not_own(invoice.wallet, operator)
    require_number(number)
    if not day_of(invoice.created_at) <= issued_on <= day_of(timezone.now()):
        raise Invalid(gettext_lazy("An invoice is issued between its request and today."), field="issued_on")
    document = store_document(file=file, uploaded_by=operator, kinds=(PDF,))
    try:
        issue(invoice, operator, number, issued_on, document)
    except BaseException:
        discard_document(document)
        raise


def issue(invoice: InvoiceRequest, operator: User, number: str, issued_on: date, document: Document) -> None:
    with transaction.atomic():
        lock_bills(invoice.lines.values_list("bill", flat=True))
        locked = lock_wallet(invoice.wallet)
        if excess := excess_of(locked):
            raise InvoiceExceeded(available=float(max(invoice.amount - excess, Decimal(0))))
        require_free(number)
        invoice.move_to(
            Status.ISSUED, operator=operator, number=number, issued_on=issued_on, document=document
        )
        tell(
            invoice,
            title=gettext_noop("Your invoice was issued"),
            message=gettext_noop("Invoice %(number)s of %(amount)s yuan; it is mailed to %(email)s, too."),
            level=Notification.Level.SUCCESS,
        )


def reject_invoice(*, invoice: InvoiceRequest, operator: User, reason: str) -> None:
    """Raises Invalid, OwnMoney, TransitionNotAllowed."""
    require_reason(reason, 500)
    require_not_own(invoice.wallet, operator)
    with transaction.atomic():
        invoice.move_to(Status.REJECTED, operator=operator, reason=reason)
        tell(
            invoice,
            title=gettext_noop("Your invoice was not issued"),
            message=gettext_noop("The invoice of %(amount)s yuan was rejected: %(reason)s"),
            level=Notification.Level.WARNING,
        )


def red_flush_invoice(*, invoice: InvoiceRequest, operator: User, number: str, reason: str) -> None:
    """An issued invoice was cancelled by a red one of this number; what it was of can be invoiced anew.

    Raises Invalid, OwnMoney, InvoiceNumberTaken, TransitionNotAllowed.
    """
    require_reason(reason, 500)
    require_number(number)
    require_not_own(invoice.wallet, operator)
    with transaction.atomic():
        lock_wallet(invoice.wallet)
        require_free(number)
        invoice.move_to(Status.RED_FLUSHED, operator=operator, red_number=number, reason=reason)
        tell(
            invoice,
            title=gettext_noop("An invoice was red-flushed"),
            message=gettext_noop("Invoice %(number)s of %(amount)s yuan is void: %(reason)s"),
            level=Notification.Level.WARNING,
        )


def require_number(number: str) -> None:
    if not NUMBER.fullmatch(number):
        raise Invalid(
            gettext_lazy("A number of 20 digits is expected, or code and number of before in one."),
            field="number",
        )


def require_free(number: str) -> None:
    """Raises InvoiceNumberTaken."""
    rows = InvoiceRequest.objects
    if rows.filter(number=number).exists() or rows.filter(red_number=number).exists():
        raise InvoiceNumberTaken


def tell(invoice: InvoiceRequest, *, title: str, message: str, level: Notification.Level) -> None:
    """Whoever asked for it, unless they are gone."""
    if invoice.requester.deleted_at is None:
        notify(
            user=invoice.requester,
            title=title,
            message=message,
            level=level,
            params={
                "amount": f"{invoice.amount:.2f}",
                "number": invoice.number,
                "reason": invoice.reason,
                "email": invoice.email,
            },
            action_url=PAGE,
        )


def mail_due(*, now: datetime, limit: int = 500) -> int:
    """Mail the invoices that were issued and not mailed; how many. Claimed first, so that two at once send one."""
    issued = InvoiceRequest.objects.filter(status=Status.ISSUED, issued_on__gte=day_of(now - MAILED_FOR))
    waiting = issued.filter(mailed_at=None).select_related("document")
    sent = 0
    for invoice in waiting.order_by("updated_at", "pk")[:limit]:
        mine = InvoiceRequest.objects.filter(pk=invoice.pk, mailed_at=None)
        if not mine.update(mailed_at=now, updated_at=timezone.now()):
            continue
        if mail(invoice):
            sent += 1
        else:
            InvoiceRequest.objects.filter(pk=invoice.pk).update(mailed_at=None, updated_at=timezone.now())
    return sent


def mail(invoice: InvoiceRequest) -> int:
    assert invoice.document is not None  # noqa: S101  (a constraint)
    with override(LANGUAGE):
        values = {"number": invoice.number, "amount": f"{invoice.amount:.2f}", "title": invoice.title}
        subject = _("Invoice %(number)s of Yuntu") % values
        text = _("Your invoice of %(amount)s yuan for %(title)s is attached.") % values
    try:
        content = content_of(invoice.document)
    except OSError:
        logger.exception("invoice %s cannot be mailed", invoice.pk)
        return 0
    attached = (f"{invoice.number}.pdf", content, PDF)
    return send_all([invoice.email], subject, text, attached)
