"""An operator before a real Chromium."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group
from playwright.sync_api import Page, expect

from accounts.models import User
from accounts.permissions import StaffGroup
from backoffice.staff import sync_staff_groups
from billing.models import PriceRule
from tests.factories import PASSWORD

Open = Callable[..., Page]


def at_work(open_page: Open, user: User, **kwargs: Any) -> Page:
    """The first page of the back office of an operator who has signed in by password."""
    page = open_page("/admin/login/", **kwargs)
    page.locator("[name=username]").fill(user.username)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("[name=password]").press("Enter")
    page.wait_for_url("**/admin/")
    # Sockets need another server than that of the tests: tests/office/test_jobs.py.
    page.route_web_socket("**/ws/office/**", lambda _socket: None)
    return page


def confirm(page: Page, button: str, **fields: str) -> None:
    """Fill the dialog over the page and send it."""
    dialog = page.locator("#dialog")
    expect(dialog).to_be_visible()
    for name, text in fields.items():
        dialog.locator(f"[name={name}]").fill(text)
    dialog.get_by_role("button", name=button).click()


@pytest.fixture
def groups(db: None) -> None:
    """Tests with real commits empty the tables, and with them the groups that migrations made."""
    Group.objects.bulk_create([Group(name=name) for name in StaffGroup.values], ignore_conflicts=True)
    sync_staff_groups()


def price_rule() -> None:
    if not PriceRule.objects.exists():  # that of the migrations is gone with the tables
        PriceRule.objects.create(price=Decimal("0.50"), valid_from=datetime(2026, 1, 1, tzinfo=UTC))
