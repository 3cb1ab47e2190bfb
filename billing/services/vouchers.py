"""Redeeming a voucher: a code becomes a gift."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from accounts.models import Team, User
from accounts.permissions import Action, require
from billing.errors import (
    OwnMoney,
    VoucherExpired,
    VoucherLimitReached,
    VoucherNotYetValid,
    VoucherRedeemed,
    VoucherRevoked,
    VoucherUnknown,
)
from billing.models import Redemption, Voucher, VoucherBatch, Wallet
from billing.services.approvals import require_not_own
from billing.services.gifts import give
from billing.services.ledger import wallet_of
from billing.services.voucher_batches import hashes_of
from billing.signals import wallet_credited
from common import limits
from common.errors import Forbidden

REFUSALS = (
    VoucherUnknown,
    VoucherRevoked,
    VoucherNotYetValid,
    VoucherExpired,
    VoucherRedeemed,
    VoucherLimitReached,
    OwnMoney,
    Forbidden,
)


def redeem(*, user: User, code: str, ip: str, now: datetime, payee: User | Team | None = None) -> Redemption:
    """Give what the code is worth to the user, or to a team whose money they manage: one gift, one entry.

    Raises one of REFUSALS, RateLimited.
    """
    if isinstance(payee, Team):
        require(user, Action.MANAGE_MONEY, payee)
    voucher = guessed(user=user, code=code, ip=ip)
    wallet = wallet_of(payee or user, voucher.batch.currency)
    with transaction.atomic():
        # Whoever redeems of the batch, or ends it, waits here.
        batch = VoucherBatch.objects.select_for_update(of=("self",), no_key=True).get(pk=voucher.batch_id)
        voucher.refresh_from_db(fields=["uses"])
        had = Redemption.objects.filter(batch=batch, user=user).count()
        require_redeemable(batch, voucher, wallet, had, now)
        use = voucher.uses + 1
        Voucher.objects.filter(pk=voucher.pk).update(uses=F("uses") + 1, updated_at=now)
        gift = give(
            wallet=wallet,
            amount=batch.amount,
            key=f"voucher:{voucher.pk}:{use}",
            description=_("Voucher: %(name)s") % {"name": batch.name},
            expires_at=now + timedelta(days=batch.gift_days) if batch.gift_days else None,
        )
        redemption = Redemption.objects.create(
            batch=batch, voucher=voucher, user=user, gift=gift, use_number=use, user_number=had + 1
        )
        wallet_credited.send(sender=Wallet, wallet=wallet, entry=gift.entry)
    return redemption


def guessed(*, user: User, code: str, ip: str) -> Voucher:
    """The voucher of a code. Unknown codes are counted for the user and for the address, which limits guessing.

    Raises VoucherUnknown, RateLimited.
    """
    rules = (
        ("voucher-user", str(user.pk), settings.VOUCHER_GUESS_LIMITS["user"]),
        ("voucher-address", ip, settings.VOUCHER_GUESS_LIMITS["address"]),
    )
    limits.take(*rules)
    found = Voucher.objects.select_related("batch").filter(code_hash__in=hashes_of(code)).first()
    if found is None:
        raise VoucherUnknown
    limits.give_back(*rules)
    return found


def require_redeemable(
    batch: VoucherBatch, voucher: Voucher, wallet: Wallet, had: int, now: datetime
) -> None:
    """`had` is how often the user has redeemed of the batch. Raises one of REFUSALS."""
    if batch.status == VoucherBatch.Status.REVOKED:
        raise VoucherRevoked
    if now < batch.valid_from:
        raise VoucherNotYetValid(valid_from=batch.valid_from)
    if now >= batch.valid_until or batch.status == VoucherBatch.Status.EXPIRED:
        raise VoucherExpired
    if voucher.uses >= voucher.max_uses:
        raise VoucherRedeemed
    if had >= batch.per_user_limit:
        raise VoucherLimitReached(limit=batch.per_user_limit)
    for issuer in filter(None, (batch.maker, batch.checker)):
        require_not_own(wallet, issuer)
