"""Files that belong to accounts: invoices, evidence."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from common.models import Row


class Document(Row):
    """A file in the storage alias `documents`, written once under a key that nobody can guess. Only served through
    our views.
    """

    name = models.CharField(_("name"), max_length=200)
    content_type = models.CharField(_("kind of file"), max_length=40)
    size = models.PositiveIntegerField(_("size"))
    sha256 = models.CharField("SHA-256", max_length=64)
    storage_key = models.CharField(_("storage key"), max_length=100, unique=True)
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("operator")
    )

    class Meta:
        verbose_name = _("document")
        verbose_name_plural = _("documents")
        constraints = [
            models.CheckConstraint(condition=Q(size__gt=0), name="billing_document_not_empty"),
        ]

    def __str__(self) -> str:
        return self.name
