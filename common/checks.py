"""System checks: operators learn what is wrong before anything is served."""

import ipaddress
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import import_string


def is_stand_in(path: str) -> bool:
    """Whether the class at `path` must not serve in production: it says so itself, or it cannot be imported."""
    try:
        return getattr(import_string(path), "stand_in", False)
    except ImportError:
        return True


def is_outside(url: str) -> bool:
    """Whether `url` can be that of WeChat or a payment channel: over TLS, and not one of the embedded profile's
    stand-ins.
    """
    return url.startswith("https://") and "/standin/" not in url


@register()
def no_stand_ins_in_production(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Stand-ins and gifts of the embedded profile are refused when DEBUG is off."""
    if settings.EMBEDDED_PROFILE:
        return []
    found: list[CheckMessage] = []
    if is_stand_in(settings.SMS_BACKEND):
        found.append(Error("SMS_BACKEND must name a real provider when DEBUG is off.", id="yuntu.E001"))
    if settings.EMAIL_BACKEND == settings.OUTBOX_MAIL:
        found.append(Error("EMAIL_BACKEND must really send when DEBUG is off.", id="yuntu.E006"))
    if "simulated" in settings.RENDER_ENGINES:
        found.append(
            Error(
                "RENDER_ENGINES cannot name the simulated engine: SIMULATED_ENGINE offers it.",
                id="yuntu.E002",
            )
        )
    if not all(is_outside(url) for url in (settings.WECHAT_OPEN_URL, settings.WECHAT_API_URL)):
        found.append(Error("WECHAT_OPEN_URL and WECHAT_API_URL must be WeChat's own.", id="yuntu.E007"))
    if not all(is_outside(url) for url in (settings.WECHAT_PAY_URL, settings.ALIPAY_URL)):
        found.append(Error("WECHAT_PAY_URL and ALIPAY_URL must be the channels' own.", id="yuntu.E010"))
    if settings.TRIAL_CREDIT > 0:
        found.append(Error("TRIAL_CREDIT gives money away: it must be 0 when DEBUG is off.", id="yuntu.E009"))
    if not settings.STAFF_SECOND_FACTOR:
        found.append(Error("STAFF_SECOND_FACTOR must be on when DEBUG is off.", id="yuntu.E014"))
    if not settings.ALLOWED_HOSTS:
        found.append(Error("ALLOWED_HOSTS must be set when DEBUG is off.", id="yuntu.E003"))
    if min(len(settings.SECRET_KEY), len(str(settings.SIMPLE_JWT["SIGNING_KEY"]))) < 32:
        found.append(
            Error("SECRET_KEY and JWT_SIGNING_KEY must have 32 characters or more.", id="yuntu.E004")
        )
    return found


@register()
def sms_is_configured(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """The chosen provider of text messages names the settings that it lacks."""
    try:
        required = getattr(import_string(settings.SMS_BACKEND), "required_settings", ())
    except ImportError:
        return []  # yuntu.E001
    missing = [name for name in required if not getattr(settings, name)]
    if missing:
        return [Error(f"{settings.SMS_BACKEND} needs {', '.join(missing)}.", id="yuntu.E008")]
    return []


@register()
def heartbeat_fits_lease(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A lease that runs out between two heartbeats would lose every frame."""
    if settings.RENDER_LEASE.total_seconds() < 3 * settings.RENDER_HEARTBEAT_SECONDS:
        return [Error("RENDER_LEASE_SECONDS must be at least three heartbeats.", id="yuntu.E005")]
    return []


@register()
def office_addresses_are_networks(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A typing error would lock every operator out, or let everybody in."""
    for network in settings.OFFICE_ADDRESSES:
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError:
            return [Error(f"OFFICE_ADDRESSES: {network} is no network.", id="yuntu.E011")]
    return []
