"""Signing in by WeChat: who is known there, and the sign-ins under way."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models.users import User
from common.models import Row, StateRow


class SocialAccount(Row):
    """A user as an outside provider knows them: `openid` per appid, `unionid` the same in all apps of one owner."""

    class Provider(models.TextChoices):
        WECHAT = "wechat", _("WeChat")

    user = models.ForeignKey(User, models.CASCADE, related_name="social_accounts", verbose_name=_("user"))
    provider = models.CharField(_("provider"), max_length=20, choices=Provider.choices)
    appid = models.CharField("appid", max_length=64)
    openid = models.CharField("openid", max_length=128)
    unionid = models.CharField("unionid", max_length=128, blank=True)
    nickname = models.CharField(_("nickname"), max_length=100, blank=True)
    avatar_url = models.CharField(_("avatar"), max_length=512, blank=True)

    class Meta:
        verbose_name = _("social account")
        verbose_name_plural = _("social accounts")
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "appid", "openid"], name="accounts_socialaccount_openid"
            ),
            # One person of a provider per user and app, and a user is one person there.
            models.UniqueConstraint(fields=["user", "provider", "appid"], name="accounts_socialaccount_user"),
        ]
        indexes = [
            models.Index(
                fields=["provider", "unionid"], condition=~Q(unionid=""), name="accounts_social_unionid"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.nickname or self.openid[:8]}"

    @property
    def masked_openid(self) -> str:
        """Enough to see that there is one."""
        return f"{self.openid[:4]}****{self.openid[-4:]}"


class WechatLoginSession(StateRow):
    """One attempt to sign in by QR code, good for WECHAT_LOGIN_SECONDS until the scan, and as long after it.

    The poll id is the secret of the asking browser and is kept hashed; the QR code carries `state`, another secret,
    good for one callback. Whoever polls first after the confirmation gets the tokens, once.

        PENDING ──> CONFIRMED (a user's WeChat) ────────────── the first poll ──> COLLECTED
           └──────> SCANNED (nobody's yet) ── a phone bound or an account linked ──> COLLECTED
        All but COLLECTED ──> EXPIRED
    """

    class Status(models.TextChoices):
        PENDING = "pending", _("Waiting for a scan")
        SCANNED = "scanned", _("Waiting for a phone")
        CONFIRMED = "confirmed", _("Confirmed")
        COLLECTED = "collected", _("Signed in")
        EXPIRED = "expired", _("Expired")

    FINAL_STATUSES = {Status.COLLECTED, Status.EXPIRED}
    TRANSITIONS = {
        Status.PENDING: {Status.SCANNED, Status.CONFIRMED, Status.EXPIRED},
        Status.SCANNED: {Status.COLLECTED, Status.EXPIRED},
        Status.CONFIRMED: {Status.COLLECTED, Status.EXPIRED},
        Status.COLLECTED: set(),
        Status.EXPIRED: set(),
    }

    status = models.CharField(_("status"), max_length=20, choices=Status.choices, default=Status.PENDING)
    poll_hash = models.CharField(max_length=64, unique=True, editable=False)
    state_hash = models.CharField(max_length=64, unique=True, editable=False)
    state_used_at = models.DateTimeField(_("code used at"), null=True, blank=True)
    browser_hash = models.CharField(max_length=64, blank=True, editable=False)
    device_type = models.CharField(_("device type"), max_length=20, blank=True)
    device = models.CharField(_("device"), max_length=255, blank=True)
    ip = models.GenericIPAddressField(_("IP address"), null=True, blank=True)
    user = models.ForeignKey(User, models.CASCADE, null=True, blank=True, verbose_name=_("user"))
    appid = models.CharField("appid", max_length=64)
    openid = models.CharField("openid", max_length=128, blank=True)
    unionid = models.CharField("unionid", max_length=128, blank=True)
    nickname = models.CharField(_("nickname"), max_length=100, blank=True)
    avatar_url = models.CharField(_("avatar"), max_length=512, blank=True)
    expires_at = models.DateTimeField(_("expires at"))
    confirmed_at = models.DateTimeField(_("confirmed at"), null=True, blank=True)

    class Meta:
        verbose_name = _("WeChat sign-in")
        verbose_name_plural = _("WeChat sign-ins")
        indexes = [models.Index(fields=["expires_at"], name="accounts_wechat_expires")]

    def __str__(self) -> str:
        return f"{self.created_at:%Y-%m-%d %H:%M} {self.status}"
