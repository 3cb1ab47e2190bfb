"""Who may do what in a team: the table, and every route with every persona."""

import re
from itertools import product
from typing import Any

import pytest
from django.db import transaction
from django.urls import get_resolver

from accounts.models import TeamInvitation, TeamMember, User
from accounts.permissions import MANAGED_ROLES, TEAM_RIGHTS, Action, Role, may, require, role_in
from accounts.services import invitations
from common.errors import Forbidden, NotVisible
from tests.accounts.crew import Crew, make_crew, state
from tests.conftest import Client
from tests.factories import make_user
from tests.test_openapi import routes

pytestmark = pytest.mark.django_db
# "member" stands for a member of the role that administrators manage; {…} are filled in below.
NEW = {"name": "Night shift"}
MATRIX: list[tuple[str, str, dict[str, Any], tuple[int, ...]]] = [
    # method, path, body, then the answer to: owner admin member viewer stranger guest anonymous
    ("GET", "/teams", {}, (200, 200, 200, 200, 200, 200, 401)),
    ("POST", "/teams", NEW, (201, 201, 201, 201, 201, 403, 401)),
    ("GET", "/teams/{team}", {}, (200, 200, 200, 200, 404, 404, 401)),
    ("PUT", "/teams/{team}", NEW, (200, 200, 403, 403, 404, 403, 401)),
    ("PATCH", "/teams/{team}", NEW, (200, 200, 403, 403, 404, 403, 401)),
    ("DELETE", "/teams/{team}", {}, (200, 403, 403, 403, 404, 403, 401)),
    ("POST", "/teams/{team}/leave", {}, (409, 200, 200, 200, 404, 403, 401)),
    ("POST", "/teams/{team}/transfer", {"user_id": "{other}"}, (200, 403, 403, 403, 404, 403, 401)),
    ("GET", "/teams/{team}/members", {}, (200, 200, 200, 200, 404, 404, 401)),
    ("PUT", "/teams/{team}/members/{other}", {"role": "viewer"}, (200, 200, 403, 403, 404, 403, 401)),
    ("PUT", "/teams/{team}/members/{other}", {"role": "admin"}, (200, 403, 403, 403, 404, 403, 401)),
    ("PUT", "/teams/{team}/members/{other}", {"role": "owner"}, (200, 403, 403, 403, 404, 403, 401)),
    ("PUT", "/teams/{team}/members/{admin}", {"role": "viewer"}, (200, 403, 403, 403, 404, 403, 401)),
    ("PUT", "/teams/{team}/members/{owner}", {"role": "viewer"}, (409, 403, 403, 403, 404, 403, 401)),
    ("DELETE", "/teams/{team}/members/{other}", {}, (200, 200, 403, 403, 404, 403, 401)),
    ("DELETE", "/teams/{team}/members/{admin}", {}, (200, 403, 403, 403, 404, 403, 401)),
    ("DELETE", "/teams/{team}/members/{owner}", {}, (409, 403, 403, 403, 404, 403, 401)),
    ("GET", "/teams/{team}/invitations", {}, (200, 200, 403, 403, 404, 404, 401)),
    ("POST", "/teams/{team}/invitations", {"role": "viewer"}, (201, 201, 403, 403, 404, 403, 401)),
    ("POST", "/teams/{team}/invitations", {"role": "member"}, (201, 201, 403, 403, 404, 403, 401)),
    ("POST", "/teams/{team}/invitations", {"role": "admin"}, (201, 403, 403, 403, 404, 403, 401)),
    ("POST", "/teams/{team}/invitations", {"role": "owner"}, (422, 422, 422, 422, 404, 403, 401)),
    ("DELETE", "/teams/{team}/invitations/{for_member}", {}, (200, 200, 403, 403, 404, 403, 401)),
    ("DELETE", "/teams/{team}/invitations/{for_admin}", {}, (200, 403, 403, 403, 404, 403, 401)),
    ("GET", "/team-invitations", {}, (200, 200, 200, 200, 200, 200, 401)),
    ("GET", "/team-invitations/{link}", {}, (200, 200, 200, 200, 200, 200, 401)),
    ("POST", "/team-invitations/{link}/accept", {}, (409, 409, 409, 409, 200, 403, 401)),
    ("POST", "/team-invitations/{link}/decline", {}, (200, 200, 200, 200, 200, 403, 401)),
    # Sent to a phone that is none of theirs.
    ("GET", "/team-invitations/{phone_token}", {}, (404, 404, 404, 404, 404, 404, 401)),
    ("POST", "/team-invitations/{phone_token}/accept", {}, (404, 404, 404, 404, 404, 403, 401)),
    ("POST", "/team-invitations/{phone_token}/decline", {}, (404, 404, 404, 404, 404, 403, 401)),
    ("POST", "/team-invitations/{for_phone}/accept", {}, (404, 404, 404, 404, 404, 403, 401)),
]
CODES = {
    401: {"not_authenticated"},
    403: {"permission_denied"},
    404: {"not_found"},
    409: {"last_owner", "already_member"},
    422: {"validation_error"},
}


@pytest.fixture
def crew() -> Crew:
    return make_crew()


def people(crew: Crew) -> dict[str, User | None]:
    """In the order of the matrix."""
    names = ("owner", "admin", "member", "viewer")
    return {
        **{name: getattr(crew, name) for name in names},
        "stranger": make_user(username="stranger"),
        "guest": make_user(username="guest", phone=None, is_guest=True),
        "anonymous": None,
    }


def places(crew: Crew) -> dict[str, str]:
    """What the {…} of the matrix stand for."""

    def sent(role: Role, phone: str = "") -> tuple[TeamInvitation, str]:
        return invitations.invite(team=crew.team, actor=crew.owner, role=role, phone=phone)

    by_phone, phone_token = sent(Role.MEMBER, "13912345678")
    return {
        "team": str(crew.team.pk),
        "for_member": str(sent(Role.MEMBER)[0].pk),
        "for_admin": str(sent(Role.ADMIN)[0].pk),
        "for_phone": str(by_phone.pk),
        "phone_token": phone_token,
        "link": sent(Role.VIEWER)[1],
        **{name: str(getattr(crew, name).pk) for name in ("owner", "admin", "other")},
    }


@pytest.mark.parametrize(
    ("method", "path", "body", "answers"), MATRIX, ids=[f"{row[0]} {row[1]} {row[2]}" for row in MATRIX]
)
def test_routes(crew: Crew, method: str, path: str, body: dict[str, Any], answers: tuple[int, ...]) -> None:
    fill = places(crew)
    filled = {key: value.format(**fill) for key, value in body.items()}
    before = state()
    for (persona, user), expected in zip(people(crew).items(), answers, strict=True):
        api, start = Client(user), transaction.savepoint()
        answer = getattr(api, method.lower())(path.format(**fill), filled or None)

        assert answer.status_code == expected, (persona, answer.json())
        if expected < 300:
            assert (state() == before) == (method == "GET"), persona
            # Everybody finds the team as it was.
            transaction.savepoint_rollback(start)
            continue
        assert state() == before, persona
        codes = {"phone_required"} if persona == "guest" and expected == 403 else CODES[expected]
        assert answer.json()["code"] in codes, persona


def test_the_matrix_holds_every_route() -> None:
    served = {re.sub(r"{}", "*", path) for path in routes(get_resolver()) if re.match(r"/api/v1/team", path)}
    tried = {"/api/v1" + re.sub(r"{\w+}", "*", path) for _method, path, _body, _answers in MATRIX}
    assert served == tried


# --- the table ---


def test_every_action_has_its_roles() -> None:
    assert set(TEAM_RIGHTS) == set(Action)
    assert set(MANAGED_ROLES) == set(Role)
    # An owner may do everything; who may do something may see the team.
    assert all(Role.OWNER in roles <= TEAM_RIGHTS[Action.VIEW] for roles in TEAM_RIGHTS.values())
    # Nobody manages their equals but owners.
    assert [role for role in Role if role in MANAGED_ROLES[role]] == [Role.OWNER]
    managers = {role for role in Role if MANAGED_ROLES[role]}
    assert managers == TEAM_RIGHTS[Action.MANAGE_MEMBERS]


@pytest.mark.parametrize("action", Action)
def test_rights_follow_the_table(crew: Crew, action: Action) -> None:
    for role in Role:
        user = getattr(crew, role)
        assert role_in(user, crew.team) == role
        assert may(user, action, crew.team) == (role in TEAM_RIGHTS[action])
        if role in TEAM_RIGHTS[action]:
            assert require(user, action, crew.team) == role
        else:
            with pytest.raises(Forbidden):
                require(user, action, crew.team)


def test_a_team_tells_everybody_what_it_allows_them(crew: Crew) -> None:
    door = f"/teams/{crew.team.pk}"
    others = TeamMember.objects.filter(team=crew.team, user=crew.other)
    for role in Role:
        client = Client(getattr(crew, role))
        told = client.get(door).json()
        assert told["rights"] == [action for action in Action if role in TEAM_RIGHTS[action]]
        assert told in client.get("/teams").json()["teams"]
        for before, after in product(Role, Role):
            others.update(role=before)
            code = client.put(f"{door}/members/{crew.other.pk}", {"role": after}).status_code
            assert code == (200 if {before, after} <= set(told["managed_roles"]) else 403)


def test_who_is_no_member_has_no_rights(crew: Crew, stranger: User) -> None:
    assert role_in(stranger, crew.team) is None
    assert not any(may(stranger, action, crew.team) for action in Action)
    with pytest.raises(NotVisible):
        require(stranger, Action.VIEW, crew.team)


def test_drives_of_a_team_are_read_by_viewers_and_written_by_members() -> None:
    def roles(action: Action) -> str:
        return " ".join(role for role in Role if role in TEAM_RIGHTS[action])

    assert roles(Action.READ_FILES) == "owner admin member viewer"
    assert roles(Action.WRITE_FILES) == "owner admin member"
    assert roles(Action.SHARE_FILES) == roles(Action.MANAGE_DRIVES) == "owner admin"
    assert roles(Action.DELETE_DRIVES) == "owner"
