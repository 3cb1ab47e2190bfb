"""Teams under several hands at once: real threads, real commits."""

import functools
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import Team, TeamInvitation, TeamMember, User
from accounts.permissions import MANAGED_ROLES, Role
from accounts.services import invitations, teams
from tests.accounts.crew import join
from tests.conftest import Client
from tests.factories import make_user
from tests.racing import race

pytestmark = pytest.mark.django_db(transaction=True)


def five_times(test: Callable[..., None]) -> Callable[..., None]:
    """A race that is lost once in a while is lost."""

    @functools.wraps(test)
    def again(*args: Any, **kwargs: Any) -> None:
        for _round in range(5):
            test(*args, **kwargs)

    return again


def team_of(*roles: Role) -> tuple[Team, list[User], list[Client]]:
    """A team with an owner and members of these roles; the owner comes first."""
    owner = make_user()
    team = teams.create_team(owner=owner, name="racers")
    users = [owner, *(make_user() for _role in roles)]
    for user, role in zip(users[1:], roles, strict=True):
        join(team, user, role, by=owner)
    return team, users, [Client(user) for user in users]


def link_to(team: Team, role: Role = Role.MEMBER) -> tuple[TeamInvitation, str]:
    """An open invitation by an owner, and its token."""
    owner = User.objects.get(memberships__team=team, memberships__role=Role.OWNER)
    return invitations.invite(team=team, actor=owner, role=role)


def outcome(answer: Any) -> str:
    return "done" if answer.status_code < 300 else str(answer.json()["code"])


def owners_of(team: Team) -> int:
    return TeamMember.objects.filter(team=team, role=Role.OWNER).count()


# --- owners ---


@pytest.mark.parametrize("count", [2, 4])
@five_times
def test_owners_who_leave_at_once_leave_one_behind(count: int) -> None:
    team, _users, apis = team_of(*[Role.OWNER] * (count - 1))
    answers = race(count, lambda number: apis[number].post(f"/teams/{team.pk}/leave"))
    assert Counter(map(outcome, answers)) == {"done": count - 1, "last_owner": 1}
    assert owners_of(team) == 1


@five_times
def test_owners_who_demote_each_other_at_once_leave_one() -> None:
    team, users, apis = team_of(Role.OWNER)
    paths = [f"/teams/{team.pk}/members/{user.pk}" for user in reversed(users)]
    answers = race(2, lambda number: apis[number].put(paths[number], {"role": "viewer"}))
    assert sorted(map(outcome, answers)) == ["done", "permission_denied"]
    assert owners_of(team) == 1


@five_times
def test_owners_who_remove_each_other_at_once_leave_one() -> None:
    team, users, apis = team_of(Role.OWNER)
    paths = [f"/teams/{team.pk}/members/{user.pk}" for user in reversed(users)]
    answers = race(2, lambda number: apis[number].delete(paths[number]))
    assert sorted(map(outcome, answers)) == ["done", "not_found"]
    assert owners_of(team) == 1


@five_times
def test_ownership_is_handed_to_one() -> None:
    team, users, apis = team_of(Role.MEMBER, Role.MEMBER)
    heirs = [{"user_id": str(user.pk)} for user in users[1:]]
    answers = race(2, lambda number: apis[0].post(f"/teams/{team.pk}/transfer", heirs[number]))
    assert sorted(map(outcome, answers)) == ["done", "permission_denied"]
    assert owners_of(team) == 1


def test_nobody_owns_more_than_the_most_by_hurrying() -> None:
    user = make_user()
    for number in range(teams.MAX_TEAMS - 1):
        teams.create_team(owner=user, name=str(number))
    api = Client(user)
    answers = race(4, lambda number: api.post("/teams", {"name": "one more"}))
    assert Counter(map(outcome, answers)) == {"done": 1, "too_many_teams": 3}
    assert TeamMember.objects.filter(user=user, role=Role.OWNER).count() == teams.MAX_TEAMS


# --- invitations ---


@five_times
def test_the_last_place_is_taken_once() -> None:
    team, _users, _apis = team_of()
    Team.objects.filter(pk=team.pk).update(max_members=2)
    tokens = [link_to(team)[1] for _number in range(5)]
    apis = [Client(make_user()) for _token in tokens]
    answers = race(5, lambda number: apis[number].post(f"/team-invitations/{tokens[number]}/accept"))
    assert Counter(map(outcome, answers)) == {"done": 1, "team_full": 4}
    assert TeamMember.objects.filter(team=team).count() == 2
    # Who found no place may come when there is one.
    assert Counter(team.invitations.values_list("status", flat=True)) == {"accepted": 1, "open": 4}


@five_times
def test_a_link_lets_one_of_many_in() -> None:
    team, _users, _apis = team_of()
    _invitation, token = link_to(team)
    apis = [Client(make_user()) for _number in range(8)]
    answers = race(8, lambda number: apis[number].post(f"/team-invitations/{token}/accept"))
    assert Counter(map(outcome, answers)) == {"done": 1, "invitation_closed": 7}
    assert TeamMember.objects.filter(team=team).count() == 2


@five_times
def test_one_person_joins_once() -> None:
    team, _users, _apis = team_of()
    tokens = [link_to(team, role)[1] for role in (Role.ADMIN, Role.VIEWER)]
    api = Client(make_user())
    answers = race(2, lambda number: api.post(f"/team-invitations/{tokens[number]}/accept"))
    assert sorted(map(outcome, answers)) == ["already_member", "done"]


@five_times
def test_accepted_declined_or_withdrawn_never_two_of_them() -> None:
    team, _users, [owner_api] = team_of()
    invitation, token = link_to(team)
    one, other = Client(make_user()), Client(make_user())
    acts = {
        "accepted": lambda: one.post(f"/team-invitations/{token}/accept"),
        "declined": lambda: other.post(f"/team-invitations/{token}/decline"),
        "revoked": lambda: owner_api.delete(f"/teams/{team.pk}/invitations/{invitation.pk}"),
    }
    answers = dict(zip(acts, race(3, lambda number: outcome([*acts.values()][number]())), strict=True))
    assert Counter(answers.values()) == {"done": 1, "invitation_closed": 2}
    invitation.refresh_from_db()
    assert answers[invitation.status] == "done"
    assert TeamMember.objects.filter(team=team).count() == (2 if invitation.status == "accepted" else 1)


@five_times
def test_a_phone_is_asked_once() -> None:
    team, _users, apis = team_of(Role.ADMIN)
    path, body = f"/teams/{team.pk}/invitations", {"phone": "13712345678"}
    answers = race(2, lambda number: apis[number].post(path, body))
    assert sorted(map(outcome, answers)) == ["already_invited", "done"]
    assert team.invitations.filter(phone=body["phone"]).count() == 1


@five_times
def test_who_loses_the_right_to_invite_leaves_no_open_invitation() -> None:
    team, users, [owner_api, admin_api] = team_of(Role.ADMIN)
    acts = (
        lambda: owner_api.put(f"/teams/{team.pk}/members/{users[1].pk}", {"role": "member"}),
        lambda: admin_api.post(f"/teams/{team.pk}/invitations", {"role": "viewer"}),
    )
    demoted, invited = race(2, lambda number: outcome(acts[number]()))
    assert demoted == "done"
    assert invited in ("done", "permission_denied")
    for invitation in team.invitations.filter(status="open"):
        sender = TeamMember.objects.get(team=team, user=invitation.invited_by)
        assert Role(invitation.role) in MANAGED_ROLES[Role(sender.role)]


@five_times
def test_a_team_that_is_deleted_takes_nobody() -> None:
    team, _users, [owner_api] = team_of()
    _invitation, token = link_to(team)
    api = Client(make_user())
    acts = (
        lambda: owner_api.delete(f"/teams/{team.pk}"),
        lambda: api.post(f"/team-invitations/{token}/accept"),
    )
    deleted, joined = race(2, lambda number: outcome(acts[number]()))
    assert deleted == "done"
    # Joined a moment before, or told that there is no such invitation.
    assert joined in ("done", "not_found")
    assert not Team.objects.filter(pk=team.pk).exists()
    assert not TeamMember.objects.filter(team_id=team.pk).exists()
