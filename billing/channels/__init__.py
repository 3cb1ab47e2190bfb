"""The payment channels that are configured."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from billing.channels.base import PaymentChannel
from billing.channels.standin.keys import ensure_keys
from billing.errors import ChannelNotOffered

if TYPE_CHECKING:
    from billing.channels.alipay import Alipay
    from billing.channels.wechat import WechatPay

NEEDED = {
    "wechat": (
        "WECHAT_PAY_MERCHANT_ID", "WECHAT_PAY_APP_ID", "WECHAT_PAY_SERIAL", "WECHAT_PAY_PRIVATE_KEY",
        "WECHAT_PAY_API_V3_KEY", "WECHAT_PAY_PUBLIC_KEY", "WECHAT_PAY_PUBLIC_KEY_ID", "WECHAT_PAY_URL",
    ),
    "alipay": ("ALIPAY_APP_ID", "ALIPAY_SELLER_ID", "ALIPAY_PRIVATE_KEY", "ALIPAY_PUBLIC_KEY", "ALIPAY_URL"),
}  # fmt: skip
"""The settings of each channel; one that lacks any is not offered."""


def offered() -> list[str]:
    return [name for name, needed in NEEDED.items() if all(getattr(settings, each) for each in needed)]


def our_site() -> str:
    """The scheme and host at which channels reach us, where no request says it."""
    return settings.PUBLIC_URL or f"http://127.0.0.1:{settings.PORT}"


def channel_named(name: str) -> PaymentChannel:
    """Raises ChannelNotOffered."""
    if name not in offered():
        raise ChannelNotOffered
    if settings.EMBEDDED_PROFILE:
        ensure_keys()
    timeout = settings.PAYMENT_TIMEOUT_SECONDS
    if name == "wechat":
        return wechat_pay(
            settings.WECHAT_PAY_MERCHANT_ID,
            settings.WECHAT_PAY_APP_ID,
            settings.WECHAT_PAY_SERIAL,
            settings.WECHAT_PAY_PRIVATE_KEY,
            settings.WECHAT_PAY_API_V3_KEY,
            settings.WECHAT_PAY_PUBLIC_KEY,
            settings.WECHAT_PAY_PUBLIC_KEY_ID,
            settings.WECHAT_PAY_URL,
            timeout,
        )
    return alipay_page(
        settings.ALIPAY_APP_ID,
        settings.ALIPAY_SELLER_ID,
        settings.ALIPAY_PRIVATE_KEY,
        settings.ALIPAY_PUBLIC_KEY,
        settings.ALIPAY_URL,
        timeout,
    )


# Reading keys takes milliseconds: once for what is configured. What a channel is built on is loaded by who uses it; the
# functions are not called as the modules are, which take the place of whatever has their name in this package.


@lru_cache(maxsize=4)
def wechat_pay(
    merchant_id: str,
    app_id: str,
    serial: str,
    private_key: str,
    api_v3_key: str,
    public_key: str,
    public_key_id: str,
    url: str,
    timeout: float,
) -> WechatPay:
    from billing.channels.wechat import WechatAccount, WechatPay

    private, public = Path(private_key).read_text(), Path(public_key).read_text()
    return WechatPay(
        WechatAccount(merchant_id, app_id, serial, private, api_v3_key, public, public_key_id, url, timeout)
    )


@lru_cache(maxsize=4)
def alipay_page(
    app_id: str, seller_id: str, private_key: str, public_key: str, url: str, timeout: float
) -> Alipay:
    from billing.channels.alipay import Alipay, AlipayAccount

    private, public = Path(private_key).read_text(), Path(public_key).read_text()
    return Alipay(AlipayAccount(app_id, seller_id, private, public, url, timeout))
