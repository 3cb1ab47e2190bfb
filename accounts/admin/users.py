"""The operators' view of people and their sessions."""

import functools
from collections.abc import Callable
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import QuerySet
from django.forms import ModelForm, ModelMultipleChoiceField
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.forms import AdminPasswordChangeForm, UserCreationForm

from accounts.errors import Busy
from accounts.models import PhoneCode, Session, User
from accounts.permissions import CHANGE_STAFF, StaffGroup, reach_of
from accounts.services import avatars, blocking, passwords
from accounts.services.registration import save_new_user
from accounts.services.sessions import End, end_sessions
from accounts.signals import level_changed
from common.admin import AuditedAdmin, ReadOnlyAdmin, ReadOnlyInline

admin.site.unregister(Group)


def acting(request: HttpRequest) -> User:
    return cast(User, request.user)


def patiently(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A page that computes a hash: where too many do at this moment, the operator is told to try again."""

    @functools.wraps(view)
    def shown(page: "UserAdmin", request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(page, request, *args, **kwargs)
        except Busy as busy:
            messages.error(request, str(busy))
            return redirect(request.get_full_path())

    return shown


class PasswordForm(AdminPasswordChangeForm):
    """A changed password ends what was signed in with the old one. `user.changed_by` is the operator."""

    def save(self, commit: bool = True) -> User:
        with transaction.atomic():
            user: User = super().save(commit)
            passwords.note_change(user, actor=self.user.changed_by)
        return user


class RightsField(ModelMultipleChoiceField):
    """Permissions in the operator's language; Django stores their names in English."""

    VERBS = {"add": _("Can add"), "change": _("Can change"), "delete": _("Can delete"), "view": _("Can view")}

    def label_from_instance(self, right: Permission) -> str:
        verb, _of, model = right.codename.partition("_")
        common = model == right.content_type.model and self.VERBS.get(verb)
        return f"{right.content_type} | {common or gettext(right.name)}"


class RightsAdmin(AuditedAdmin):
    """A page on which permissions are chosen."""

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.related_model is Permission:
            kwargs["form_class"] = RightsField
        return super().formfield_for_manytomany(db_field, request, **kwargs)


class SessionInline(ReadOnlyInline):
    model = Session
    fields = ("device", "ip", "created_at", "last_seen_at", "expires_at", "revoked_at")
    readonly_fields = fields
    ordering = ("-created_at",)
    per_page = 10
    tab = True


@admin.register(User)
class UserAdmin(DjangoUserAdmin, RightsAdmin):
    form = ModelForm
    add_form = UserCreationForm
    change_password_form = PasswordForm
    list_display = (
        "username", "phone", "email", "member_level", "is_active", "is_staff", "created_at", "last_login",
    )  # fmt: skip
    list_filter = ("is_active", "is_staff", "member_level", "groups")
    search_fields = ("username", "phone", "email", "id")
    ordering = ("-created_at", "-pk")
    readonly_fields = ("id", "avatar", "created_at", "updated_at", "last_login")
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
    actions = ("block", "unblock", "end_sessions", "remove_avatars")

    def get_inlines(self, request: HttpRequest, obj: User | None) -> Any:
        return self.inlines if obj else ()

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Rights are given by those alone who have the right to; an operator could otherwise take them."""
        if request.user.is_superuser:
            return self.readonly_fields
        if acting(request).has_perm(CHANGE_STAFF):
            return (*self.readonly_fields, "is_superuser")
        return (*self.readonly_fields, "is_staff", "is_superuser", "groups", "user_permissions")

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        reach = reach_of(acting(request)) if obj else {}
        within = all(getattr(obj, column) == value for column, value in reach.items())
        return within and bool(super().has_change_permission(request, obj))

    def has_block_permission(self, request: HttpRequest) -> bool:
        return acting(request).has_perm("accounts.block_user")

    def has_sign_out_permission(self, request: HttpRequest) -> bool:
        return acting(request).has_perm("accounts.sign_out_user")

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """A user's money has a history; a user who must go is blocked."""
        return False

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> User | None:
        user: User | None = super().get_object(request, object_id, from_field)
        if user is not None:
            vars(user)["changed_by"] = request.user  # for PasswordForm, which knows no request
        return user

    @patiently
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        return super().add_view(request, form_url, extra_context)

    @patiently
    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        return super().user_change_password(request, id, form_url)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if not change:
            save_new_user(user=obj, actor=acting(request))
            return
        # What the form did not touch may have changed since it was loaded, a password above all; blocking is a service.
        columns = {field.name for field in obj._meta.concrete_fields} - {"is_active"}
        obj.save(update_fields=[*columns.intersection(form.changed_data), "updated_at"])
        if "member_level" in form.changed_data:
            level_changed.send(sender=User, user=obj)
        if "is_active" in form.changed_data:
            act = blocking.unblock if obj.is_active else blocking.block
            act(User.objects.filter(pk=obj.pk), actor=acting(request))

    def below(self, request: HttpRequest, chosen: QuerySet[User]) -> QuerySet[User]:
        """Those of `chosen` whom the operator may act on."""
        return chosen.filter(**reach_of(acting(request)))

    @admin.action(description=_("Block and sign out"), permissions=["block"])
    def block(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        others = self.below(request, queryset).exclude(pk=acting(request).pk)
        blocked = blocking.block(others, actor=acting(request))
        messages.success(request, _("%(count)s users blocked.") % {"count": blocked})

    @admin.action(description=_("Unblock"), permissions=["block"])
    def unblock(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        unblocked = blocking.unblock(self.below(request, queryset), actor=acting(request))
        messages.success(request, _("%(count)s users unblocked.") % {"count": unblocked})

    @admin.action(description=_("End all sessions"), permissions=["sign_out"])
    def end_sessions(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        chosen = Session.objects.filter(user__in=self.below(request, queryset))
        ended = end_sessions(chosen, reason=End.OPERATOR, actor=acting(request))
        messages.success(request, _("%(count)s sessions ended.") % {"count": ended})

    @admin.action(description=_("Take the pictures away"), permissions=["block"])
    def remove_avatars(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        chosen = self.below(request, queryset).exclude(avatar="")
        for user in chosen:
            avatars.remove_avatar(user=user, actor=acting(request))
        messages.success(request, _("%(count)s pictures taken away.") % {"count": len(chosen)})


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, RightsAdmin):
    """The rights of the groups named in STAFF_GROUPS are set anew at each `migrate`."""

    list_display = ("name", "shown_name")

    @admin.display(description=_("staff group"))
    def shown_name(self, group: Group) -> str:
        return str(dict(StaffGroup.choices).get(group.name, ""))


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
