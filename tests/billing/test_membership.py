"""Memberships: bought, raised, lowered, ended, renewed; what they cost to the fen."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Notification, User
from accounts.services.deletion import delete_user
from billing.models import Bill, LedgerEntry, Membership, MembershipPlan
from billing.services import membership as service
from billing.services.credits import credit
from billing.services.ledger import wallet_of
from billing.services.membership import month_after, price_of_upgrade, renew_due
from common.errors import DomainError
from rendering.models import ConcurrencyLimit
from tests.billing.audit import violations
from tests.conftest import Client
from tests.racing import race
from tests.test_admin_audit import address

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def rich(owner: User) -> User:
    """The owner with 1,000 yuan more, 1,100 with trial credit."""
    credit(user=owner, amount=Decimal(1000), key="rich", reason="test")
    return owner


def level_of(user: User) -> int:
    return User.objects.values_list("member_level", flat=True).get(pk=user.pk)


def balance(user: User) -> Decimal:
    return wallet_of(user).balance


def backdate(user: User, days: float) -> Membership:
    """Let the user's period have begun so many days earlier."""
    membership = Membership.objects.get(user=user)
    for name in ("anchor_at", "period_start", "period_end"):
        setattr(membership, name, getattr(membership, name) - timedelta(days=days))
    membership.save()
    return membership


def notices(user: User) -> list[str]:
    rows = Notification.objects.filter(user=user, title=service.TITLE).order_by("created_at", "pk")
    return list(rows.values_list("message", flat=True))


# --- Months and prices ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("anchor", "months", "expected"),
    [
        ("2027-01-31", 1, "2027-02-28"),
        ("2027-01-31", 2, "2027-03-31"),
        ("2028-01-31", 1, "2028-02-29"),
        ("2026-11-30", 3, "2027-02-28"),
        ("2026-12-05", 1, "2027-01-05"),
    ],
)
def test_months(anchor: str, months: int, expected: str) -> None:
    start = datetime.fromisoformat(f"{anchor}T08:00:00+00:00")
    assert month_after(start, months) == datetime.fromisoformat(f"{expected}T08:00:00+00:00")
    assert service.months_between(start, month_after(start, months)) == months


@pytest.mark.parametrize(
    ("day", "due"), [(0, "70.00"), (10, "46.67"), (15, "35.00"), (29.999, "0.00"), (31, "0.00")]
)
def test_an_upgrade_costs_the_difference_for_the_time_that_is_left(day: float, due: str) -> None:
    start = datetime(2026, 11, 1, tzinfo=UTC)
    membership = Membership(price=29, period_start=start, period_end=start + 30 * DAY)
    now = start + timedelta(days=day)
    assert price_of_upgrade(membership, MembershipPlan(price=Decimal(99)), now=now) == Decimal(due)


# --- At the doors --------------------------------------------------------------------------------------------


def test_prices_are_told(owner_api: Client, owner: User) -> None:
    MembershipPlan.objects.filter(level=1).update(discount=Decimal("0.05"))
    User.objects.filter(pk=owner.pk).update(member_level=1)
    body = owner_api.get("/billing/prices").json()
    assert (body["level"], body["discount"]) == (1, 0.05)
    frame, storage = body["rules"]
    assert [frame[name] for name in ("engine", "unit", "price", "currency", "version")] == [
        "",
        "frame",
        0.5,
        "CNY",
        1,
    ]
    assert frame["multipliers"] == {"low": 0.8, "normal": 1.0, "high": 1.5, "urgent": 2.0}
    assert (storage["unit"], storage["price"], storage["multipliers"]) == ("storage_gb_day", 0.005, None)


def test_plans_say_what_changing_to_them_costs(owner_api: Client, rich: User) -> None:
    plans = owner_api.get("/billing/plans").json()["plans"]
    assert [(plan["level"], plan["price"], plan["price_now"]) for plan in plans] == [
        (0, 0.0, 0.0), (1, 29.0, 29.0), (2, 99.0, 99.0), (3, 499.0, 499.0),
    ]  # fmt: skip
    owner_api.post("/billing/membership", {"level": 2})
    plans = owner_api.get("/billing/plans").json()["plans"]
    assert [plan["price_now"] for plan in plans] == [0.0, 0.0, 0.0, 400.0]


def test_a_membership_is_bought_and_raised(owner_api: Client, rich: User) -> None:
    before = balance(rich)
    assert owner_api.get("/billing/membership").json()["status"] is None
    body = owner_api.post("/billing/membership", {"level": 1}).json()
    assert (body["plan"]["level"], body["status"], body["next_level"]) == (1, "active", None)
    assert (level_of(rich), balance(rich)) == (1, before - 29)
    assert owner_api.post("/billing/membership", {"level": 1}).json()["code"] == "plan_unchanged"

    membership = backdate(rich, 10)
    left = (membership.period_end - timezone.now()) / (membership.period_end - membership.period_start)
    assert owner_api.post("/billing/membership", {"level": 2}).json()["plan"]["level"] == 2
    due = before - 29 - balance(rich)
    assert abs(due - Decimal(70 * left)) < Decimal("0.01")
    assert (level_of(rich), Bill.objects.filter(kind="membership").count()) == (2, 2)
    assert rich.drives.get().total_size == MembershipPlan.objects.get(level=2).storage_size
    assert Membership.objects.get().period_end == membership.period_end
    assert violations() == []


def test_the_desktop_client_raises_its_level_by_its_own_names(owner_api: Client, rich: User) -> None:
    agent = {"User-Agent": "YuntuClient/1.0.0"}
    before = wallet_of(rich).balance
    answer = owner_api.post("/user/upgrade", {"targetLevel": 1}, headers=agent)
    assert (answer.status_code, answer.json()["balance"]) == (200, float(before - 29))
    assert owner_api.get("/billing/membership").json()["plan"]["level"] == 1
    assert (
        owner_api.post("/user/upgrade", {"targetLevel": 1}, headers=agent).json()["code"] == "plan_unchanged"
    )
    assert owner_api.post("/user/upgrade", {"targetLevel": 9}, headers=agent).status_code == 422


def test_without_the_money_nothing_is_bought(owner_api: Client, owner: User) -> None:
    refused = owner_api.post("/billing/membership", {"level": 3})
    assert (refused.status_code, refused.json()["code"]) == (402, "insufficient_balance")
    assert (level_of(owner), Membership.objects.count(), Bill.objects.count()) == (0, 0, 0)
    owner_api.post("/billing/membership", {"level": 1})
    refused = owner_api.post("/billing/membership", {"level": 3})
    assert refused.json()["code"] == "insufficient_balance"
    assert (level_of(owner), Membership.objects.get().plan.level) == (1, 1)
    assert owner_api.post("/billing/membership", {"level": 7}).status_code == 422


def test_raised_after_its_period_it_is_bought_anew(owner_api: Client, rich: User) -> None:
    """The schedule has not come to it yet; the time that is left, of which there is none, would cost nothing."""
    service.change_plan(user=rich, level=1)
    backdate(rich, 31)
    before = balance(rich)
    plans = owner_api.get("/billing/plans").json()["plans"]
    assert [plan["price_now"] for plan in plans] == [0.0, 0.0, 99.0, 499.0]
    assert owner_api.post("/billing/membership", {"level": 3}).json()["plan"]["level"] == 3
    assert balance(rich) == before - 499
    assert renew_due(now=timezone.now()) == 0
    assert Membership.objects.get().period_end > timezone.now() + 27 * DAY
    assert violations() == []


def test_lowered_or_cancelled_it_goes_on_to_the_end_of_its_period(owner_api: Client, rich: User) -> None:
    for door in ("cancel", "resume"):
        assert owner_api.post(f"/billing/membership/{door}").json()["code"] == "no_membership"
    assert owner_api.post("/billing/membership", {"level": 0}).json()["code"] == "no_membership"
    owner_api.post("/billing/membership", {"level": 2})
    before = balance(rich)
    body = owner_api.post("/billing/membership", {"level": 1}).json()
    assert (body["plan"]["level"], body["next_level"], level_of(rich), balance(rich)) == (2, 1, 2, before)
    assert owner_api.post("/billing/membership/resume").json()["next_level"] is None
    owner_api.post("/billing/membership", {"level": 1})
    backdate(rich, 31)

    assert [renew_due(now=timezone.now()) for _twice in range(2)] == [1, 0]
    assert (level_of(rich), balance(rich), Membership.objects.get().price) == (1, before - 29, 29)
    assert rich.drives.get().total_size == MembershipPlan.objects.get(level=1).storage_size

    assert owner_api.post("/billing/membership/cancel").json()["cancel_at_period_end"] is True
    backdate(rich, 31)
    assert [renew_due(now=timezone.now()) for _twice in range(2)] == [1, 0]
    assert (level_of(rich), balance(rich)) == (0, before - 29)
    assert notices(rich)[-1] == service.ENDED
    body = owner_api.get("/billing/membership").json()
    assert (body["status"], body["plan"]["level"]) == ("ended", 0)
    # And begun anew.
    assert owner_api.post("/billing/membership", {"level": 1}).json()["status"] == "active"
    assert balance(rich) == before - 58
    assert violations() == []


def test_who_cannot_pay_has_three_days(owner_api: Client, owner: User) -> None:
    owner_api.post("/billing/membership", {"level": 2})
    left = balance(owner)
    assert left < 99
    membership = backdate(owner, 31)
    end = membership.period_end
    assert [renew_due(now=end + n * DAY) for n in (0, 1, 2.9)] == [1, 0, 0]
    assert (Membership.objects.get().status, level_of(owner), notices(owner)[1:]) == (
        "grace",
        2,
        [service.OWED],
    )

    credit(user=owner, amount=Decimal(99), key="more", reason="test")
    assert renew_due(now=end + 2.9 * DAY) == 1
    membership.refresh_from_db()
    assert (membership.status, membership.period_start, balance(owner)) == ("active", end, left)
    end = membership.period_end
    assert [renew_due(now=end + n * DAY) for n in (0.5, 3, 4)] == [1, 1, 0]
    assert (Membership.objects.get().status, level_of(owner), balance(owner)) == ("ended", 0, left)
    assert notices(owner)[-1] == service.ENDED
    assert violations() == []


@pytest.mark.django_db(transaction=True)
def test_renewed_by_eight_at_once_it_is_paid_once(owner: User) -> None:
    credit(user=owner, amount=Decimal(1000), key="rich", reason="test")
    service.change_plan(user=owner, level=2)
    membership = backdate(owner, 31)
    before = balance(owner)

    assert sum(race(8, lambda _number: renew_due(now=timezone.now()))) == 1
    assert balance(owner) == before - 99
    membership.refresh_from_db()
    assert membership.period == 1
    assert violations() == []


@pytest.mark.django_db(transaction=True)
def test_bought_and_raised_by_many_at_once_each_is_paid_once(owner: User) -> None:
    credit(user=owner, amount=Decimal(1000), key="rich", reason="test")
    before = balance(owner)

    def act(number: int) -> bool:
        try:
            service.change_plan(user=User.objects.get(pk=owner.pk), level=2)
            return True
        except DomainError as error:
            assert error.code == "plan_unchanged"
            return False

    assert sum(race(8, act)) == 1
    assert (balance(owner), Membership.objects.count()) == (before - 99, 1)
    assert violations() == []


def test_a_deleted_user_renews_nothing(owner: User) -> None:
    service.change_plan(user=owner, level=1)
    membership = backdate(owner, 31)
    now = timezone.now()
    User.objects.filter(pk=owner.pk).update(deletion_due_at=now)
    assert delete_user(user_id=owner.pk, now=now)
    entries = LedgerEntry.objects.count()
    assert renew_due(now=now + 40 * DAY) == 0
    membership.refresh_from_db()
    assert (membership.status, LedgerEntry.objects.count()) == ("ended", entries)


# --- What operators change ----------------------------------------------------------------------------------


def test_a_plan_that_operators_change_counts_at_once(owner: User, admin_client: Any) -> None:
    limit = ConcurrencyLimit.objects.create(kind="user", key=str(owner.pk), maximum=4, weight=1)
    plan = MembershipPlan.objects.get(level=0)
    form = {
        "price": "0", "discount": "0.1", "storage_size": "7", "concurrent_frames": "9", "weight": "2",
        "max_priority": "1",
    }  # fmt: skip
    assert admin_client.post(address(MembershipPlan, "change", plan.pk), form).status_code == 302
    limit.refresh_from_db()
    assert (limit.maximum, limit.weight, owner.drives.get().total_size) == (9, 2, 7 << 30)


def test_strangers_learn_nothing() -> None:
    api = Client()
    for path in ("/billing/prices", "/billing/plans", "/billing/membership"):
        assert api.get(path).status_code == 401
