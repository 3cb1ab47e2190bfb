"""The tab of invoices in a real browser: what is left, asking, taking back, and the invoice itself."""

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.models import User
from billing.models import Bill, InvoiceRequest
from billing.periods import day_of
from billing.services import invoices
from billing.services.gifts import give
from billing.services.ledger import wallet_of
from tests.accounts.staff import operator
from tests.billing.history import set_created
from tests.billing.invoicing import NUMBER, PDF, asked, issued, rendered
from tests.billing.paying import recharged
from tests.browser import chromium, open_page
from tests.conftest import Client
from tests.factories import PASSWORD, make_user
from tests.office.test_mornings import at_work, confirm, groups

__all__ = ["chromium", "groups", "open_page"]  # fixtures
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def payer(settings: Any, groups: None) -> User:
    settings.TRIAL_CREDIT = Decimal(0)
    user = make_user(username="payer")
    recharged(user, "100")
    give(wallet=wallet_of(user), amount=Decimal(5), key="g", description="gift")
    for amount in ("25", "12.5"):
        rendered(user, amount)
    return user


def signed_in(open_page: Callable[..., Page], width: int = 1280) -> Page:
    page = open_page("/billing#invoices", width=width)
    page.wait_for_url("**/login")
    page.fill("#password-username", "payer")
    page.fill("#password-password", PASSWORD)
    page.click("#password-form [type=submit]")
    page.wait_for_url("**/billing#invoices")
    return page


def test_an_invoice_is_asked_for_taken_back_and_downloaded(
    payer: User, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    page = signed_in(open_page)
    expect(page.locator("#invoiceable")).to_have_text("¥32.50")  # five of the 37.5 were given
    expect(page.locator("#invoiceable-rows li")).to_have_count(2)
    page.fill("#title", "盛灯影业")
    page.fill("#tax-number", "914403001922038217")
    page.fill("#email", "accounts@lantern.example")
    page.click("#ask [type=submit]")
    expect(page.locator("#tax-number-error")).to_contain_text("18 位")
    page.fill("#tax-number", "914403001922038216")
    page.fill("#amount", "20")
    page.click("#ask [type=submit]")
    expect(page.locator("#invoice-rows li")).to_contain_text("已申请")
    expect(page.locator("#invoiceable")).to_have_text("¥12.50")
    page.get_by_role("button", name="撤回").click()
    expect(page.locator("#invoice-rows li")).to_contain_text("已取消")
    expect(page.locator("#invoiceable")).to_have_text("¥32.50")
    page.select_option("#title-type", "personal")
    expect(page.locator("#tax-number")).to_be_hidden()
    page.click("#ask [type=submit]")
    expect(page.locator("#invoice-rows li").first).to_contain_text("¥32.50")
    mine = InvoiceRequest.objects.get(status="requested")
    assert (mine.title_kind, mine.tax_number, mine.amount) == ("personal", "", Decimal("32.5"))

    issued(mine)
    page.reload()
    expect(page.locator("#invoice-rows li").first).to_contain_text(NUMBER)
    with page.expect_download() as got:
        page.get_by_role("button", name="下载").click()
    assert got.value.suggested_filename == f"{NUMBER}.pdf"
    assert got.value.path().read_bytes() == PDF + NUMBER.encode()
    assert re.search("发票", page.title())


def test_bills_are_chosen_by_days_and_one_by_one(payer: User, open_page: Callable[..., Page]) -> None:
    older, newer = Bill.objects.order_by("created_at")
    set_created(older, timezone.now() - timedelta(days=40))
    page = signed_in(open_page)
    expect(page.locator("#invoiceable-rows li")).to_have_count(2)
    today = f"{day_of(timezone.now())}"
    page.locator("#invoice-days [name=from]").fill(today)
    expect(page.locator("#invoiceable-rows li")).to_have_count(1)
    expect(page.locator("#invoiceable")).to_have_text("¥12.50")
    page.locator("#invoice-days [name=from]").fill("")
    expect(page.locator("#invoiceable-rows li")).to_have_count(2)
    page.locator("#invoiceable-rows [type=checkbox]").first.check()
    expect(page.locator("#invoice-chosen")).to_contain_text("已选 1 张账单：¥20.00")
    page.select_option("#title-type", "personal")
    page.fill("#title", "林墨")
    page.fill("#email", "mo@lantern.example")
    page.click("#ask [type=submit]")
    expect(page.locator("#invoice-rows li")).to_contain_text("¥20.00")
    assert [line.bill_id for line in InvoiceRequest.objects.get().lines.all()] == [older.pk]
    expect(page.locator("#invoice-chosen")).to_be_hidden()
    assert newer.invoice_lines.count() == 0


@pytest.mark.parametrize("width", [1440, 768])
def test_nothing_stands_over_the_edge(payer: User, open_page: Callable[..., Page], width: int) -> None:
    api = Client(payer)
    issued(asked(api, amount=20))
    rejected = asked(api, amount=1)
    reason = "抬头与税号不一致，请核对后重新申请。" * 3
    invoices.reject_invoice(invoice=rejected, operator=User.objects.get(username="finance_op"), reason=reason)
    asked(api, amount=2)
    page = signed_in(open_page, width)
    expect(page.locator("#invoice-rows li")).to_have_count(3)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_finance_records_what_was_issued(payer: User, open_page: Callable[..., Page], tmp_path: Path) -> None:
    invoice = asked(Client(payer), amount=20)
    file = tmp_path / "发票.pdf"
    file.write_bytes(PDF)
    page = at_work(open_page, operator("finance"), width=1440)
    page.goto("/admin/billing/invoicerequest/")
    page.locator("#result_list tbody a[href*='/invoicerequest/']").first.click()
    page.get_by_role("link", name="登记开票").click()
    page.locator("#dialog [name=file]").set_input_files(file)
    confirm(page, "登记开票", number="1234")
    expect(page.locator("body")).to_contain_text("请填写 20 位发票号码")
    page.get_by_role("link", name="登记开票").click()
    page.locator("#dialog [name=file]").set_input_files(file)
    with page.expect_navigation():
        confirm(page, "登记开票", number=NUMBER)
    expect(page.locator("body")).to_contain_text(NUMBER)
    invoice.refresh_from_db()
    assert (invoice.status, invoice.number) == ("issued", NUMBER)
    with page.expect_download() as got:
        page.get_by_role("link", name="发票.pdf").click()
    assert got.value.path().read_bytes() == PDF
