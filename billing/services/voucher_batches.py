"""Vouchers as operators issue them: one requests a batch, another one decides; then its codes are made, once."""

import secrets
import unicodedata
from collections.abc import Iterator
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from billing.models import Voucher, VoucherBatch
from billing.models.vouchers import MOST_WORTH
from billing.services.approvals import lock_pending
from billing.services.ledger import FEN
from billing.services.receivables import require_reason
from common.errors import Invalid

Status = VoucherBatch.Status
LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32, without letters that look like others. 16 of them are 80 bits."""
READ_AS = str.maketrans("OIL", "011", " -")
CODE_LENGTH, GROUP = 16, 4
CHOSEN_LENGTH = range(6, 33)
MOST_CODES, MOST_USES = 10_000, 1_000_000
BATCH = 2000


def spelled(code: str) -> str:
    """`code` as it is compared: in any case, with or without hyphens, full width as Chinese keyboards type it."""
    return unicodedata.normalize("NFKC", code).upper().translate(READ_AS)


def hashes_of(code: str) -> list[str]:
    """The hashes of a code: by the present key, and by earlier ones."""
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return [
        salted_hmac("billing.vouchers", spelled(code), secret=key, algorithm="sha256").hexdigest()
        for key in keys
    ]


def request_batch(*, batch: VoucherBatch, maker: User) -> VoucherBatch:
    """Store a batch that another operator has to approve; there are no codes yet. Raises Invalid."""
    require_sound(batch)
    batch.maker, batch.status = maker, Status.PENDING
    batch.save(force_insert=True)
    return batch


def require_sound(batch: VoucherBatch) -> None:
    """Raises Invalid."""
    require_reason(batch.reason, 500)
    most = MOST_USES if batch.is_shared else MOST_CODES
    if not 0 < batch.count <= most:
        raise Invalid(_("A whole number from 1 to %(most)s."), field="count", most=most)
    if not batch.amount.is_finite() or batch.amount <= 0 or batch.amount % FEN:
        raise Invalid(_("An amount is more than 0, with at most two decimals."), field="amount")
    if batch.amount * batch.count > MOST_WORTH:
        raise Invalid(
            _("All of them together give %(limit)s at most."), field="amount", limit=int(MOST_WORTH)
        )
    require_window(batch)


def require_window(batch: VoucherBatch) -> None:
    """Raises Invalid where the batch can never (or no longer) be redeemed."""
    if not max(batch.valid_from, timezone.now()) < batch.valid_until:
        raise Invalid(_("The end lies after the beginning, and in the future."), field="valid_until")


def approve_batch(*, batch: VoucherBatch, checker: User, decision: str) -> None:
    """Raises SamePerson, TransitionNotAllowed, Invalid."""
    require_reason(decision, 500)
    with transaction.atomic():
        row = lock_pending(batch, checker)
        require_window(row)
        row.move_to(Status.APPROVED, checker=checker, decision=decision, decided_at=timezone.now())


def issue_codes(*, batch: VoucherBatch, chosen: str = "") -> list[str]:
    """Make the codes of an approved batch, once: this is the only time that anybody sees them.

    `chosen` is the word of a batch with one code for all; without it that is made, too. Raises TransitionNotAllowed,
    Invalid.
    """
    require_window(batch)
    with transaction.atomic():
        batch.move_to(Status.ISSUED, issued_at=timezone.now())
        codes = (
            [chosen_code(batch, chosen)] if chosen else list(new_codes(1 if batch.is_shared else batch.count))
        )
        uses = batch.count if batch.is_shared else 1
        rows = (
            Voucher(batch=batch, code_hash=hashes_of(code)[0], suffix=spelled(code)[-4:], max_uses=uses)
            for code in codes
        )
        Voucher.objects.bulk_create(rows, batch_size=BATCH)
    return codes


def chosen_code(batch: VoucherBatch, chosen: str) -> str:
    """Raises Invalid."""
    word = spelled(chosen)
    if not batch.is_shared:
        raise Invalid(_("Only a code for all can be chosen."), field="code")
    if len(word) not in CHOSEN_LENGTH or not word.isascii() or not word.isalnum():
        raise Invalid(_("A code has 6 to 32 letters and digits."), field="code")
    if Voucher.objects.filter(code_hash__in=hashes_of(chosen)).exists():
        raise Invalid(_("This code is taken."), field="code")
    return chosen


def new_codes(count: int) -> Iterator[str]:
    for _number in range(count):
        letters = "".join(secrets.choice(LETTERS) for _place in range(CODE_LENGTH))
        yield "-".join(letters[start : start + GROUP] for start in range(0, CODE_LENGTH, GROUP))


def revoke_batch(*, batch: VoucherBatch, actor: User, reason: str) -> None:
    """Make all codes of the batch invalid; what they gave before stays. Raises TransitionNotAllowed, Invalid."""
    require_reason(reason, 500)
    batch.move_to(Status.REVOKED, revoked_by=actor, revocation=reason, ended_at=timezone.now())


def expire_batches(*, now: datetime) -> int:
    """Close the batches whose time is over; how many. Their codes are refused from that moment on by themselves."""
    due = VoucherBatch.objects.filter(
        status__in=VoucherBatch.sources_of(Status.EXPIRED), valid_until__lte=now
    )
    return due.update(status=Status.EXPIRED, ended_at=now, updated_at=now)
