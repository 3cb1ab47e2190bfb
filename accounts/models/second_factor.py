"""What operators need besides their password."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models.users import User
from common.models import Row


class SecondFactor(Row):
    """A program on a telephone that shows a new code every half minute (TOTP, RFC 6238).

    The secret is encrypted with a key derived from SECRET_KEY; only digests of the recovery codes are kept.
    `last_step` is the half minute of the last accepted code: neither that code nor an earlier one is accepted again.
    Until `confirmed_at` is set nobody is asked for a code.
    """

    user = models.OneToOneField(User, models.CASCADE, related_name="second_factor", verbose_name=_("user"))
    secret = models.CharField(_("secret"), max_length=255)
    confirmed_at = models.DateTimeField(_("confirmed at"), null=True, blank=True)
    last_step = models.PositiveBigIntegerField(_("last half minute"), default=0)
    recovery_hashes = ArrayField(
        models.CharField(max_length=64), verbose_name=_("recovery codes"), default=list
    )

    class Meta:
        verbose_name = _("second factor")
        verbose_name_plural = _("second factors")

    def __str__(self) -> str:
        return str(self.user_id)
