"""Small pictures of files' contents."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from common.models import Row
from drives.models.blobs import Blob


class BlobPreview(Row):
    """A small picture of a content, made when somebody asks for it, once for each size.

    making ──► ready | broken | unsupported

    `due_at` is when a preview that is still being made counts as forgotten. `size` is the most pixels its longer side
    has. `result` is null, too, where the content is its own preview; it falls out of use with the row, and so with
    the content that it shows.
    """

    class State(models.TextChoices):
        MAKING = "making", _("Being made")
        READY = "ready", _("Ready")
        BROKEN = "broken", _("Broken")
        UNSUPPORTED = "unsupported", _("Not supported")

    SIZES = (160, 480, 1600)

    blob = models.ForeignKey(Blob, models.CASCADE, related_name="previews", verbose_name=_("blob"))
    size = models.PositiveSmallIntegerField(_("size"))
    state = models.CharField(_("state"), max_length=11, choices=State.choices, default=State.MAKING)
    due_at = models.DateTimeField(_("due at"))
    result = models.ForeignKey(
        Blob, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("result")
    )

    class Meta:
        verbose_name = _("preview")
        verbose_name_plural = _("previews")
        constraints = [
            models.UniqueConstraint(fields=["blob", "size"], name="drives_blobpreview_once"),
            models.CheckConstraint(condition=Q(size__in=(160, 480, 1600)), name="drives_blobpreview_size"),
            models.CheckConstraint(
                condition=Q(state="ready") | Q(result__isnull=True), name="drives_blobpreview_result"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.blob_id} {self.size}: {self.state}"
