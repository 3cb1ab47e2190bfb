"""Batches of vouchers for tests, issued as two operators do it."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from accounts.models import User
from billing.models import VoucherBatch
from billing.services.voucher_batches import approve_batch, issue_codes, request_batch
from tests.factories import make_user, numbers


def person(name: str) -> User:
    return User.objects.filter(username=name).first() or make_user(username=name, is_staff=True)


def asked(**facts: Any) -> VoucherBatch:
    """A batch that waits for a second operator; by default one code of 20 yuan, a gift for 90 days."""
    now = timezone.now()
    usual = {
        "name": f"autumn {next(numbers)}", "amount": Decimal(20), "gift_days": 90, "count": 1, "per_user_limit": 1,
        "valid_from": now - timedelta(days=1), "valid_until": now + timedelta(days=30), "reason": "campaign",
    }  # fmt: skip
    return request_batch(batch=VoucherBatch(**{**usual, **facts}), maker=person("voucher_maker"))


def approved(**facts: Any) -> VoucherBatch:
    batch = asked(**facts)
    approve_batch(batch=batch, checker=person("voucher_checker"), decision="agreed")
    batch.refresh_from_db()
    return batch


def issued(*, chosen: str = "", **facts: Any) -> tuple[VoucherBatch, list[str]]:
    """The batch, and its codes."""
    batch = approved(**facts)
    codes = issue_codes(batch=batch, chosen=chosen)
    return batch, codes
