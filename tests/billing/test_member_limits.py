"""What members may spend of their team's money: said by who manages it, seen by who sees it."""

from decimal import Decimal

import pytest

from accounts.models import Team, TeamMember, User
from accounts.services.teams import create_team
from billing.models import Hold, MemberLimit
from billing.services.gifts import give
from billing.services.holds import extend_hold, place_hold
from billing.services.ledger import wallet_of
from common.errors import DomainError
from tests.conftest import Client

pytestmark = pytest.mark.django_db


@pytest.fixture
def team(owner: User, stranger: User) -> Team:
    """Of stranger, with owner as a member."""
    team = create_team(owner=stranger, name="studio")
    TeamMember.objects.create(team=team, user=owner, role="member")
    return team


def test_limits_are_set_and_lifted(stranger_api: Client, owner: User, team: Team) -> None:
    door = f"/billing/teams/{team.pk}/limits"
    assert stranger_api.put(f"{door}/{owner.pk}", {"amount": 12.5}).json() == {"amount": 12.5}
    give(wallet=wallet_of(team), amount=Decimal(20), key="g", description="g")
    place_hold(wallet=wallet_of(team), amount=Decimal(2), key="h", description="h", spender=owner)
    rows = {row["username"]: row for row in stranger_api.get(door).json()["members"]}
    assert (rows["owner"]["limit"], rows["owner"]["spent"], rows["stranger"]["limit"]) == (12.5, 2.0, None)
    assert stranger_api.delete(f"{door}/{owner.pk}").status_code == 200
    assert not MemberLimit.objects.exists()
    for bad in (-1, "x", 1.234, " 5", "5 ", "1e1", "NaN", True, None, 10**11):
        assert stranger_api.put(f"{door}/{owner.pk}", {"amount": bad}).status_code == 422


def test_members_neither_see_nor_set_them(owner_api: Client, owner: User, team: Team) -> None:
    door = f"/billing/teams/{team.pk}/limits"
    assert owner_api.get(door).status_code == 403
    assert owner_api.put(f"{door}/{owner.pk}", {"amount": 5}).status_code == 403
    TeamMember.objects.filter(user=owner).delete()
    assert owner_api.get(door).status_code == 404
    assert owner_api.put(f"{door}/{owner.pk}", {"amount": 5}).status_code == 404
    assert not MemberLimit.objects.exists()


def test_who_is_no_member_has_no_limit(stranger_api: Client, owner: User, team: Team) -> None:
    TeamMember.objects.filter(user=owner).delete()
    assert stranger_api.put(f"/billing/teams/{team.pk}/limits/{owner.pk}", {"amount": 5}).status_code == 404
    assert not MemberLimit.objects.exists()


def test_an_extension_counts_too(owner: User, team: Team) -> None:
    wallet = wallet_of(team)
    give(wallet=wallet, amount=Decimal(20), key="g", description="g")
    MemberLimit.objects.create(team=team, user=owner, amount=5)
    hold = place_hold(wallet=wallet, amount=Decimal(4), key="h", description="h", spender=owner)
    with pytest.raises(DomainError) as refused:
        extend_hold(hold=hold, amount=Decimal("1.01"), key="more", description="h")
    assert (refused.value.code, refused.value.data["left"]) == ("spending_limit_reached", 1.0)
    extend_hold(hold=hold, amount=Decimal(1), key="more", description="h")
    hold.refresh_from_db()
    assert (hold.amount, wallet_of(team).held, Hold.objects.count()) == (5, 5, 1)
