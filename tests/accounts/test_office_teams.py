"""Operators and teams: who may give one that lost its owners another, and when."""

from typing import Any

import pytest

from accounts.models import AuditEvent, Notification, Team, TeamMember, User
from accounts.permissions import Role, StaffGroup
from accounts.services import blocking, teams
from tests.accounts.crew import Crew, make_crew, news_of, roles_recorded, state
from tests.accounts.staff import office_of, operator, page
from tests.factories import make_user
from tests.racing import race

pytestmark = pytest.mark.django_db


@pytest.fixture
def orphaned() -> Crew:
    """A team whose only owner is blocked."""
    crew = make_crew()
    blocking.block(User.objects.filter(pk=crew.owner.pk))
    return crew


def appoint(office: Any, team: Team, name: str) -> Any:
    path = f"/admin/accounts/team/{team.pk}/appoint-owner/"
    return office.post(path, {"user": name, "_form_submitted": "on"})


def owners(team: Team) -> set[str]:
    return set(team.members.filter(role=Role.OWNER).values_list("user__username", flat=True))


@pytest.mark.parametrize("group", list(StaffGroup))
def test_superusers_alone_appoint(orphaned: Crew, group: str) -> None:
    boss = operator(group)
    office, team = office_of(boss), orphaned.team
    allowed = group == "superuser"
    shown = office.get(page(Team, "change", team.pk))
    if shown.status_code == 200:
        assert (f"/admin/accounts/team/{team.pk}/appoint-owner/" in shown.content.decode()) == allowed
    before = state()
    answer = appoint(office, team, "member")
    assert answer.status_code == (200 if allowed else 403)
    if not allowed:
        assert state() == before
        return
    assert answer["HX-Redirect"] == page(Team, "change", team.pk)
    assert owners(team) == {"lead", "member"}
    assert roles_recorded(orphaned.member)[-1] == ("member", "owner", boss)
    assert news_of(orphaned.member) == [("You are now an owner of the team.", {"team": team.name})]


def test_a_team_without_anybody_gets_one_from_outside(orphaned: Crew) -> None:
    """As a deleted owner leaves it whose team holds what others need."""
    TeamMember.objects.all().delete()
    heir = make_user(username="heir")
    appoint(office_of(operator("superuser")), orphaned.team, heir.phone or "")
    assert owners(orphaned.team) == {"heir"}
    event = AuditEvent.objects.get(user=heir, action=AuditEvent.Action.ROLE_CHANGED)
    assert (event.before, event.after) == ({}, {"team": orphaned.team.name, "role": "owner"})


def test_who_cannot_be_owner(orphaned: Crew) -> None:
    office, team = office_of(operator("superuser")), orphaned.team
    make_user(username="guest", phone=None, is_guest=True)
    blocking.block(User.objects.filter(username="viewer"))
    Notification.objects.all().delete()
    before = state()
    for name, told in (
        ("guest", "手机号"), ("viewer", "该账号已被停用。"), ("nobody", "没有这个用户。"),
    ):  # fmt: skip
        assert appoint(office, team, name)["HX-Redirect"]
        assert told in office.get(page(Team, "change", team.pk)).content.decode(), name
    assert "HX-Redirect" not in appoint(office, team, " ")
    assert state() == before


def test_a_team_that_has_an_owner_keeps_them() -> None:
    crew = make_crew()
    office = office_of(operator("superuser"))
    before = state()
    appoint(office, crew.team, "member")
    assert "已有可登录的所有者" in office.get(page(Team, "change", crew.team.pk)).content.decode()
    assert state() == before


@pytest.mark.django_db(transaction=True)
def test_of_two_operators_at_once_one_appoints() -> None:
    team = Team.objects.create(name="Lighting")
    boss, heirs = make_user(is_staff=True), [make_user() for _number in range(6)]

    def act(number: int) -> str:
        try:
            teams.appoint_owner(team=team, user=heirs[number], actor=boss)
        except teams.TeamOwned:
            return "owned"
        return "done"

    assert sorted(race(6, act)) == ["done", *["owned"] * 5]
    assert team.members.count() == 1
