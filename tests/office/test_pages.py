"""Every page of the back office in a real Chromium, at the widths of a desk and of a tablet."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib import admin
from django.utils import timezone
from playwright.sync_api import Page

from accounts.models import Team, TeamMember
from accounts.services.notifications import notify
from billing.services.approvals import approve_credit, request_credit
from billing.services.ledger import wallet_of
from billing.services.nightly import reconcile_due
from billing.services.statements import write_due
from rendering.models import RenderNode
from tests.accounts.staff import operator, page
from tests.browser import chromium, open_page
from tests.factories import make_user, put, token_of
from tests.office.browsing import Open, at_work, groups, price_rule
from tests.rendering import makers

__all__ = ["chromium", "groups", "open_page"]  # fixtures
pytestmark = pytest.mark.django_db(transaction=True)
WIDTHS = (1440, 768)
TOO_WIDE = "document.documentElement.scrollWidth - window.innerWidth"


@pytest.fixture
def rows(groups: None) -> None:
    """A row of most things that operators look at."""
    price_rule()
    now = timezone.now()
    node = RenderNode.objects.create(
        name="node-1", host="h", slots=2, engines={"blender": ["5.0.1"]}, heartbeat_at=now
    )
    artist, maker, checker = make_user(money="50"), make_user(is_staff=True), make_user(is_staff=True)
    token_of(artist)
    put(artist, "/textures/lantern.png", b"light")
    notify(user=artist, title="%(task)s waits for money", params={"task": "shot"})
    TeamMember.objects.create(team=Team.objects.create(name="studio"), user=artist, role="owner")
    makers.queued(artist, frames="1-4")
    makers.succeed(makers.claimed(node))
    makers.fail(makers.claimed(node), is_permanent=True)
    makers.claimed(node)
    asked = [
        request_credit(wallet=wallet_of(artist), amount=Decimal(5), key=key, reason="r", maker=maker)
        for key in ("waits", "decided")
    ]
    approve_credit(request=asked[1], checker=checker, decision="seen")
    write_due(now=now + timedelta(days=32))
    reconcile_due(today=timezone.localdate(), kinds=["ledger", "jobs"])


def addresses() -> list[str]:
    """The lists of all models and the page of a row of each that has one, and what belongs to no model."""
    found = ["/admin/", "/admin/queue/", "/admin/second-factor/"]
    for model in admin.site._registry:
        found.append(page(model, "changelist"))
        row = model._default_manager.first()
        found += [page(model, "change", row.pk)] if row else []
    return found


def look(shown: Page, address: str) -> None:
    answer = shown.goto(address)
    assert answer is not None
    assert answer.status == 200, address
    for width in WIDTHS:
        shown.set_viewport_size({"width": width, "height": 900})
        assert shown.evaluate(TOO_WIDE) <= 0, (address, width)


def test_every_page_fits_and_complains_of_nothing(open_page: Open, rows: None) -> None:
    shown = at_work(open_page, operator("superuser"), width=1440)
    found = addresses()
    assert len(found) > 80
    for address in found:
        look(shown, address)
