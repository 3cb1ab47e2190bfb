"""Storage beyond a plan is paid by the day."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from accounts.models import Notification, User
from accounts.services.teams import create_team
from billing.models import Bill, MembershipPlan, PriceRule
from billing.services.credits import credit
from billing.services.ledger import wallet_of
from drives.models import Drive, DriveUsageSample
from drives.services.storage_charge import UNPAID, charge_storage
from drives.services.usage import sample_usage
from tests.billing.audit import violations
from tests.racing import race

pytestmark = pytest.mark.django_db
GIB = 1 << 30
MONDAY = datetime(2026, 11, 23, 23, 55, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def hoarder(owner: User) -> User:
    """120 GiB and 30 GiB in two drives, with a plan of 100 GiB; a GB-day costs a tenth of a yuan."""
    MembershipPlan.objects.filter(level=0).update(storage_size=100 * GIB)
    PriceRule.objects.filter(unit="storage_gb_day").delete()
    PriceRule.objects.create(unit="storage_gb_day", price=Decimal("0.1"), valid_from=MONDAY - 99 * DAY)
    owner.drives.update(used_size=120 * GIB)
    Drive.objects.create(user=owner, name="second", used_size=30 * GIB)
    Drive.objects.create(team=create_team(owner=owner, name="studio"), name="shared", used_size=900 * GIB)
    return owner


def paid(user: User) -> list[Decimal]:
    return list(
        Bill.objects.filter(kind="storage", wallet__user=user)
        .order_by("created_at")
        .values_list("amount", flat=True)
    )


def test_each_day_is_charged_once(hoarder: User) -> None:
    sample_usage(now=MONDAY)
    assert charge_storage(now=MONDAY) == 0  # the day is not over
    assert [charge_storage(now=MONDAY + DAY) for _twice in range(2)] == [1, 0]
    assert paid(hoarder) == [5]
    line = Bill.objects.get().lines.get()
    assert (line.quantity, line.unit_price) == (50, Decimal("0.1"))
    hoarder.drives.update(used_size=50 * GIB)
    sample_usage(now=MONDAY + DAY)
    assert charge_storage(now=MONDAY + 2 * DAY) == 0
    assert violations() == []


def test_a_day_counts_by_the_plan_and_the_price_that_it_had(hoarder: User) -> None:
    sample_usage(now=MONDAY)
    User.objects.filter(pk=hoarder.pk).update(member_level=3)
    PriceRule.objects.create(unit="storage_gb_day", price=9, valid_from=MONDAY + DAY)
    sample_usage(now=MONDAY + DAY)
    assert (charge_storage(now=MONDAY + 5 * DAY), paid(hoarder)) == (1, [5])


def test_what_cannot_be_paid_is_told_and_tried_again(hoarder: User) -> None:
    credit(user=hoarder, amount=Decimal(1), key="odd", reason="test")
    wallet = wallet_of(hoarder)
    for number in range(30):
        sample_usage(now=MONDAY + number * DAY)
    now = MONDAY + 30 * DAY
    affordable = int(wallet.balance // 5)
    assert [charge_storage(now=now) for _twice in range(2)] == [affordable, 0]
    wallet.refresh_from_db()
    assert wallet.balance == 1
    assert Notification.objects.filter(user=hoarder, title=UNPAID).count() == 1
    credit(user=hoarder, amount=Decimal(9), key="more", reason="test")
    # A day later there is money for two of the days that are owed.
    assert charge_storage(now=now + DAY) == 2
    assert Notification.objects.filter(user=hoarder, title=UNPAID).count() == 2
    # Older days are let go.
    credit(user=hoarder, amount=Decimal(500), key="rich", reason="test")
    assert charge_storage(now=now + 99 * DAY) == 0
    assert violations() == []


@pytest.mark.django_db(transaction=True)
def test_by_eight_at_once_a_day_is_charged_once(owner: User) -> None:
    PriceRule.objects.create(unit="storage_gb_day", price=Decimal("0.1"), valid_from=MONDAY - 99 * DAY)
    for number in range(4):
        DriveUsageSample.objects.create(
            drive=owner.drives.get(), sample_date=(MONDAY + number * DAY).date(), used_size=150 * GIB, reserved_size=0,
            file_count=1, plan_size=100 * GIB,
        )  # fmt: skip
    race(8, lambda _number: charge_storage(now=MONDAY + 9 * DAY))
    assert paid(owner) == [5, 5, 5, 5]
    assert violations() == []
