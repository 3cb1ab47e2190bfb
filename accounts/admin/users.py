"""The operators' view of people and their sessions."""

import functools
from collections.abc import Callable
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import QuerySet
from django.forms import ModelForm, ModelMultipleChoiceField
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.enums import ActionVariant
from unfold.forms import AdminPasswordChangeForm, BaseDialogForm, UserCreationForm
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from accounts.errors import Busy
from accounts.models import AuditEvent, PhoneCode, Session, User
from accounts.permissions import CHANGE_STAFF, StaffGroup, reach_of
from accounts.services import avatars, blocking, levels, lockout, passwords, second_factor
from accounts.services.notifications import notify
from accounts.services.registration import save_new_user
from accounts.services.sessions import End, end_sessions
from accounts.services.standing import obstacles
from common.admin import AuditedAdmin, ReadOnlyAdmin, ReadOnlyInline
from common.deeds import ReasonForm, deed

admin.site.unregister(Group)
DANGER = ActionVariant.DANGER


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
    """A changed password ends the sessions that used the old one. `user.changed_by` is the operator."""

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


def name_of(group: Group) -> str:
    """That of the platform's own groups in the operator's language."""
    return str(dict(StaffGroup.choices).get(group.name, group.name))


class GroupsField(ModelMultipleChoiceField):
    widget = UnfoldAdminCheckboxSelectMultipleWidget

    def label_from_instance(self, group: Group) -> str:
        return name_of(group)


class GroupsFilter(admin.RelatedFieldListFilter):
    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[Any]:
        return [(str(group.pk), name_of(group)) for group in Group.objects.order_by("name")]


class RightsAdmin(AuditedAdmin):
    """A page with a field for groups or permissions."""

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.related_model is Permission:
            kwargs["form_class"] = RightsField
        if db_field.related_model is Group:
            kwargs |= {"form_class": GroupsField, "widget": GroupsField.widget}
        return super().formfield_for_manytomany(db_field, request, **kwargs)


class SessionInline(ReadOnlyInline):
    model = Session
    fields = ("device", "ip", "created_at", "last_seen_at", "expires_at", "revoked_at")
    readonly_fields = fields
    ordering = ("-created_at",)
    per_page = 10
    tab = True


class SecurityLogInline(ReadOnlyInline):
    """Events of the account, for operators who may see its sessions. What operators did is in the audit log."""

    model = AuditEvent
    fk_name = "user"
    fields = readonly_fields = ("created_at", "shown_action", "ip", "device")
    ordering = ("-created_at",)
    per_page = 10
    tab = True
    verbose_name_plural = _("security log")

    @admin.display(description=_("action"))
    def shown_action(self, event: AuditEvent) -> str:
        return event.get_action_display()

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return acting(request).has_perm("accounts.view_session")


class LevelForm(ReasonForm):
    level = forms.ChoiceField(
        label=_("member level"), choices=User.MemberLevel.choices, widget=UnfoldAdminSelectWidget
    )
    field_order = ("level", "reason")


class MessageForm(BaseDialogForm):
    title = forms.CharField(label=_("title"), max_length=200, widget=UnfoldAdminTextInputWidget)
    message = forms.CharField(
        label=_("message"), max_length=1000, required=False, widget=UnfoldAdminTextareaWidget
    )


@admin.register(User)
class UserAdmin(DjangoUserAdmin, RightsAdmin):
    form = ModelForm
    add_form = UserCreationForm
    change_password_form = PasswordForm
    list_display = (
        "username", "phone", "email", "member_level", "is_active", "created_at", "last_login",
    )  # fmt: skip
    list_filter = ("is_active", "is_staff", "member_level", "is_guest", ("groups", GroupsFilter))
    search_fields = ("username",)
    search_help_text = _("Name, phone, e-mail, WeChat or id")
    sortable_by = ("created_at",)
    ordering = ("-created_at", "-pk")
    readonly_fields = ("id", "avatar", "wechat", "ways_in", "created_at", "updated_at", "last_login")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "id",
                    "username",
                    "phone",
                    "email",
                    "email_verified_at",
                    "wechat",
                    "avatar",
                    "member_level",
                    "ways_in",
                )
            },
        ),
        (_("Rights"), {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        (_("Times"), {"fields": ("created_at", "updated_at", "last_login")}),
    )
    add_fieldsets = ((None, {"fields": ("username", "phone", "password1", "password2")}),)
    filter_horizontal = ("user_permissions",)
    inlines = (SessionInline, SecurityLogInline)
    actions = (
        "block", "unblock", "end_sessions", "lift_locks", "change_level", "send_notification", "remove_avatars",
    )  # fmt: skip
    actions_detail = (
        "send_notification",
        "change_level",
        {
            "title": _("Access"),
            "icon": "shield_person",
            "items": [
                "lift_locks", "end_sessions", "block", "unblock", "remove_avatars", "remove_second_factor",
            ],
        },
    )  # fmt: skip

    def history_query(self, object_id: str) -> dict[str, str]:
        return {"user__id__exact": object_id}

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

    def has_block_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return acting(request).has_perm("accounts.block_user")

    def has_sign_out_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return acting(request).has_perm("accounts.sign_out_user")

    def has_level_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return acting(request).has_perm("accounts.change_level")

    def has_notify_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return acting(request).has_perm("accounts.notify_user")

    def has_staff_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return acting(request).has_perm(CHANGE_STAFF)

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
            levels.tell_level(obj)
        if "is_active" in form.changed_data:
            act = blocking.unblock if obj.is_active else blocking.block
            act(User.objects.filter(pk=obj.pk), actor=acting(request))

    @admin.display(description=_("WeChat"))
    def wechat(self, user: User) -> str:
        return ", ".join(str(account) for account in user.social_accounts.all())

    @admin.display(description=_("signing in"))
    def ways_in(self, user: User) -> str:
        """What an operator is asked on the telephone: why does it not let me in?"""
        return format_html_join(mark_safe("<br>"), "{}", ([fact] for fact in obstacles(user)))

    def below(self, request: HttpRequest, chosen: QuerySet[User]) -> QuerySet[User]:
        """Those of `chosen` whom the operator may act on."""
        return chosen.filter(**reach_of(acting(request)))

    @deed(
        description=_("Block and sign out"),
        permission="block",
        form=ReasonForm,
        icon="block",
        variant=DANGER,
        fits=lambda user: user.is_active,
    )
    def block(self, request: HttpRequest, rows: QuerySet[User], given: dict[str, Any]) -> None:
        others = self.below(request, rows).exclude(pk=acting(request).pk)
        blocked = blocking.block(others, actor=acting(request))
        messages.success(
            request,
            ngettext("%(count)s user blocked.", "%(count)s users blocked.", blocked) % {"count": blocked},
        )

    @deed(
        description=_("Unblock"),
        permission="block",
        form=ReasonForm,
        icon="lock_open",
        fits=lambda user: not user.is_active,
    )
    def unblock(self, request: HttpRequest, rows: QuerySet[User], given: dict[str, Any]) -> None:
        unblocked = blocking.unblock(self.below(request, rows), actor=acting(request))
        messages.success(
            request,
            ngettext("%(count)s user unblocked.", "%(count)s users unblocked.", unblocked)
            % {"count": unblocked},
        )

    @deed(description=_("End all sessions"), permission="sign_out", form=ReasonForm, icon="logout")
    def end_sessions(self, request: HttpRequest, rows: QuerySet[User], given: dict[str, Any]) -> None:
        chosen = Session.objects.filter(user__in=self.below(request, rows))
        ended = end_sessions(chosen, reason=End.OPERATOR, actor=acting(request))
        messages.success(
            request,
            ngettext("%(count)s session ended.", "%(count)s sessions ended.", ended) % {"count": ended},
        )

    @deed(
        description=_("Unlock sign-in"),
        permission="sign_out",
        form=ReasonForm,
        icon="key",
        text=_("Forgets the wrong passwords of today, so that the user can try again at once."),
    )
    def lift_locks(self, request: HttpRequest, rows: QuerySet[User], given: dict[str, Any]) -> None:
        lifted = sum(lockout.lift_all(user, actor=acting(request)) for user in self.below(request, rows))
        messages.success(
            request,
            ngettext("%(count)s address unlocked.", "%(count)s addresses unlocked.", lifted)
            % {"count": lifted},
        )

    @deed(description=_("Change the level"), permission="level", form=LevelForm, icon="military_tech")
    def change_level(self, request: HttpRequest, rows: QuerySet[User], given: dict[str, Any]) -> None:
        changed = levels.change_level(self.below(request, rows), level=int(given["level"]))
        messages.success(
            request,
            ngettext("%(count)s user changed.", "%(count)s users changed.", changed) % {"count": changed},
        )

    @deed(description=_("Send a notification"), permission="notify", form=MessageForm, icon="chat")
    def send_notification(self, request: HttpRequest, rows: QuerySet[User], given: dict[str, Any]) -> None:
        for user in rows:
            notify(user=user, title=given["title"], message=given["message"])
        messages.success(
            request,
            ngettext("%(count)s user notified.", "%(count)s users notified.", len(rows))
            % {"count": len(rows)},
        )

    @deed(
        description=_("Take the pictures away"),
        permission="block",
        form=ReasonForm,
        icon="hide_image",
        fits=lambda user: bool(user.avatar),
    )
    def remove_avatars(self, request: HttpRequest, rows: QuerySet[User], given: dict[str, Any]) -> None:
        chosen = self.below(request, rows).exclude(avatar="")
        for user in chosen:
            avatars.remove_avatar(user=user, actor=acting(request))
        messages.success(
            request,
            ngettext("%(count)s picture taken away.", "%(count)s pictures taken away.", len(chosen))
            % {"count": len(chosen)},
        )

    @deed(
        description=_("Remove the second factor"),
        permission="staff",
        form=ReasonForm,
        icon="phonelink_erase",
        text=_("For an operator who has lost the telephone and the recovery codes. Make sure who it is."),
        variant=DANGER,
        fits=second_factor.confirmed_factor,
    )
    def remove_second_factor(self, request: HttpRequest, rows: QuerySet[User], given: dict[str, Any]) -> None:
        chosen = self.below(request, rows).exclude(pk=acting(request).pk)
        removed = sum(second_factor.remove(user=user, actor=acting(request)) for user in chosen)
        messages.success(
            request,
            ngettext("%(count)s second factor removed.", "%(count)s second factors removed.", removed)
            % {"count": removed},
        )


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, RightsAdmin):
    """The rights of the groups named in STAFF_GROUPS are set anew at each `migrate`."""

    list_display = ("name", "shown_name")

    @admin.display(description=_("staff group"))
    def shown_name(self, group: Group) -> str:
        return name_of(group)


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin):
    list_display = ("user", "device", "ip", "created_at", "last_seen_at", "expires_at", "revoked_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    list_select_related = ("user",)
    sortable_by = ("created_at",)
    search_fields = ("=ip", "user__username")
    ordering = ("-created_at", "-pk")
    exclude = ("refresh_jti", "previous_jti")


@admin.register(PhoneCode)
class PhoneCodeAdmin(ReadOnlyAdmin):
    """Whether and when a code was sent and used; the code itself is known to nobody."""

    list_display = ("phone", "purpose", "guesses", "created_at", "expires_at", "consumed_at")
    list_filter = ("purpose", ("consumed_at", admin.EmptyFieldListFilter))
    search_fields = ("phone",)
    ordering = ("-created_at", "-pk")
    exclude = ("code_hash",)
