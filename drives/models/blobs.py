"""Content, stored once."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from common.models import Row


class Blob(Row):
    """Immutable content, stored once. References are counted by query; an unreferenced blob is swept after a while.

    `sha256` is null until we have verified the content; only verified blobs are shared. `unreferenced_at` is when
    garbage collection first found that nothing points to the blob.
    """

    size = models.PositiveBigIntegerField(_("size"))
    sha256 = models.CharField("SHA-256", max_length=64, null=True, blank=True)  # null: not verified
    md5 = models.CharField("MD5", max_length=32, blank=True, db_index=True)
    crc32 = models.BigIntegerField("CRC-32", null=True, blank=True)
    storage_key = models.CharField(_("storage key"), max_length=255, unique=True)
    verified_at = models.DateTimeField(_("verified at"), null=True, blank=True)
    unreferenced_at = models.DateTimeField(_("unreferenced since"), null=True, blank=True)

    class Meta:
        verbose_name = _("blob")
        verbose_name_plural = _("blobs")
        indexes = [
            models.Index(
                fields=["unreferenced_at"],
                condition=Q(unreferenced_at__isnull=False),
                name="drives_blob_unreferenced",
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["sha256"], name="drives_blob_sha256"),
            models.CheckConstraint(
                condition=Q(sha256__isnull=True, verified_at__isnull=True)
                | Q(sha256__isnull=False, verified_at__isnull=False),
                name="drives_blob_verified_has_sha256",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.sha256 or self.storage_key} ({self.size})"
