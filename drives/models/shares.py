"""Links for strangers."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from common.models import Row
from drives.models.drives import Drive
from drives.models.tree import File, Folder


class ShareLinkQuerySet(models.QuerySet["ShareLink"]):
    def visible_to(self, user: User) -> ShareLinkQuerySet:
        return self.filter(drive__in=Drive.objects.visible_to(user))

    def open(self, now: datetime) -> ShareLinkQuerySet:
        """Neither revoked nor expired, with downloads left."""
        unspent = Q(max_downloads__isnull=True) | Q(download_count__lt=F("max_downloads"))
        unexpired = Q(expires_at__isnull=True) | Q(expires_at__gt=now)
        return self.filter(unspent, unexpired, revoked_at__isnull=True)


class ShareLink(Row):
    """A file or a folder, with all below it, for whoever has the link.

    Only the digest of its token is kept: the address is shown once. No password is an empty one; no expiry and no
    limit of downloads are null.
    """

    drive = models.ForeignKey(Drive, models.CASCADE, related_name="share_links", verbose_name=_("drive"))
    file = models.ForeignKey(
        File, models.CASCADE, null=True, blank=True, related_name="share_links", verbose_name=_("file")
    )
    folder = models.ForeignKey(
        Folder, models.CASCADE, null=True, blank=True, related_name="share_links", verbose_name=_("folder")
    )
    creator = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("creator"),
    )
    token_hash = models.CharField("SHA-256", max_length=64, unique=True)
    password = models.CharField(_("password"), max_length=128, blank=True)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    max_downloads = models.PositiveIntegerField(_("most downloads"), null=True, blank=True)
    download_count = models.PositiveIntegerField(_("downloads"), default=0)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)

    objects = ShareLinkQuerySet.as_manager()

    class Meta:
        verbose_name = _("share link")
        verbose_name_plural = _("share links")
        indexes = [models.Index(fields=["drive", "-created_at"], name="drives_share_drive")]
        constraints = [
            models.CheckConstraint(
                condition=Q(file__isnull=False, folder__isnull=True)
                | Q(file__isnull=True, folder__isnull=False),
                name="drives_share_of_one",
            ),
            models.CheckConstraint(
                condition=Q(max_downloads__isnull=True) | Q(download_count__lte=F("max_downloads")),
                name="drives_share_downloads",
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def has_password(self) -> bool:
        return bool(self.password)

    @property
    def downloads_left(self) -> int | None:
        """None where there is no limit."""
        return None if self.max_downloads is None else max(self.max_downloads - self.download_count, 0)
