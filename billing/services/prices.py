"""Prices. Estimate and charge use the same formula, `unit_price_of`, and its inputs are stored."""

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from django.utils import timezone

from billing.errors import NoPrice
from billing.models import PriceRule, Priority
from billing.services.ledger import SMALLEST, ZERO, to_fen

Unit = PriceRule.Unit
GB = 1 << 30
"""Bytes in a GB, as storage and traffic are sold."""


def unit_price_of(*, base: Decimal, multiplier: Decimal, discount: Decimal) -> Decimal:
    """base × multiplier × (1 - discount), rounded half up to six places: what a unit costs."""
    return (base * multiplier * (1 - discount)).quantize(SMALLEST, ROUND_HALF_UP)


@dataclass(frozen=True)
class Price:
    """A rule as it applies to somebody with a discount, at a priority."""

    rule: PriceRule
    multiplier: Decimal
    discount: Decimal

    @property
    def unit_price(self) -> Decimal:
        return unit_price_of(base=self.rule.price, multiplier=self.multiplier, discount=self.discount)


def price_of(*, engine: str, priority: int = Priority.NORMAL, discount: Decimal = ZERO) -> Price:
    """What the unit costs by which rendering with `engine` is paid now. Raises NoPrice.

    The rule of the engine goes before one for all engines, a newer one before an older, whatever their units.
    """
    rule = PriceRule.objects.in_force(now=timezone.now(), units=PriceRule.RENDERING, engine=engine).first()
    if rule is None:
        raise NoPrice
    return Price(rule, rule.multiplier(priority), discount)


def rule_for(unit: Unit, *, now: datetime) -> PriceRule | None:
    """The rule in force at `now` for something that is not rendered: storage, traffic."""
    return PriceRule.objects.in_force(now=now, units=(unit,)).first()


def rules_in_force(*, now: datetime) -> list[PriceRule]:
    """Every rule by which something would be charged at `now`: the newest for each engine, or for all."""
    rules = PriceRule.objects.filter(valid_from__lte=now).exclude(valid_to__lte=now)
    found: dict[tuple[str, str], PriceRule] = {}
    for rule in rules.order_by("valid_from", "pk"):
        group = "rendering" if rule.unit in PriceRule.RENDERING else rule.unit
        found[rule.engine, group] = rule
    return sorted(found.values(), key=lambda rule: (rule.engine, rule.unit))


SAMPLE_FRAMES, SAMPLE_HOURS, SAMPLE_CORES = 100, Decimal("0.2"), 8
"""The task by which operators see what a new rule does: frames, hours of each, cores that it keeps busy."""
SAMPLE_GB = 1000


def sample_cost(rule: PriceRule, priority: int = Priority.NORMAL) -> Decimal:
    """What the sample task, or a month of so many GB, or their transfer, costs by `rule` without a discount."""
    units = {
        Unit.FRAME: Decimal(SAMPLE_FRAMES),
        Unit.NODE_HOUR: SAMPLE_FRAMES * SAMPLE_HOURS,
        Unit.CORE_HOUR: SAMPLE_FRAMES * SAMPLE_HOURS * SAMPLE_CORES,
        Unit.STORAGE: Decimal(SAMPLE_GB * 30),
        Unit.TRAFFIC: Decimal(SAMPLE_GB),
    }
    is_rendered = rule.unit in PriceRule.RENDERING
    multiplier = rule.multiplier(priority) if is_rendered else Decimal(1)
    price = unit_price_of(base=rule.price, multiplier=multiplier, discount=ZERO)
    return to_fen(units[Unit(rule.unit)] * price)


def replaced_by(rule: PriceRule) -> PriceRule | None:
    """The rule that `rule` takes the place of once it is in force; for an engine perhaps one of all engines."""
    units = PriceRule.RENDERING if rule.unit in PriceRule.RENDERING else (Unit(rule.unit),)
    rules = PriceRule.objects.in_force(now=rule.valid_from, units=units, engine=rule.engine)
    return rules.exclude(pk=rule.pk).first()
