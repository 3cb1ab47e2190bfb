"""Teams for tests, made by the services that make them in life."""

from dataclasses import dataclass
from typing import Any

from accounts.models import AuditEvent, Notification, Team, TeamInvitation, TeamMember, User
from accounts.permissions import Role
from accounts.services import invitations
from accounts.services.teams import create_team
from tests.factories import make_user


@dataclass
class Crew:
    """A team with one member of each role and a second one, `other`."""

    team: Team
    owner: User
    admin: User
    member: User
    viewer: User
    other: User

    def role_of(self, user: User) -> str | None:
        return TeamMember.objects.filter(team=self.team, user=user).values_list("role", flat=True).first()


def join(team: Team, user: User, role: Role, *, by: User) -> None:
    """By a link of `by`; an owner is made of an administrator."""
    given = Role.ADMIN if role == Role.OWNER else role
    _invitation, token = invitations.invite(team=team, actor=by, role=given)
    invitations.accept(user=user, key=token)
    if role == Role.OWNER:
        TeamMember.objects.filter(team=team, user=user).update(role=role)


def make_crew() -> Crew:
    owner = make_user(username="lead")
    team = create_team(owner=owner, name="灯笼工作室")
    people = {name: make_user(username=name) for name in ("admin", "member", "viewer", "other")}
    for name, user in people.items():
        join(team, user, Role.MEMBER if name == "other" else Role(name), by=owner)
    # How they came is not what the tests ask about.
    TeamInvitation.objects.all().delete()
    Notification.objects.all().delete()
    return Crew(team, owner, **people)


def state() -> dict[str, list[Any]]:
    """Everything that an act on teams could change."""
    rows = {
        model.__name__: list(model._default_manager.order_by("pk").values())
        for model in (Team, TeamMember, TeamInvitation, Notification)
    }
    # A client that signs in for the next request is written down as well.
    changes = AuditEvent.objects.filter(action=AuditEvent.Action.ROLE_CHANGED)
    return {**rows, "AuditEvent": list(changes.order_by("pk").values())}


def news_of(user: User) -> list[tuple[str, dict[str, Any]]]:
    """Notifications of `user`, oldest first: English text and values."""
    return list(
        Notification.objects.filter(user=user).order_by("created_at", "pk").values_list("message", "params")
    )


def roles_recorded(user: User) -> list[tuple[str | None, str | None, User | None]]:
    """Changes of role in the user's audit log, oldest first: before, after, by whom."""
    events = AuditEvent.objects.filter(user=user, action=AuditEvent.Action.ROLE_CHANGED)
    return [
        (event.before.get("role"), event.after.get("role"), event.actor)
        for event in events.select_related("actor").order_by("created_at", "pk")
    ]
