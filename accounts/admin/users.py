"""The operators' view of people and their sessions."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserCreationForm

from accounts.models import PhoneCode, Session, User
from accounts.services import blocking, sessions
from accounts.signals import user_registered
from common.admin import ReadOnlyAdmin, ReadOnlyInline

admin.site.unregister(Group)


class PasswordForm(AdminPasswordChangeForm):
    """A changed password ends what was signed in with the old one."""

    def save(self, commit: bool = True) -> User:
        with transaction.atomic():
            user: User = super().save(commit)
            sessions.end_sessions(user.sessions.all())
        return user


class SessionInline(ReadOnlyInline):
    model = Session
    fields = ("device", "ip", "created_at", "last_seen_at", "expires_at", "revoked_at")
    readonly_fields = fields
    ordering = ("-created_at",)
    per_page = 10
    tab = True


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):
    form = ModelForm
    add_form = UserCreationForm
    change_password_form = PasswordForm
    list_display = (
        "username", "phone", "email", "member_level", "is_active", "is_staff", "created_at", "last_login",
    )  # fmt: skip
    list_filter = ("is_active", "is_staff", "member_level", "groups")
    search_fields = ("username", "phone", "email", "id")
    ordering = ("-created_at", "-pk")
    readonly_fields = ("id", "created_at", "updated_at", "last_login")
    fieldsets = (
        (
            None,
            {"fields": ("id", "username", "phone", "email", "email_verified_at", "avatar", "member_level")},
        ),
        (_("Rights"), {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        (_("Times"), {"fields": ("created_at", "updated_at", "last_login")}),
    )
    add_fieldsets = ((None, {"fields": ("username", "phone", "password1", "password2")}),)
    inlines = (SessionInline,)
    actions = ("block", "unblock", "end_sessions")

    def get_inlines(self, request: HttpRequest, obj: User | None) -> Any:
        return self.inlines if obj else ()

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Rights are given by superusers alone; an operator could otherwise make themselves one."""
        if request.user.is_superuser:
            return self.readonly_fields
        return (*self.readonly_fields, "is_staff", "is_superuser", "groups", "user_permissions")

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        if obj is not None and obj.is_superuser and not request.user.is_superuser:
            return False
        return bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """A user's money has a history; a user who must go is blocked."""
        return False

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if not change:
            user_registered.send(sender=User, user=obj)
        if not obj.is_active:
            sessions.end_sessions(obj.sessions.all())

    def below(self, request: HttpRequest, chosen: QuerySet[User]) -> QuerySet[User]:
        """Those of `chosen` whom the operator may act on."""
        return chosen if request.user.is_superuser else chosen.filter(is_superuser=False)

    @admin.action(description=_("Block and sign out"), permissions=["change"])
    def block(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        blocked = blocking.block(self.below(request, queryset).exclude(username=request.user.get_username()))
        messages.success(request, _("%(count)s users blocked.") % {"count": blocked})

    @admin.action(description=_("Unblock"), permissions=["change"])
    def unblock(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        unblocked = blocking.unblock(self.below(request, queryset))
        messages.success(request, _("%(count)s users unblocked.") % {"count": unblocked})

    @admin.action(description=_("End all sessions"), permissions=["change"])
    def end_sessions(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        ended = sessions.end_sessions(Session.objects.filter(user__in=self.below(request, queryset)))
        messages.success(request, _("%(count)s sessions ended.") % {"count": ended})


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    pass


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin):
    list_display = ("user", "device", "ip", "created_at", "last_seen_at", "expires_at", "revoked_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    list_select_related = ("user",)
    search_fields = ("user__username", "user__phone", "ip", "device")
    ordering = ("-created_at", "-pk")
    date_hierarchy = "created_at"
    exclude = ("refresh_jti", "previous_jti")


@admin.register(PhoneCode)
class PhoneCodeAdmin(ReadOnlyAdmin):
    """Whether and when a code was sent and used; the code itself is known to nobody."""

    list_display = ("phone", "purpose", "guesses", "created_at", "expires_at", "consumed_at")
    list_filter = ("purpose", ("consumed_at", admin.EmptyFieldListFilter))
    search_fields = ("phone",)
    ordering = ("-created_at", "-pk")
    exclude = ("code_hash",)
