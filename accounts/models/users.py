"""People."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models, transaction
from django.db.models import F, Q
from django.db.models.functions import Upper
from django.dispatch import Signal
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from common.ids import as_uuid
from common.models import Row

DELETED = _("This account was deleted; it cannot be used again.")
USERNAME_PATTERN = r"^[A-Za-z0-9_]{3,50}$"
PHONE_PATTERN = r"^1[3-9][0-9]{9}$"


users_updated = Signal()
"""Sent with the `ids` of users that a queryset's update() changes, inside its transaction, for those who cache users:
update() calls no save() and so sends no other signal.
"""


class UserQuerySet(models.QuerySet["User"]):
    def matching(self, term: str) -> UserQuerySet:
        """Users whose name, e-mail, phone or id, or whose WeChat, is like `term`."""
        if user_id := as_uuid(term):
            return self.filter(pk=user_id)
        from accounts.models.wechat import SocialAccount  # stands on the users

        wechat = Q(nickname__icontains=term) | Q(openid=term) | Q(unionid=term)
        found = Q(username__icontains=term) | Q(pk__in=SocialAccount.objects.filter(wechat).values("user"))
        if term.isdigit():
            found |= Q(phone__contains=term)
        else:
            found |= Q(email__icontains=term)
        return self.filter(found)

    def update(self, **changes: Any) -> int:
        """Like Django's; tells `users_updated`."""
        with transaction.atomic(using=self.db, savepoint=False):
            # The lock that the UPDATE takes itself: rows that point to the user can be added meanwhile.
            rows = self.select_for_update(of=("self",), no_key=True).order_by("pk")
            ids = list(rows.values_list("pk", flat=True))
            changed = super().update(**changes)
            users_updated.send(sender=User, ids=ids)
        return changed


class UserManager(BaseUserManager.from_queryset(UserQuerySet)):  # type: ignore[misc]
    def create_user(self, username: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(username=username, **fields)
        user.set_password(password)
        with transaction.atomic(using=self.db):  # with what every user has: accounts.receivers
            user.save(using=self.db)
        return user

    def create_superuser(self, username: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(username, password, is_staff=True, is_superuser=True, **fields)


def masked(phone: str | None) -> str:
    return f"{phone[:3]}****{phone[-4:]}" if phone else ""


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
    avatar = models.ImageField(_("avatar"), upload_to="avatars/", max_length=255, blank=True)
    member_level = models.PositiveSmallIntegerField(
        _("member level"), choices=MemberLevel.choices, default=MemberLevel.FREE
    )
    is_active = models.BooleanField(_("active"), default=True)
    is_staff = models.BooleanField(_("operator"), default=False)
    is_guest = models.BooleanField(
        _("guest"),
        default=False,
        help_text=_(
            "Signed in by a device alone: may look and upload, nothing else, until a phone is bound."
        ),
    )
    deletion_due_at = models.DateTimeField(_("to be deleted at"), null=True, blank=True)
    deleted_at = models.DateTimeField(_("deleted at"), null=True, blank=True)
    last_login = models.DateTimeField(_("last login"), null=True, blank=True)

    objects = UserManager()
    USERNAME_FIELD = "username"

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        permissions = [
            ("block_user", gettext_noop("Can block and unblock users")),
            ("sign_out_user", gettext_noop("Can end the sessions of users")),
            ("change_staff", gettext_noop("Can change operators and their rights")),
            ("change_level", gettext_noop("Can change the level of users")),
            ("notify_user", gettext_noop("Can send notifications to users")),
            ("export_lists", gettext_noop("Can export lists")),
        ]
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
            models.CheckConstraint(
                condition=Q(deleted_at__isnull=True)
                | Q(is_active=False, phone__isnull=True, email__isnull=True),
                name="accounts_user_deleted_is_nobody",
                violation_error_message=DELETED,
            ),
        ]
        indexes = [
            models.Index(
                fields=["deletion_due_at"],
                condition=Q(deletion_due_at__isnull=False, deleted_at__isnull=True),
                name="accounts_user_deletion_due",
            ),
        ]

    def __str__(self) -> str:
        return self.username

    @property
    def masked_phone(self) -> str:
        """`13912345678` as `139****5678`: enough to recognise a number that one knows."""
        return masked(self.phone)

    @property
    def public_name(self) -> str:
        """The username as others see it; one of digits is the user's phone."""
        return masked(self.username) if self.username.isdigit() else self.username

    def clean(self) -> None:
        """Courtesy of the admin's form: empty texts are absent values, and who was deleted is told to be."""
        self.phone = self.phone or None
        self.email = self.email or None
        if self.deleted_at and (self.is_active or self.phone or self.email):
            raise ValidationError(DELETED)
