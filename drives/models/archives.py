"""What was asked for as one ZIP."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from common.models import Row
from drives.models.drives import Drive
from drives.models.shares import ShareLink


class Archive(Row):
    """Files and folders behind a link to a ZIP, which is made as it is read; kept as long as the link is good.

    Where a `share` gave it out it ends with that. `etag` is that of the ZIP when the link was made: what has changed
    since is not mixed with what a client has got. `drive` is the one that it is all from; null for several.
    """

    entry_ids = ArrayField(models.UUIDField(), verbose_name=_("files and folders"))
    etag = models.CharField("ETag", max_length=64)
    expires_at = models.DateTimeField(_("expires at"))
    drive = models.ForeignKey(
        Drive, models.CASCADE, null=True, blank=True, related_name="+", verbose_name=_("drive")
    )
    share = models.ForeignKey(
        ShareLink,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="archives",
        verbose_name=_("share link"),
    )

    class Meta:
        verbose_name = _("archive")
        verbose_name_plural = _("archives")
        indexes = [models.Index(fields=["expires_at"], name="drives_archive_expiry")]

    def __str__(self) -> str:
        return str(self.pk)
