"""Codes that prove who holds a phone."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from common.models import Row


class PhoneCode(Row):
    """A code sent to a phone, kept as a keyed hash. At most one open code per phone and purpose."""

    class Purpose(models.TextChoices):
        REGISTER = "register", _("Registration")
        LOGIN = "login", _("Sign-in")
        RESET_PASSWORD = "reset_password", _("Password reset")
        BIND_PHONE = "bind_phone", _("Phone binding")
        DELETE_ACCOUNT = "delete_account", _("Account deletion")

    phone = models.CharField(_("phone"), max_length=20)
    purpose = models.CharField(_("purpose"), max_length=20, choices=Purpose.choices)
    code_hash = models.CharField(max_length=64, editable=False)
    guesses = models.PositiveSmallIntegerField(_("guesses"), default=0)
    expires_at = models.DateTimeField(_("expires at"))
    consumed_at = models.DateTimeField(_("used at"), null=True, blank=True)

    class Meta:
        verbose_name = _("phone code")
        verbose_name_plural = _("phone codes")
        constraints = [
            models.UniqueConstraint(
                fields=["phone", "purpose"],
                condition=Q(consumed_at__isnull=True),
                name="accounts_phonecode_one_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.phone} {self.get_purpose_display()}"
