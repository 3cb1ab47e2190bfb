"""Money and measures as operators read them."""

from decimal import Decimal

import pytest

from accounts.models import Notification
from accounts.services.notifications import notify
from billing.models import LedgerEntry, PriceRule, Wallet
from billing.services.ledger import wallet_of
from common.numbers import shown
from tests.accounts.staff import office_of, operator, page
from tests.factories import make_user


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("149.500000"), "149.50"), (Decimal("-0.712500"), "-0.7125"), (Decimal("0.000001"), "0.000001"),
        (Decimal(1000), "1000.00"), (Decimal("1E+3"), "1000.00"), (Decimal("0E-6"), "0.00"),
        (0.47986399999999996, "0.48"),
    ],
)  # fmt: skip
def test_two_places_and_more_only_where_they_say_something(value: Decimal | float, text: str) -> None:
    assert str(shown(value)) == text


@pytest.mark.django_db
def test_pages_that_are_only_read() -> None:
    wallet = wallet_of(make_user(money="12.50"))
    office = office_of(operator("finance"))
    addresses = [page(model, "changelist") for model in (Wallet, LedgerEntry, PriceRule)]
    addresses += [page(Wallet, "change", wallet.pk), page(PriceRule, "change", PriceRule.objects.all()[0].pk)]
    texts = [office.get(address).content.decode() for address in addresses]
    exported = office.get(page(LedgerEntry, "export")).getvalue().decode()
    for text in (*texts, exported):
        assert "00000" not in text.replace("-0000-", "")
    assert all("62.50" in text for text in (texts[0], texts[3], exported))  # with the trial credit


@pytest.mark.django_db
def test_notifications_are_shown_as_they_are_read() -> None:
    notify(
        user=make_user(),
        title="%(task)s waits for money",
        message="The balance is used up. The task goes on by itself after a recharge.",
        params={"task": "shot 12"},
    )
    office = office_of(operator("support"))
    row = Notification.objects.get()
    for address in (page(Notification, "changelist"), page(Notification, "change", row.pk)):
        text = office.get(address).content.decode()
        assert "shot 12" in text
        assert "%(task)s" not in text
