from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from billing.models import PriceRule
from common.ids import new_id
from drives.models import File
from rendering.models import RenderNode
from rendering.node import Node
from rendering.scenes.maya.read import read_scene
from tests.rendering import makers
from tests.rendering.maya_files import Read


@pytest.fixture
def price(db: None) -> PriceRule:
    """The rule of the migrations; a test with real commits leaves the tables empty."""
    rule = PriceRule.objects.filter(engine="").first()
    return rule or PriceRule.objects.create(
        price=Decimal("0.50"),
        low_multiplier=Decimal("0.8"),
        high_multiplier=Decimal("1.5"),
        urgent_multiplier=2,
        valid_from=datetime(2026, 1, 1, tzinfo=UTC),
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


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads a scene of Maya by its content."""

    def read(content: bytes) -> dict[str, Any]:
        path = tmp_path / "scene"
        path.write_bytes(content)
        return read_scene(path)

    return read


@pytest.fixture
def worker(price: PriceRule) -> Node:
    """A registered node of this process, which works when told to."""
    return makers.registered(f"worker-{new_id().hex[-6:]}")


@pytest.fixture
def picture(tmp_path: Path) -> bytes:
    return makers.save_picture(tmp_path / "picture.png").read_bytes()
