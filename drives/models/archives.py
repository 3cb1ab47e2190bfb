"""Files and folders that were asked for as one ZIP."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from common.models import Row
from drives.models.drives import Drive
from drives.models.shares import ShareLink


class Archive(Row):
    """The files and folders behind a link to a ZIP, which is generated while it is read; kept as long as the link is
    valid.

    An archive given out by a `share` ends with that. `etag` is that of the ZIP when the link was made, so that a
    download is never continued with other content. `drive` is the one that all of it comes from; null for several.
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
