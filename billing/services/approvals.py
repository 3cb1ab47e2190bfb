"""Requests that take two operators; here credits and debits by hand. An approved request posts one entry."""

from decimal import Decimal
from typing import TypeVar

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import AuditEvent, TeamMember, User
from accounts.services import audit
from billing.errors import IdempotencyConflict, InsufficientBalance, OwnMoney, SamePerson
from billing.models import CreditRequest, LedgerEntry, Wallet
from billing.models.approvals import Proposal
from billing.services.documents import discard_document, store_document
from billing.services.ledger import FEN, LARGEST_CREDIT, post_entry
from billing.services.receivables import free_to_pay_back, lock_wallet, require_reason
from billing.signals import wallet_credited
from common.errors import Forbidden, Invalid

Status = CreditRequest.Status
Asked = TypeVar("Asked", bound=Proposal)


def lock_pending(request: Asked, checker: User) -> Asked:
    """The pending request, locked, for anybody but its maker. Raises SamePerson, TransitionNotAllowed."""
    row: Asked = type(request)._default_manager.select_for_update(of=("self",)).get(pk=request.pk)
    if row.status != row.Status.PENDING:
        raise row.refusal()
    if row.maker_id == checker.pk:
        raise SamePerson
    return row


def reject(*, request: Proposal, checker: User, decision: str) -> None:
    """Raises SamePerson, TransitionNotAllowed, Invalid."""
    require_reason(decision, 500)
    with transaction.atomic():
        row = lock_pending(request, checker)
        row.move_to(row.Status.REJECTED, checker=checker, decision=decision, decided_at=timezone.now())


def withdraw(*, request: Proposal, maker: User) -> None:
    """Withdraw one's own request. Raises Forbidden, TransitionNotAllowed."""
    if request.maker_id != maker.pk:
        raise Forbidden
    request.move_to(request.Status.WITHDRAWN, decided_at=timezone.now())


def request_credit(
    *,
    wallet: Wallet,
    amount: Decimal,
    key: str,
    reason: str,
    maker: User,
    evidence: str = "",
    file: UploadedFile | None = None,
    is_payment: bool = False,
) -> CreditRequest:
    """Ask for `amount` to be added, or taken where it is negative; nothing moves yet. The same `key` asks once.

    `file` is evidence, a PDF or a picture of at most 5 MiB.
    `is_payment`: it is real money that came or went outside of the channels, as by a bank transfer.

    Raises Invalid, OwnMoney, IdempotencyConflict, TooLarge, DocumentRefused.
    """
    if not amount.is_finite() or not amount or abs(amount) > LARGEST_CREDIT or amount % FEN:
        raise Invalid(
            _("An amount is not 0, at most %(limit)s up or down, with at most two decimals."),
            field="amount",
            limit=int(LARGEST_CREDIT),
        )
    require_reason(reason, 500)
    require_not_own(wallet, maker)
    asked = {
        "wallet": wallet, "amount": amount, "reason": reason, "evidence": evidence, "maker": maker,
        "is_payment": is_payment,
    }  # fmt: skip
    document = store_document(file=file, uploaded_by=maker) if file else None
    row, is_new = CreditRequest.objects.get_or_create(key=key, defaults={**asked, "document": document})
    if document and not is_new:
        discard_document(document)
    if not is_new and (row.wallet_id, row.amount, row.maker_id) != (wallet.pk, amount, maker.pk):
        raise IdempotencyConflict
    return row


def require_not_own(wallet: Wallet, person: User) -> None:
    """Raises OwnMoney for one's own wallet, or that of a team one belongs to."""
    is_member = wallet.team_id and TeamMember.objects.filter(team=wallet.team_id, user=person).exists()
    if wallet.user_id == person.pk or is_member:
        raise OwnMoney


def approve_credit(*, request: CreditRequest, checker: User, decision: str) -> LedgerEntry:
    """Post what was asked for, once. A debit takes paid money that is available, nothing that was given.

    Raises SamePerson, OwnMoney, TransitionNotAllowed, InsufficientBalance, WalletParked, Invalid.
    """
    require_reason(decision, 500)
    with transaction.atomic():
        row = lock_pending(request, checker)
        require_not_own(row.wallet, checker)
        wallet = lock_wallet(row.wallet)
        if row.amount < 0 and -row.amount > (free := free_to_pay_back(wallet)):
            raise InsufficientBalance(required=float(-row.amount), available=float(free))
        entry = post_entry(
            wallet=wallet,
            kind=LedgerEntry.Kind.CORRECTION,
            amount=row.amount,
            key=f"credit:{row.pk}",
            description=row.reason,
            actor=checker,
        )
        row.move_to(
            Status.APPROVED, entry=entry, checker=checker, decision=decision, decided_at=timezone.now()
        )
        audit.record(
            AuditEvent.Action.BALANCE_CHANGED,
            user=row.wallet.user,
            actor=checker,
            target=entry,
            before={"balance": f"{entry.balance_after - entry.amount:.2f}"},
            after={
                "balance": f"{entry.balance_after:.2f}",
                "amount": f"{entry.amount:.2f}",
                "reason": row.reason,
                "maker": str(row.maker_id),
            },
        )
        if entry.amount > 0:
            wallet_credited.send(sender=Wallet, wallet=wallet, entry=entry)
        return entry


def reject_credit(*, request: CreditRequest, checker: User, decision: str) -> None:
    """Raises SamePerson, OwnMoney, TransitionNotAllowed, Invalid."""
    require_not_own(request.wallet, checker)
    reject(request=request, checker=checker, decision=decision)
