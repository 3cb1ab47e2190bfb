from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.utils import timezone

from accounts.models import User
from billing.models import PriceRule
from drives.models import File
from rendering.models import RenderNode
from tests.rendering import makers


@pytest.fixture
def price(db: None) -> PriceRule:
    """The rule of the migrations; a test with real commits leaves the tables empty."""
    rule = PriceRule.objects.filter(engine="").first()
    return rule or PriceRule.objects.create(
        price=Decimal("0.50"), valid_from=datetime(2026, 1, 1, tzinfo=UTC)
    )


@pytest.fixture
def node(price: PriceRule) -> RenderNode:
    """A node that offers Blender; nothing runs behind it."""
    return RenderNode.objects.create(
        name="node-1", host="localhost", slots=4, engines={"blender": ["5.0.1"]}, heartbeat_at=timezone.now()
    )


@pytest.fixture
def scene(owner: User) -> File:
    """A scene of 10 frames at 64x36 whose report is in."""
    return makers.scene(owner)
