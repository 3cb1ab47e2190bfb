"""Drives, who may use them, and how full they were."""

from __future__ import annotations

from typing import cast

from django.conf import settings
from django.db import models
from django.db.models import Count, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from accounts.models import Team, TeamMember, User
from common.models import Row


class DriveQuerySet(models.QuerySet["Drive"]):
    def visible_to(self, user: User) -> DriveQuerySet:
        """The user's own drives, those of their teams, and those they were made a member of."""
        shared = DriveMember.objects.filter(user=user).values("drive")
        teams = TeamMember.objects.filter(user=user).values("team")
        return self.filter(Q(user=user) | Q(team__in=teams) | Q(pk__in=shared), is_active=True)

    def of_owner(self, drive: Drive) -> DriveQuerySet:
        """All drives, also deleted ones, of the person or team that `drive` belongs to."""
        return self.filter(user=drive.user_id, team=drive.team_id)

    def with_file_count(self) -> DriveQuerySet:
        """With `file_count`, the number of living files."""
        from drives.models.tree import File  # the tree stands on the drives

        counts = File.objects.living().filter(drive=OuterRef("pk")).order_by().values("drive")
        return self.annotate(file_count=Coalesce(Subquery(counts.values(count=Count("pk"))), 0))


class Drive(Row):
    """A tree of folders and files with a quota, of one person or of one team.

    `total_size` null means no limit (operators only). `letter` is the one a desktop mounts it under. `is_default` is
    its owner's choice of the drive that is meant where none is named; without one it is their oldest.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="drives",
        verbose_name=_("owner"),
    )
    team = models.ForeignKey(
        Team, models.PROTECT, null=True, blank=True, related_name="drives", verbose_name=_("team")
    )
    name = models.CharField(_("name"), max_length=50)
    icon = models.CharField(_("icon"), max_length=50, blank=True)
    description = models.CharField(_("description"), max_length=255, blank=True)
    letter = models.CharField(_("drive letter"), max_length=1, blank=True)
    total_size = models.PositiveBigIntegerField(_("quota"), null=True, blank=True)
    used_size = models.PositiveBigIntegerField(_("used"), default=0)
    reserved_size = models.PositiveBigIntegerField(_("reserved by uploads"), default=0)
    is_active = models.BooleanField(_("active"), default=True)
    is_default = models.BooleanField(_("default drive"), default=False, db_default=False)

    objects = DriveQuerySet.as_manager()

    class Meta:
        verbose_name = _("drive")
        verbose_name_plural = _("drives")
        permissions = [("change_quota", gettext_noop("Can change quotas"))]
        indexes = [
            models.Index(fields=["user", "created_at"], name="drives_drive_user"),
            models.Index(fields=["team", "created_at"], name="drives_drive_team"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=False, team__isnull=True) | Q(user__isnull=True, team__isnull=False),
                name="drives_drive_one_owner",
            ),
            models.UniqueConstraint(
                fields=["user", "letter"],
                condition=Q(is_active=True) & ~Q(letter=""),
                name="drives_drive_letter",
            ),
            models.UniqueConstraint(
                fields=["user"], condition=Q(is_active=True, is_default=True), name="drives_drive_one_default"
            ),
            models.CheckConstraint(
                condition=Q(is_default=False) | Q(user__isnull=False), name="drives_drive_default_of_a_person"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def owner(self) -> User | Team:
        """The person or team that owns the drive. The caller joins `user` and `team`."""
        return cast("User | Team", self.user or self.team)

    @property
    def available_size(self) -> int | None:
        """Bytes left, or None where there is no limit."""
        if self.total_size is None:
            return None
        return max(self.total_size - self.used_size - self.reserved_size, 0)


class DriveMember(Row):
    """A person who may use somebody else's drive; what each role may do stands in drives.permissions."""

    class Role(models.TextChoices):
        VIEWER = "viewer", _("Viewer")
        EDITOR = "editor", _("Editor")
        MANAGER = "manager", _("Manager")

    drive = models.ForeignKey(Drive, models.CASCADE, related_name="members", verbose_name=_("drive"))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="drive_memberships", verbose_name=_("user")
    )
    role = models.CharField(_("role"), max_length=10, choices=Role.choices, default=Role.VIEWER)

    class Meta:
        verbose_name = _("drive member")
        verbose_name_plural = _("drive members")
        constraints = [models.UniqueConstraint(fields=["drive", "user"], name="drives_drivemember_once")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.role}"


class DriveUsageSample(Row):
    """How full a drive was on a day (UTC), as the day's sample found it; sizes in bytes.

    `plan_size` is what the owner's plan had for all their drives that day; null for no limit, and for teams.
    """

    drive = models.ForeignKey(Drive, models.CASCADE, related_name="usage_samples", verbose_name=_("drive"))
    sample_date = models.DateField(_("day"))
    used_size = models.PositiveBigIntegerField(_("used"))
    reserved_size = models.PositiveBigIntegerField(_("reserved by uploads"))
    file_count = models.PositiveBigIntegerField(_("files"))
    plan_size = models.PositiveBigIntegerField(_("storage of the owner's plan"), null=True, blank=True)

    class Meta:
        verbose_name = _("usage sample")
        verbose_name_plural = _("usage samples")
        constraints = [
            models.UniqueConstraint(fields=["drive", "sample_date"], name="drives_usagesample_day"),
        ]

    def __str__(self) -> str:
        return f"{self.sample_date}: {self.used_size}"


class TrafficSample(Row):
    """How much was downloaded from a drive on a day (UTC), in bytes that went out whole; written once it is over."""

    drive = models.ForeignKey(Drive, models.CASCADE, related_name="traffic_samples", verbose_name=_("drive"))
    sample_date = models.DateField(_("day"))
    size = models.PositiveBigIntegerField(_("downloaded"))

    class Meta:
        verbose_name = _("traffic sample")
        verbose_name_plural = _("traffic samples")
        constraints = [
            models.UniqueConstraint(fields=["drive", "sample_date"], name="drives_trafficsample_day"),
        ]
        indexes = [models.Index(fields=["sample_date"], name="drives_trafficsample_date")]

    def __str__(self) -> str:
        return f"{self.sample_date}: {self.size}"
