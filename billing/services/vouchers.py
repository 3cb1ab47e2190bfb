"""Redeeming a voucher: a code becomes a gift."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from accounts.models import User
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
from billing.services.gifts import give
from billing.services.ledger import wallet_of
from billing.services.voucher_batches import hashes_of
from billing.signals import wallet_credited
from common import limits

REFUSALS = (
    VoucherUnknown,
    VoucherRevoked,
    VoucherNotYetValid,
    VoucherExpired,
    VoucherRedeemed,
    VoucherLimitReached,
    OwnMoney,
)


def redeem(*, user: User, code: str, ip: str, now: datetime) -> Redemption:
    """Give the user what the code is worth: one gift, one entry. Raises one of REFUSALS, RateLimited."""
    voucher = guessed(user=user, code=code, ip=ip)
    wallet = wallet_of(user, voucher.batch.currency)
    with transaction.atomic():
        # Whoever redeems of the batch, or ends it, waits here.
        batch = VoucherBatch.objects.select_for_update(of=("self",), no_key=True).get(pk=voucher.batch_id)
        voucher.refresh_from_db(fields=["uses"])
        had = Redemption.objects.filter(batch=batch, user=user).count()
        require_redeemable(batch, voucher, user, had, now)
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
    """The voucher of a code. Codes that are none are counted for the user and for the address, so that nobody tries
    on. Raises VoucherUnknown, RateLimited."""
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


def require_redeemable(batch: VoucherBatch, voucher: Voucher, user: User, had: int, now: datetime) -> None:
    """`had` is how often the user has redeemed of the batch. Raises one of REFUSALS."""
    if batch.status == VoucherBatch.Status.REVOKED:
        raise VoucherRevoked
    if now < batch.valid_from:
        raise VoucherNotYetValid(valid_from=batch.valid_from)
    if now >= batch.valid_until:
        raise VoucherExpired
    if voucher.uses >= voucher.max_uses:
        raise VoucherRedeemed
    if had >= batch.per_user_limit:
        raise VoucherLimitReached(limit=batch.per_user_limit)
    if user.pk in (batch.maker_id, batch.checker_id):
        raise OwnMoney
