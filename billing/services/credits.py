"""Credits by operators."""

from decimal import Decimal

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.models import AuditEvent, User
from accounts.services import audit
from billing.models import LedgerEntry
from billing.services.ledger import FEN, LARGEST_CREDIT, post_entry, wallet_of
from common.errors import Invalid


def credit(*, user: User, amount: Decimal, key: str, reason: str, actor: User | None = None) -> LedgerEntry:
    """An operator's credit in CNY from the shell: positive, in whole fen, at most LARGEST_CREDIT.

    As those by hand it is a correction, because no channel was paid.

    Raises Invalid, IdempotencyConflict.
    """
    if not amount.is_finite() or not 0 < amount <= LARGEST_CREDIT or amount % FEN:
        raise Invalid(
            _("An amount is more than 0, at most %(limit)s, with at most two decimals."),
            field="amount",
            limit=int(LARGEST_CREDIT),
        )
    if not reason.strip() or len(reason) > 500:
        raise Invalid(_("A reason of at most 500 characters is needed."), field="reason")
    with transaction.atomic():
        entry = post_entry(
            wallet=wallet_of(user),
            kind=LedgerEntry.Kind.CORRECTION,
            amount=amount,
            key=key,
            description=reason,
            actor=actor,
        )
        record_credit(user, entry, actor)
    return entry


def record_credit(user: User, entry: LedgerEntry, actor: User | None) -> None:
    """Write a credit down in the audit log, once: for a repeated call the entry is an earlier one, and so is this."""
    action = AuditEvent.Action.BALANCE_CHANGED
    done = {"action": action, "target_type": LedgerEntry._meta.label_lower, "target_id": str(entry.pk)}
    if AuditEvent.objects.filter(**done).exists():
        return
    audit.record(
        action,
        user=user,
        actor=actor,
        target=entry,
        before={"balance": f"{entry.balance_after - entry.amount:.2f}"},
        after={
            "balance": f"{entry.balance_after:.2f}",
            "amount": f"{entry.amount:.2f}",
            "reason": entry.description,
        },
    )
