"""Teams at the door: /teams and their members."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.core.files.storage import default_storage
from django.db import connection, models
from pytest_django import DjangoAssertNumQueries

from accounts.models import Team, TeamInvitation, TeamMember, User
from accounts.permissions import MANAGED_ROLES, TEAM_RIGHTS, Action, Role
from accounts.services import invitations, teams
from accounts.services.blocking import block
from tests.accounts.crew import Crew, join, make_crew, news_of, roles_recorded, state
from tests.conftest import Client
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def crew() -> Crew:
    return make_crew()


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# --- the team itself ---


def test_a_team_from_creation_to_deletion(owner: User, owner_api: Client) -> None:
    made = owner_api.post("/teams", {"name": "  灯笼工作室 ", "description": "夜戏\n第二组"})
    assert made.status_code == 201
    shown = made.json()
    team_id = shown["id"]
    assert {name: shown[name] for name in shown if name not in ("id", "created_at", "updated_at")} == {
        "name": "灯笼工作室", "description": "夜戏\n第二组", "role": "owner", "member_count": 1, "max_members": 50,
        "rights": list(Action), "managed_roles": ["owner", "admin", "member", "viewer"],
    }  # fmt: skip
    assert owner_api.get(f"/teams/{team_id}").json() == shown

    renamed = owner_api.patch(f"/teams/{team_id}", {"name": "Lantern"}).json()
    assert (renamed["name"], renamed["description"]) == ("Lantern", "夜戏\n第二组")
    emptied = owner_api.put(f"/teams/{team_id}", {"description": ""}).json()
    assert (emptied["name"], emptied["description"]) == ("Lantern", "")

    assert owner_api.delete(f"/teams/{team_id}").json() == {"success": True}
    assert owner_api.get(f"/teams/{team_id}").status_code == 404
    assert not Team.objects.exists()
    assert roles_recorded(owner) == [(None, "owner", owner), ("owner", None, owner)]
    assert news_of(owner) == []


@pytest.mark.parametrize(
    "name", ["", "   ", "x" * 101, "a\nb", "a\u0007b", "a\u2028b", None, "\u0000", ["a"], "\u0085\u0001"]
)
def test_names_that_are_none(crew: Crew, name: Any) -> None:
    api, before = Client(crew.owner), state()
    for answer in (
        api.post("/teams", {"name": name}),
        api.put(f"/teams/{crew.team.pk}", {"name": name}),
    ):
        assert code_of(answer) == (422, "validation_error")
        assert answer.json()["errors"][0]["loc"] == ["body", "name"]
    assert api.post("/teams", {}).status_code == 422
    assert api.post("/teams", {"name": "x", "description": "x" * 501}).status_code == 422
    assert state() == before


def test_the_longest_name_counts_characters(owner_api: Client) -> None:
    assert owner_api.post("/teams", {"name": "灯" * 100}).status_code == 201


def test_nobody_owns_more_than_the_most(owner: User, owner_api: Client) -> None:
    for number in range(teams.MAX_TEAMS):
        assert owner_api.post("/teams", {"name": str(number)}).status_code == 201
    refused = owner_api.post("/teams", {"name": "one more"})
    assert code_of(refused) == (409, "too_many_teams")
    assert refused.json()["limit"] == teams.MAX_TEAMS
    assert Team.objects.count() == teams.MAX_TEAMS


def test_mine_are_listed_with_my_role_the_newest_first(
    crew: Crew, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    own = teams.create_team(owner=crew.viewer, name="own")
    teams.create_team(owner=crew.owner, name="foreign")
    api = Client(crew.viewer)
    with django_assert_num_queries(3):  # session with user, count, teams
        listed = api.get("/teams").json()
    assert [(team["name"], team["role"], team["member_count"]) for team in listed["teams"]] == [
        ("own", "owner", 1),
        ("灯笼工作室", "viewer", 5),
    ]
    assert (listed["total"], listed["skip"], listed["limit"]) == (2, 0, 20)
    assert [team["id"] for team in api.get("/teams?skip=0&limit=1").json()["teams"]] == [str(own.pk)]


@pytest.mark.parametrize("role", Role)
def test_who_asks_learns_what_they_may_do(crew: Crew, role: Role) -> None:
    user = crew.owner if role == Role.OWNER else getattr(crew, role)
    team = Client(user).get(f"/teams/{crew.team.pk}").json()
    assert team["rights"] == [action for action in Action if role in TEAM_RIGHTS[action]]
    assert set(team["managed_roles"]) == MANAGED_ROLES[role]


@pytest.fixture
def drive_of_team(crew: Crew) -> Iterator[models.Model]:
    """A row of an app above that needs the team, as a team's drive will."""

    class TeamDrive(models.Model):
        team = models.ForeignKey(Team, models.PROTECT)

        class Meta:
            app_label = "accounts"

        def __str__(self) -> str:
            return "drive"

    with connection.schema_editor() as editor:
        editor.create_model(TeamDrive)
    yield TeamDrive._default_manager.create(team=crew.team)
    connection.check_constraints()
    with connection.schema_editor() as editor:
        editor.delete_model(TeamDrive)
    del apps.all_models["accounts"]["teamdrive"]
    apps.clear_cache()


def test_a_team_that_is_needed_stays_whole(crew: Crew, drive_of_team: models.Model) -> None:
    api, before = Client(crew.owner), state()
    assert code_of(api.delete(f"/teams/{crew.team.pk}")) == (409, "team_in_use")
    assert state() == before

    drive_of_team.delete()
    assert api.delete(f"/teams/{crew.team.pk}").status_code == 200
    assert not TeamMember.objects.exists()


def test_members_are_told_that_their_team_is_gone(crew: Crew) -> None:
    invitations.invite(team=crew.team, actor=crew.owner, role=Role.MEMBER, phone="13912345678")
    assert Client(crew.owner).delete(f"/teams/{crew.team.pk}").status_code == 200
    assert not TeamInvitation.objects.exists()
    assert news_of(crew.viewer) == [("The team was deleted.", {"team": "灯笼工作室"})]
    assert roles_recorded(crew.viewer)[-1] == ("viewer", None, crew.owner)
    assert news_of(crew.owner) == []


# --- members ---


def test_members_are_listed_as_they_joined(
    crew: Crew, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    User.objects.filter(pk=crew.member.pk).update(avatar="avatars/m.png")
    api = Client(crew.admin)
    with django_assert_num_queries(4):  # session with user, team, count, members
        listed = api.get(f"/teams/{crew.team.pk}/members").json()
    assert [(member["username"], member["role"]) for member in listed["members"]] == [
        ("lead", "owner"), ("admin", "admin"), ("member", "member"), ("viewer", "viewer"), ("other", "member"),
    ]  # fmt: skip
    assert (listed["total"], listed["skip"], listed["limit"]) == (5, 0, 20)
    phone = crew.member.phone or ""
    assert listed["members"][2] == {
        "id": str(crew.member.pk),
        "username": "member",
        "avatar": f"http://testserver{default_storage.url('avatars/m.png')}",
        "role": "member",
        "phone": f"{phone[:3]}****{phone[-4:]}",
        "joined_at": f"{TeamMember.objects.get(user=crew.member).created_at:%Y-%m-%dT%H:%M:%S.%fZ}",
    }
    assert phone not in str(listed)

    for number in range(4):
        join(crew.team, make_user(username=f"late_{number}"), Role.VIEWER, by=crew.owner)
    with django_assert_num_queries(4):
        page = api.get(f"/teams/{crew.team.pk}/members?skip=4&limit=2").json()
    assert [member["username"] for member in page["members"]] == ["other", "late_0"]
    assert (page["total"], page["skip"], page["limit"]) == (9, 4, 2)


def test_a_username_that_is_a_phone_is_masked_as_one(crew: Crew, stranger: User) -> None:
    """The web client registers people under their phone number."""
    phone = "13912345678"
    newcomer = make_user()
    User.objects.filter(pk=newcomer.pk).update(username=phone, phone=phone)
    newcomer.refresh_from_db()
    join(crew.team, newcomer, Role.ADMIN, by=crew.owner)
    sent = Client(newcomer).post(f"/teams/{crew.team.pk}/invitations", {"phone": stranger.phone}).json()
    for answer in (
        Client(crew.owner).get(f"/teams/{crew.team.pk}/members"),
        Client(crew.owner).get(f"/teams/{crew.team.pk}/invitations"),
        Client(stranger).get("/team-invitations"),
        Client(stranger).get(f"/team-invitations/{sent['token']}"),
    ):
        assert "139****5678" in answer.content.decode()
        assert phone not in answer.content.decode()
    told = [params["name"] for _text, params in (*news_of(crew.owner), *news_of(stranger))]
    assert told == ["139****5678", "139****5678"]


def test_phones_are_for_those_who_manage_members(crew: Crew) -> None:
    path = f"/teams/{crew.team.pk}/members"
    for user, told in ((crew.owner, True), (crew.admin, True), (crew.member, False), (crew.viewer, False)):
        members = Client(user).get(path).json()["members"]
        assert [bool(member["phone"]) for member in members] == [told] * 5, user


def test_a_role_is_changed_written_down_and_told(crew: Crew) -> None:
    path = f"/teams/{crew.team.pk}/members/{crew.member.pk}"
    changed = Client(crew.admin).put(path, {"role": "viewer"})
    assert changed.status_code == 200
    assert (changed.json()["id"], changed.json()["role"]) == (str(crew.member.pk), "viewer")
    assert crew.role_of(crew.member) == "viewer"
    assert roles_recorded(crew.member)[-1] == ("member", "viewer", crew.admin)
    assert news_of(crew.member) == [("You are now a viewer of the team.", {"team": "灯笼工作室"})]

    before = state()
    assert Client(crew.admin).put(path, {"role": "viewer"}).status_code == 200
    assert state() == before  # nothing is told twice

    assert Client(crew.owner).put(path, {"role": "owner"}).status_code == 200
    assert Client(crew.admin).put(path, {"role": "viewer"}).status_code == 403
    assert crew.role_of(crew.member) == "owner"


@pytest.mark.parametrize("body", [{}, {"role": "boss"}, {"role": None}, {"role": ""}])
def test_roles_that_are_none(crew: Crew, body: dict[str, Any]) -> None:
    before = state()
    answer = Client(crew.owner).put(f"/teams/{crew.team.pk}/members/{crew.member.pk}", body)
    assert code_of(answer) == (422, "validation_error")
    assert state() == before


def test_people_outside_the_team_are_out_of_sight(crew: Crew, stranger: User) -> None:
    api, before = Client(crew.owner), state()
    path = f"/teams/{crew.team.pk}/members/{stranger.pk}"
    assert code_of(api.put(path, {"role": "viewer"})) == (404, "not_found")
    assert code_of(api.delete(path)) == (404, "not_found")
    assert code_of(api.post(f"/teams/{crew.team.pk}/transfer", {"user_id": str(stranger.pk)})) == (
        404, "not_found",
    )  # fmt: skip
    assert state() == before


def test_one_who_was_removed_sees_nothing_more(crew: Crew) -> None:
    path = f"/teams/{crew.team.pk}/members/{crew.viewer.pk}"
    assert Client(crew.admin).delete(path).json() == {"success": True}
    assert Client(crew.viewer).get(f"/teams/{crew.team.pk}").status_code == 404
    assert roles_recorded(crew.viewer)[-1] == ("viewer", None, crew.admin)
    assert news_of(crew.viewer) == [("You were removed from the team.", {"team": "灯笼工作室"})]
    assert Client(crew.admin).delete(path).status_code == 404


def test_one_who_leaves_is_told_nothing(crew: Crew) -> None:
    assert Client(crew.member).post(f"/teams/{crew.team.pk}/leave").json() == {"success": True}
    assert crew.role_of(crew.member) is None
    assert roles_recorded(crew.member)[-1] == ("member", None, crew.member)
    assert news_of(crew.member) == []
    assert Client(crew.member).post(f"/teams/{crew.team.pk}/leave").status_code == 404


# --- owners ---


def test_ownership_is_handed_over(crew: Crew) -> None:
    path = f"/teams/{crew.team.pk}/transfer"
    answer = Client(crew.owner).post(path, {"user_id": str(crew.member.pk)})
    assert (answer.status_code, answer.json()["role"]) == (200, "admin")
    assert (crew.role_of(crew.owner), crew.role_of(crew.member)) == ("admin", "owner")
    assert roles_recorded(crew.owner)[-1] == ("owner", "admin", crew.owner)
    assert roles_recorded(crew.member)[-1] == ("member", "owner", crew.owner)
    assert news_of(crew.member) == [("You are now an owner of the team.", {"team": "灯笼工作室"})]
    assert code_of(Client(crew.owner).post(path, {"user_id": str(crew.other.pk)})) == (
        403,
        "permission_denied",
    )


def test_ownership_is_not_handed_to_oneself_or_nobody(crew: Crew) -> None:
    api, before = Client(crew.owner), state()
    path = f"/teams/{crew.team.pk}/transfer"
    for body in ({"user_id": str(crew.owner.pk)}, {"user_id": "x"}, {}):
        answer = api.post(path, body)
        assert code_of(answer) == (422, "validation_error")
        assert answer.json()["errors"][0]["loc"] == ["body", "user_id"]
    assert state() == before


def ways_out(crew: Crew, user: User) -> list[Any]:
    """Every way in which `user` may try to be owner no more."""
    api, path = Client(user), f"/teams/{crew.team.pk}"
    return [
        api.post(f"{path}/leave"),
        api.put(f"{path}/members/{user.pk}", {"role": "viewer"}),
        api.delete(f"{path}/members/{user.pk}"),
    ]


def test_the_last_owner_stays(crew: Crew) -> None:
    before = state()
    assert [code_of(answer) for answer in ways_out(crew, crew.owner)] == [(409, "last_owner")] * 3
    assert state() == before


def test_one_of_several_owners_may_go(crew: Crew) -> None:
    api, path = Client(crew.owner), f"/teams/{crew.team.pk}"
    assert api.put(f"{path}/members/{crew.admin.pk}", {"role": "owner"}).status_code == 200
    assert api.put(f"{path}/members/{crew.owner.pk}", {"role": "member"}).status_code == 200
    assert crew.role_of(crew.owner) == "member"
    assert [answer.status_code for answer in ways_out(crew, crew.admin)] == [409] * 3


def test_an_owner_who_cannot_sign_in_is_none(crew: Crew) -> None:
    join(crew.team, make_user(username="partner"), Role.OWNER, by=crew.owner)
    block(User.objects.filter(username="partner"))
    block(User.objects.filter(pk=crew.member.pk))
    before = state()
    assert [code_of(answer) for answer in ways_out(crew, crew.owner)] == [(409, "last_owner")] * 3
    answer = Client(crew.owner).post(f"/teams/{crew.team.pk}/transfer", {"user_id": str(crew.member.pk)})
    assert code_of(answer) == (409, "last_owner")
    assert state() == before


# --- invitations go with the right to send them ---


def test_who_may_invite_no_longer_has_no_open_invitations(crew: Crew) -> None:
    sent = [
        invitations.invite(team=crew.team, actor=user, role=role)[0]
        for user, role in (
            (crew.owner, Role.ADMIN), (crew.owner, Role.VIEWER), (crew.admin, Role.MEMBER), (crew.admin, Role.VIEWER),
        )
    ]  # fmt: skip

    def statuses() -> list[str]:
        return [TeamInvitation.objects.get(pk=row.pk).status for row in sent]

    teams.transfer_ownership(team=crew.team, actor=crew.owner, user_id=crew.other.pk)
    assert statuses() == ["revoked", "open", "open", "open"]  # an administrator promises no administrators
    teams.change_role(team=crew.team, actor=crew.other, user_id=crew.owner.pk, role=Role.VIEWER)
    assert statuses() == ["revoked", "revoked", "open", "open"]
    teams.leave_team(team=crew.team, actor=crew.admin)
    assert statuses() == ["revoked"] * 4


def test_nobody_comes_back_by_an_older_invitation(crew: Crew, stranger: User) -> None:
    phone = stranger.phone or ""
    invitations.invite(team=crew.team, actor=crew.owner, role=Role.ADMIN, phone=phone)
    join(crew.team, stranger, Role.MEMBER, by=crew.owner)
    teams.remove_member(team=crew.team, actor=crew.owner, user_id=stranger.pk)
    assert TeamInvitation.objects.get(phone=phone).status == "revoked"
    assert Client(stranger).get("/team-invitations").json()["total"] == 0


def test_invitations_of_other_teams_stay(crew: Crew, stranger: User) -> None:
    elsewhere = teams.create_team(owner=crew.admin, name="elsewhere")
    kept = invitations.invite(
        team=elsewhere, actor=crew.admin, role=Role.ADMIN, phone=crew.member.phone or ""
    )[0]
    teams.remove_member(team=crew.team, actor=crew.owner, user_id=crew.member.pk)
    teams.leave_team(team=crew.team, actor=crew.admin)
    kept.refresh_from_db()
    assert kept.status == "open"
