"""People who work together."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Count, F, OuterRef, Q, Subquery
from django.utils.translation import gettext_lazy as _

from accounts.models.users import User
from common.models import Row, StateRow


class TeamQuerySet(models.QuerySet["Team"]):
    def visible_to(self, user: User) -> TeamQuerySet:
        """The user's teams, each with their own `role` in it and its `member_count`."""
        members = TeamMember.objects.filter(team=OuterRef("pk")).order_by().values("team")
        # The annotation reads the membership that the filter joined.
        return self.filter(members__user=user).annotate(
            role=F("members__role"),
            member_count=Subquery(members.annotate(count=Count("pk")).values("count")),
        )


class Team(Row):
    """Members with roles; a team always has an owner."""

    name = models.CharField(_("name"), max_length=100)
    description = models.CharField(_("description"), max_length=500, blank=True)
    max_members = models.PositiveSmallIntegerField(_("most members"), default=50)

    objects = TeamQuerySet.as_manager()

    class Meta:
        verbose_name = _("team")
        verbose_name_plural = _("teams")

    def __str__(self) -> str:
        return self.name


class TeamMember(Row):
    """A user's role in a team; what each role may do stands in accounts.permissions."""

    class Role(models.TextChoices):
        OWNER = "owner", _("Owner")
        ADMIN = "admin", _("Administrator")
        MEMBER = "member", _("Member")
        VIEWER = "viewer", _("Viewer")

    team = models.ForeignKey(Team, models.CASCADE, related_name="members", verbose_name=_("team"))
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships", verbose_name=_("user"))
    role = models.CharField(_("role"), max_length=10, choices=Role.choices, default=Role.MEMBER)

    class Meta:
        verbose_name = _("team member")
        verbose_name_plural = _("team members")
        constraints = [
            models.UniqueConstraint(fields=["team", "user"], name="accounts_teammember_once"),
        ]

    def __str__(self) -> str:
        return self.get_role_display()


class TeamInvitationQuerySet(models.QuerySet["TeamInvitation"]):
    def open(self, now: datetime) -> TeamInvitationQuerySet:
        return self.filter(status=TeamInvitation.Status.OPEN, expires_at__gt=now)

    def visible_to(self, user: User) -> TeamInvitationQuerySet:
        """Those sent to the user's own phone, whoever had it when they were sent."""
        return self.filter(phone=user.phone) if user.phone else self.none()

    def by_token(self, token_hash: str, user: User) -> TeamInvitationQuerySet:
        """The one whose token it is, unless it was sent to somebody else's phone."""
        return self.filter(Q(phone="") | Q(phone=user.phone or ""), token_hash=token_hash)


class TeamInvitation(StateRow):
    """An invitation to one person: by phone, or by a link whose token is kept hashed and works once.

    OPEN ──> ACCEPTED | DECLINED | REVOKED | EXPIRED
    """

    class Status(models.TextChoices):
        OPEN = "open", _("Open")
        ACCEPTED = "accepted", _("Accepted")
        DECLINED = "declined", _("Declined")
        REVOKED = "revoked", _("Withdrawn")
        EXPIRED = "expired", _("Expired")

    FINAL_STATUSES = {Status.ACCEPTED, Status.DECLINED, Status.REVOKED, Status.EXPIRED}
    TRANSITIONS = {
        Status.OPEN: {Status.ACCEPTED, Status.DECLINED, Status.REVOKED, Status.EXPIRED},
        Status.ACCEPTED: set(),
        Status.DECLINED: set(),
        Status.REVOKED: set(),
        Status.EXPIRED: set(),
    }

    team = models.ForeignKey(Team, models.CASCADE, related_name="invitations", verbose_name=_("team"))
    role = models.CharField(
        _("role"), max_length=10, choices=TeamMember.Role.choices, default=TeamMember.Role.MEMBER
    )
    phone = models.CharField(_("phone"), max_length=20, blank=True)
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.OPEN)
    invited_by = models.ForeignKey(
        User, models.CASCADE, related_name="sent_invitations", verbose_name=_("invited by")
    )
    answered_by = models.ForeignKey(
        User, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("answered by")
    )
    answered_at = models.DateTimeField(_("answered at"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires at"))

    objects = TeamInvitationQuerySet.as_manager()

    class Meta:
        verbose_name = _("team invitation")
        verbose_name_plural = _("team invitations")
        constraints = [
            models.CheckConstraint(
                condition=~Q(role=TeamMember.Role.OWNER), name="accounts_teaminvitation_no_owner"
            ),
            models.UniqueConstraint(
                fields=["team", "phone"],
                condition=Q(status="open") & ~Q(phone=""),
                name="accounts_teaminvitation_one_open",
            ),
        ]
        indexes = [
            models.Index(fields=["phone"], condition=Q(status="open"), name="accounts_invitation_phone"),
            models.Index(fields=["expires_at"], condition=Q(status="open"), name="accounts_invitation_due"),
        ]

    def __str__(self) -> str:
        return self.get_status_display()

    def is_open(self, now: datetime) -> bool:
        return self.status == self.Status.OPEN and self.expires_at > now
