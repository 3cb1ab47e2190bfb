"""Invitations to teams: by a link for one person, or to a phone, whoever has it."""

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.errors import PhoneRequired
from accounts.models import Notification, TeamInvitation, User
from accounts.permissions import Role
from accounts.services import invitations, teams
from accounts.tasks import sweep_invitations
from common.realtime import connection as redis
from common.realtime import stream_of
from tests.accounts.conftest import code_for, registration
from tests.accounts.crew import Crew, make_crew, news_of, roles_recorded, state
from tests.conftest import Client
from tests.factories import make_user

pytestmark = pytest.mark.django_db
PHONE = "13912345678"


@pytest.fixture
def crew() -> Crew:
    return make_crew()


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def invite(crew: Crew, **body: Any) -> dict[str, Any]:
    answer = Client(crew.owner).post(f"/teams/{crew.team.pk}/invitations", body)
    assert answer.status_code == 201, answer.json()
    return dict(answer.json())


def age(days: int) -> None:
    """As if all invitations had been sent so many days earlier."""
    for row in TeamInvitation.objects.all():
        TeamInvitation.objects.filter(pk=row.pk).update(expires_at=row.expires_at - timedelta(days=days))


# --- who has the phone later ---


def test_who_registers_is_told_of_what_waits_for_their_phone(
    crew: Crew, stranger: User, anonymous: Client
) -> None:
    waiting = invite(crew, role="viewer", phone=PHONE)
    other = teams.create_team(owner=stranger, name="Lighting")
    invitations.invite(team=other, actor=stranger, role=Role.MEMBER, phone=PHONE)
    TeamInvitation.objects.filter(team=other).update(expires_at=timezone.now())
    invite(crew, role="viewer", phone="13900000001")
    answer = anonymous.post("/auth/register", registration(code_for(anonymous, PHONE), phone=PHONE))
    assert answer.status_code == 201
    user = User.objects.get(phone=PHONE)
    [(message, values)] = news_of(user)
    assert (message, values["name"]) == ("%(name)s invites you to the team.", "lead")
    assert Notification.objects.get(user=user).action_url == f"/invitation#{waiting['id']}"
    assert Client(user).post(f"/team-invitations/{waiting['id']}/accept").status_code == 200


def test_who_binds_a_phone_is_told_too(crew: Crew, stranger: User, stranger_api: Client) -> None:
    waiting = invite(crew, role="viewer", phone=PHONE)
    assert news_of(stranger) == []
    form = {"phone": PHONE, "verification_code": code_for(stranger_api, PHONE, "bind_phone")}
    assert stranger_api.post("/users/me/phone", form).status_code == 200
    told = Notification.objects.filter(user=stranger, message="%(name)s invites you to the team.")
    assert [row.action_url for row in told] == [f"/invitation#{waiting['id']}"]


# --- links ---


def test_a_link_is_told_once_and_lets_one_person_in(crew: Crew, stranger: User) -> None:
    made = invite(crew, role="viewer")
    token = made["token"]
    assert made["link"] == f"http://testserver/invitation#{token}"
    assert len(token) == 43
    assert (made["role"], made["phone"]) == ("viewer", "")
    assert made["invited_by"] == {"id": str(crew.owner.pk), "username": "lead"}
    row = TeamInvitation.objects.get(pk=made["id"])
    assert row.token_hash == hashlib.sha256(token.encode()).hexdigest()
    assert abs(row.expires_at - timezone.now() - timedelta(days=7)) < timedelta(minutes=1)
    listed = Client(crew.admin).get(f"/teams/{crew.team.pk}/invitations")
    assert listed.json()["total"] == 1
    assert token not in listed.content.decode()

    api = Client(stranger)
    seen = api.get(f"/team-invitations/{token}").json()
    assert seen == {
        "id": made["id"], "team": {"id": str(crew.team.pk), "name": "灯笼工作室"}, "role": "viewer",
        "invited_by": made["invited_by"], "created_at": made["created_at"], "expires_at": made["expires_at"],
    }  # fmt: skip
    joined = api.post(f"/team-invitations/{token}/accept")
    assert (joined.status_code, joined.json()["role"], joined.json()["member_count"]) == (200, "viewer", 6)
    assert api.get(f"/teams/{crew.team.pk}").json() == joined.json()
    assert roles_recorded(stranger) == [(None, "viewer", stranger)]
    assert news_of(crew.owner) == [
        ("%(name)s has joined the team.", {"team": "灯笼工作室", "name": "stranger"})
    ]
    row.refresh_from_db()
    assert (row.status, row.answered_by, row.answered_at is not None) == ("accepted", stranger, True)

    late, before = Client(make_user()), state()
    for answer in (
        late.get(f"/team-invitations/{token}"),
        late.post(f"/team-invitations/{token}/accept"),
        late.post(f"/team-invitations/{token}/decline"),
    ):
        assert code_of(answer) == (409, "invitation_closed")
        assert answer.json()["status"] == "accepted"
        assert "灯笼" not in answer.content.decode()
    assert state() == before


def test_links_begin_where_the_settings_say(crew: Crew, settings: Any) -> None:
    settings.PUBLIC_URL = "https://yuntu.example.com/"
    made = invite(crew)
    assert made["link"] == f"https://yuntu.example.com/invitation#{made['token']}"


def test_a_link_is_no_open_door_by_its_id(crew: Crew, stranger: User) -> None:
    made, before = invite(crew), state()
    for key in (made["id"], made["id"].replace("-", ""), "x" * 43, "灯笼", "%00"):
        assert code_of(Client(stranger).get(f"/team-invitations/{key}")) == (404, "not_found"), key
        assert code_of(Client(stranger).post(f"/team-invitations/{key}/accept")) == (404, "not_found")
    assert state() == before


def test_a_link_that_was_declined_is_used_up(crew: Crew, stranger: User) -> None:
    token = invite(crew)["token"]
    assert Client(stranger).post(f"/team-invitations/{token}/decline").json() == {"success": True}
    row = TeamInvitation.objects.get()
    assert (row.status, row.answered_by) == ("declined", stranger)
    answer = Client(make_user()).post(f"/team-invitations/{token}/accept")
    assert (code_of(answer), answer.json()["status"]) == ((409, "invitation_closed"), "declined")
    assert crew.role_of(stranger) is None


def test_a_member_does_not_use_up_a_link(crew: Crew, stranger: User) -> None:
    token, before = invite(crew, role="admin")["token"], state()
    assert code_of(Client(crew.viewer).post(f"/team-invitations/{token}/accept")) == (409, "already_member")
    assert state()["TeamInvitation"] == before["TeamInvitation"]
    assert crew.role_of(crew.viewer) == "viewer"
    assert Client(stranger).post(f"/team-invitations/{token}/accept").status_code == 200


# --- phones ---


def test_a_phone_is_asked_and_answers(
    crew: Crew, stranger: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    made = invite(crew, phone=stranger.phone, role="member")
    assert made["phone"] == f"{(stranger.phone or '')[:3]}****{(stranger.phone or '')[-4:]}"
    message = ("%(name)s invites you to the team.", {"team": "灯笼工作室", "name": "lead"})
    assert news_of(stranger) == [message]

    api = Client(stranger)
    with django_assert_num_queries(3):  # session with user, count, invitations
        listed = api.get("/team-invitations").json()
    assert [row["id"] for row in listed["invitations"]] == [made["id"]]
    assert (listed["total"], listed["skip"], listed["limit"]) == (1, 0, 20)
    assert api.get(f"/team-invitations/{made['id']}").json() == listed["invitations"][0]
    assert api.get(f"/team-invitations/{made['token']}").json() == listed["invitations"][0]

    assert api.post(f"/team-invitations/{made['id']}/accept").json()["role"] == "member"
    assert api.get("/team-invitations").json()["invitations"] == []
    assert crew.role_of(stranger) == "member"


def test_the_news_of_an_invitation_is_pushed(
    crew: Crew, stranger: User, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        invite(crew, phone=stranger.phone)
    entries: Any = redis().xrange(stream_of(stranger.pk))
    [event] = [fields[b"event"].decode() for _revision, fields in entries]
    assert "%(name)s invites you to the team." in event  # the socket translates
    assert '"team": "灯笼工作室"' in event


def test_a_phone_invitation_waits_for_who_registers_later(crew: Crew, anonymous: Client) -> None:
    made = invite(crew, phone=PHONE, role="viewer")
    form = registration(code_for(anonymous, PHONE), phone=PHONE)
    assert anonymous.post("/auth/register", form).status_code == 201
    newcomer = User.objects.get(phone=PHONE)
    api = Client(newcomer)
    assert [row["id"] for row in api.get("/team-invitations").json()["invitations"]] == [made["id"]]
    assert api.post(f"/team-invitations/{made['token']}/accept").status_code == 200
    assert crew.role_of(newcomer) == "viewer"


def test_nothing_tells_whether_a_phone_is_known(crew: Crew, stranger: User) -> None:
    for phone in (stranger.phone, PHONE, crew.member.phone):
        made = invite(crew, phone=phone)
        assert set(made) == {
            "id", "role", "phone", "invited_by", "created_at", "expires_at", "token", "link",
        }  # fmt: skip
        again = Client(crew.admin).post(f"/teams/{crew.team.pk}/invitations", {"phone": phone})
        assert code_of(again) == (409, "already_invited")
    assert TeamInvitation.objects.count() == 3
    # Who is a member already is not bothered.
    assert news_of(crew.member) == []
    assert Client(crew.member).get("/team-invitations").json()["total"] == 0


def test_only_the_phone_that_was_meant(crew: Crew, stranger: User) -> None:
    made, before = invite(crew, phone=PHONE), state()
    without_phone = make_user(phone=None)
    for user in (stranger, without_phone):
        for key in (made["id"], made["token"]):
            assert code_of(Client(user).get(f"/team-invitations/{key}")) == (404, "not_found")
            assert code_of(Client(user).post(f"/team-invitations/{key}/accept")) == (404, "not_found")
            assert code_of(Client(user).post(f"/team-invitations/{key}/decline")) == (404, "not_found")
        assert Client(user).get("/team-invitations").json()["total"] == 0
    assert state()["TeamInvitation"] == before["TeamInvitation"]


def test_declined_by_phone(crew: Crew, stranger: User) -> None:
    made = invite(crew, phone=stranger.phone)
    assert Client(stranger).post(f"/team-invitations/{made['id']}/decline").status_code == 200
    assert Client(stranger).get("/team-invitations").json()["total"] == 0
    assert crew.role_of(stranger) is None
    assert roles_recorded(stranger) == []
    invite(crew, phone=stranger.phone)  # may be asked again


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"phone": "12345678901"}, "phone"),
        ({"phone": "+8613912345678"}, "phone"),
        ({"phone": "1391234567８"}, "phone"),
        ({"phone": f"{PHONE}\n"}, ""),  # trimmed: the phone itself is right
        ({"role": "owner"}, "role"),
        ({"role": "boss"}, "role"),
        ({"expires_in_days": 0}, "expires_in_days"),
        ({"expires_in_days": 31}, "expires_in_days"),
        ({"expires_in_days": "soon"}, "expires_in_days"),
    ],
)
def test_invitations_that_cannot_be(crew: Crew, body: dict[str, Any], field: str) -> None:
    before = state()
    answer = Client(crew.owner).post(f"/teams/{crew.team.pk}/invitations", body)
    if not field:
        assert answer.status_code == 201
        assert TeamInvitation.objects.get().phone == PHONE
        return
    assert code_of(answer) == (422, "validation_error")
    assert answer.json()["errors"][0]["loc"] == ["body", field]
    assert state() == before


# --- time, withdrawal, room ---


@pytest.mark.parametrize("days", [1, 30])
def test_the_sender_says_how_long(crew: Crew, days: int) -> None:
    made = invite(crew, expires_in_days=days, phone=None)
    row = TeamInvitation.objects.get(pk=made["id"])
    assert abs(row.expires_at - timezone.now() - timedelta(days=days)) < timedelta(minutes=1)


def test_over_is_over_before_the_sweep_and_after(crew: Crew, stranger: User) -> None:
    link, phone = invite(crew), invite(crew, phone=stranger.phone)
    kept = invite(crew, expires_in_days=30)
    age(8)
    Notification.objects.all().delete()
    api = Client(stranger)

    def refused() -> None:
        before = state()
        for key in (link["token"], phone["token"], phone["id"]):
            for answer in (
                api.get(f"/team-invitations/{key}"),
                api.post(f"/team-invitations/{key}/accept"),
                api.post(f"/team-invitations/{key}/decline"),
            ):
                assert code_of(answer) == (409, "invitation_closed")
                assert answer.json()["status"] == "expired"
        assert api.get("/team-invitations").json()["total"] == 0
        listed = Client(crew.owner).get(f"/teams/{crew.team.pk}/invitations").json()["invitations"]
        assert [row["id"] for row in listed] == [kept["id"]]
        answer = Client(crew.owner).delete(f"/teams/{crew.team.pk}/invitations/{link['id']}")
        assert code_of(answer) == (409, "invitation_closed")
        assert state() == before

    refused()
    assert set(TeamInvitation.objects.values_list("status", flat=True)) == {"open"}
    sweep_invitations()
    assert sorted(TeamInvitation.objects.values_list("status", flat=True)) == ["expired", "expired", "open"]
    refused()


def test_a_phone_may_be_asked_again_before_the_sweep(crew: Crew) -> None:
    invite(crew, phone=PHONE)
    age(8)
    invite(crew, phone=PHONE)
    assert sorted(TeamInvitation.objects.values_list("status", flat=True)) == ["expired", "open"]


def test_the_sweep_is_scheduled() -> None:
    from django_celery_beat.models import PeriodicTask

    task = PeriodicTask.objects.get(task="accounts.tasks.sweep_invitations")
    assert (task.enabled, task.interval.every, task.interval.period) == (True, 3600, "seconds")


def test_what_was_withdrawn_is_over(crew: Crew, stranger: User) -> None:
    made = invite(crew, phone=stranger.phone)
    path = f"/teams/{crew.team.pk}/invitations/{made['id']}"
    assert Client(crew.admin).delete(path).json() == {"success": True}
    answer = Client(stranger).post(f"/team-invitations/{made['id']}/accept")
    assert (code_of(answer), answer.json()["status"]) == ((409, "invitation_closed"), "revoked")
    assert code_of(Client(crew.admin).delete(path)) == (409, "invitation_closed")
    assert crew.role_of(stranger) is None


def test_an_invitation_of_another_team_is_out_of_sight(crew: Crew, stranger: User) -> None:
    foreign = teams.create_team(owner=stranger, name="foreign")
    row, _token = invitations.invite(team=foreign, actor=stranger, role=Role.MEMBER)
    before = state()
    for team in (crew.team, foreign):
        answer = Client(crew.owner).delete(f"/teams/{team.pk}/invitations/{row.pk}")
        assert code_of(answer) == (404, "not_found")
    assert state() == before


def test_a_full_team_takes_nobody(crew: Crew, stranger: User) -> None:
    token = invite(crew)["token"]
    type(crew.team).objects.filter(pk=crew.team.pk).update(max_members=5)
    before = state()
    answer = Client(stranger).post(f"/team-invitations/{token}/accept")
    assert (code_of(answer), answer.json()["limit"]) == ((409, "team_full"), 5)
    assert state() == before

    teams.leave_team(team=crew.team, actor=crew.viewer)
    assert Client(stranger).post(f"/team-invitations/{token}/accept").status_code == 200


def test_a_guest_joins_nothing(crew: Crew) -> None:
    guest = make_user(phone=None, is_guest=True)
    token, before = invite(crew)["token"], state()
    assert code_of(Client(guest).post(f"/team-invitations/{token}/accept")) == (403, "phone_required")
    # Nor by a door that forgets to ask.
    for act in (
        lambda: invitations.accept(user=guest, key=token),
        lambda: teams.create_team(owner=guest, name="x"),
    ):
        with pytest.raises(PhoneRequired):
            act()
    assert state()["TeamMember"] == before["TeamMember"]


def test_invitations_are_counted(crew: Crew, settings: Any) -> None:
    settings.TEAM_INVITATION_LIMIT = (3, 3600)
    path = f"/teams/{crew.team.pk}/invitations"
    api = Client(crew.admin)
    for _number in range(3):
        assert api.post(path, {}).status_code == 201
    before = state()
    answer = api.post(path, {})
    assert code_of(answer) == (429, "rate_limited")
    assert 3500 < int(answer["Retry-After"]) <= 3600
    assert state() == before


def test_the_list_of_a_team_takes_a_constant_number_of_queries(
    crew: Crew, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    path = f"/teams/{crew.team.pk}/invitations"
    api = Client(crew.owner)
    for number in range(4):
        invite(crew, phone=f"1390000000{number}")
        if number in (0, 3):
            with django_assert_num_queries(5):  # session with user, team, role, count, invitations
                listed = api.get(path).json()
            assert [row["phone"] for row in listed["invitations"]] == [
                f"139****000{n}" for n in range(number, -1, -1)
            ]
