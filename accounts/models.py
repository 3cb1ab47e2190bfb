"""People and their sessions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Upper
from django.utils.translation import gettext_lazy as _

from common.models import Row

USERNAME_PATTERN = r"^[A-Za-z0-9_]{3,50}$"
PHONE_PATTERN = r"^1[3-9][0-9]{9}$"


class UserManager(BaseUserManager["User"]):
    def create_user(self, username: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(username=username, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, username: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(username, password, is_staff=True, is_superuser=True, **fields)


class User(Row, AbstractBaseUser, PermissionsMixin):
    """A person. Phone and e-mail are unique and may be absent; e-mail serves for login only when verified."""

    class MemberLevel(models.IntegerChoices):
        FREE = 0, _("Free")
        BASIC = 1, _("Basic")
        PRO = 2, _("Pro")
        ENTERPRISE = 3, _("Enterprise")

    username = models.CharField(
        _("username"), max_length=50, unique=True, validators=[RegexValidator(USERNAME_PATTERN)]
    )
    phone = models.CharField(
        _("phone"),
        max_length=20,
        unique=True,
        null=True,
        blank=True,
        validators=[RegexValidator(PHONE_PATTERN)],
    )
    email = models.EmailField(_("e-mail"), null=True, blank=True)
    email_verified_at = models.DateTimeField(_("e-mail verified at"), null=True, blank=True)
    avatar = models.CharField(_("avatar"), max_length=255, blank=True)
    member_level = models.PositiveSmallIntegerField(
        _("member level"), choices=MemberLevel.choices, default=MemberLevel.FREE
    )
    is_active = models.BooleanField(_("active"), default=True)
    is_staff = models.BooleanField(_("operator"), default=False)
    last_login = models.DateTimeField(_("last login"), null=True, blank=True)

    objects = UserManager()
    USERNAME_FIELD = "username"

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        constraints = [
            # Otherwise a stranger could take the number somebody else will sign in with.
            models.CheckConstraint(
                condition=~Q(username__regex=r"^\d+$") | Q(phone__isnull=False, username=F("phone")),
                name="accounts_user_digits_are_own_phone",
                violation_error_message=_("A username of digits must be your own phone number."),
            ),
            # In upper case, as `email__iexact` asks for it.
            models.UniqueConstraint(
                Upper("email"),
                name="accounts_user_email",
                violation_error_message=_("This e-mail address is already registered."),
            ),
        ]

    def __str__(self) -> str:
        return self.username

    def clean(self) -> None:
        """Courtesy of the admin's form: empty texts are absent values."""
        self.phone = self.phone or None
        self.email = self.email or None


class SessionQuerySet(models.QuerySet["Session"]):
    def visible_to(self, user: User) -> SessionQuerySet:
        return self.filter(user=user)

    def living(self, now: datetime) -> SessionQuerySet:
        return self.filter(revoked_at__isnull=True, expires_at__gt=now, user__is_active=True)


class Session(Row):
    """A signed-in device. Both tokens carry its id; ending the row ends them at once.

    `refresh_jti` is the only refresh token that rotates; `previous_jti` was rotated at `rotated_at` and gets the
    very same successor for a short grace (parallel tabs). Any other valid token of the session is a stolen one.
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="sessions", verbose_name=_("user"))
    device = models.CharField(_("device"), max_length=255, blank=True)
    ip = models.GenericIPAddressField(_("IP address"), null=True, blank=True)
    refresh_jti = models.UUIDField(_("current refresh token"))
    previous_jti = models.UUIDField(_("previous refresh token"), null=True, blank=True)
    rotated_at = models.DateTimeField(_("tokens issued at"))
    last_seen_at = models.DateTimeField(_("last seen at"))
    expires_at = models.DateTimeField(_("expires at"))
    revoked_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    objects = SessionQuerySet.as_manager()

    class Meta:
        verbose_name = _("session")
        verbose_name_plural = _("sessions")
        indexes = [models.Index(fields=["user", "-created_at"], name="accounts_session_user")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.device[:40]}"


class PhoneCode(Row):
    """A code sent to a phone, kept as a keyed hash. At most one open code per phone and purpose."""

    class Purpose(models.TextChoices):
        REGISTER = "register", _("Registration")
        LOGIN = "login", _("Sign-in")
        RESET_PASSWORD = "reset_password", _("Password reset")
        BIND_PHONE = "bind_phone", _("Phone binding")

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
        return f"{self.phone} {self.purpose}"
