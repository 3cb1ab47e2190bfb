"""Other ways to sign in: WeChat and devices; also the second factor of operators."""

from django.contrib import admin

from accounts.models import AppPassword, Device, SecondFactor, SocialAccount, WechatLoginSession
from common.admin import ReadOnlyAdmin


@admin.register(SocialAccount)
class SocialAccountAdmin(ReadOnlyAdmin):
    list_display = ("user", "provider", "nickname", "appid", "created_at")
    list_filter = ("provider",)
    list_select_related = ("user",)
    search_fields = ("nickname", "=openid", "=unionid", "user__username")
    ordering = ("-created_at", "-pk")


@admin.register(WechatLoginSession)
class WechatLoginSessionAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "status", "user", "nickname", "ip", "device_type", "expires_at")
    list_filter = ("status",)
    list_select_related = ("user",)
    search_fields = ("nickname", "=ip", "user__username")
    ordering = ("-created_at", "-pk")


@admin.register(Device)
class DeviceAdmin(ReadOnlyAdmin):
    list_display = ("user", "name", "device_id", "created_at", "last_seen_at", "revoked_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    list_select_related = ("user",)
    search_fields = ("=device_id", "name", "user__username")
    ordering = ("-created_at", "-pk")


@admin.register(AppPassword)
class AppPasswordAdmin(ReadOnlyAdmin):
    list_display = ("user", "name", "created_at", "last_used_at", "revoked_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    list_select_related = ("user",)
    search_fields = ("name", "user__username")
    ordering = ("-created_at", "-pk")


@admin.register(SecondFactor)
class SecondFactorAdmin(ReadOnlyAdmin):
    """Who has one. It is removed on the page of the user."""

    list_display = ("user", "created_at", "confirmed_at")
    list_select_related = ("user",)
    search_fields = ("user__username",)
    ordering = ("-created_at", "-pk")
    fields = ("user", "created_at", "confirmed_at")
