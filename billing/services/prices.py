"""Prices. Estimate and charge come from the one rule that is kept on the job."""

from decimal import Decimal

from django.utils import timezone

from billing.errors import NoPrice
from billing.models import PriceRule


def price_of(*, engine: str) -> PriceRule:
    """The rule in force for a frame of `engine`. Raises NoPrice."""
    rule = PriceRule.objects.in_force(engine=engine, now=timezone.now()).first()
    if rule is None:
        raise NoPrice
    return rule


def estimate(*, frames: int, unit_price: Decimal) -> Decimal:
    """Cost of `frames` frames, exact; what is held is this rounded up to the fen."""
    return unit_price * frames
