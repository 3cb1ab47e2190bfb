"""WeChat Pay, API v3: native orders whose QR code is scanned, in the mode of WeChat Pay's public key.

Orders https://pay.weixin.qq.com/wiki/doc/apiv3/apis/chapter3_4_1.shtml (native), _2 (query), _3 (close), _5 (notice),
_6 and _8 (daily file), _9 and _10 (refunds), _11 (notice of a refund); signatures
https://pay.weixin.qq.com/wiki/doc/apiv3/wechatpay/wechatpay4_0.shtml and 4_1; public key
https://pay.weixin.qq.com/doc/v3/merchant/4012153196.
"""

import csv
import gzip
import hashlib
import io
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import requests
from django.http.request import HttpHeaders
from wechatpayv3 import WeChatPay, WeChatPayType

from billing.channels.base import (
    Asked,
    AskedRefund,
    FileRow,
    Notice,
    Offer,
    Payment,
    PaymentState,
    Refund,
    RefundState,
    to_fen_count,
    to_yuan,
)
from billing.errors import ChannelRefused, ChannelUnavailable, NotifyRefused, NotifyStale, SignatureInvalid

logger = logging.getLogger(__name__)
CHINA = timedelta(hours=8)
CLOCK_SKEW = 300  # seconds; https://pay.weixin.qq.com/wiki/doc/apiv3/wechatpay/wechatpay4_1.shtml
SIGNED = ("Signature", "Timestamp", "Nonce", "Serial", "Signature-Type")
PAYMENTS = {
    "SUCCESS": PaymentState.PAID,
    "REFUND": PaymentState.PAID,
    "NOTPAY": PaymentState.WAITING,
    "USERPAYING": PaymentState.WAITING,
    "PAYERROR": PaymentState.WAITING,
    "CLOSED": PaymentState.CLOSED,
    "REVOKED": PaymentState.CLOSED,
}
REFUNDS = {
    "SUCCESS": RefundState.SUCCEEDED,
    "PROCESSING": RefundState.UNDER_WAY,
    # The payer's card takes no money; somebody at the merchant platform sends it another way.
    "ABNORMAL": RefundState.UNDER_WAY,
    "CLOSED": RefundState.FAILED,
}


@dataclass(frozen=True)
class WechatAccount:
    """What is configured; `private_key` and `public_key` are PEM."""

    merchant_id: str
    app_id: str
    serial: str
    private_key: str
    api_v3_key: str
    public_key: str
    public_key_id: str
    url: str
    timeout: float


class WechatPay:
    name = "wechat"

    def __init__(self, account: WechatAccount) -> None:
        self.account = account
        self.merchant = f"{account.app_id}:{account.merchant_id}"
        self.sdk = WeChatPay(
            wechatpay_type=WeChatPayType.NATIVE,
            mchid=account.merchant_id,
            private_key=account.private_key,
            cert_serial_no=account.serial,
            apiv3_key=account.api_v3_key,
            appid=account.app_id,
            timeout=account.timeout,
            public_key=account.public_key,
            public_key_id=account.public_key_id,
        )
        core = self.sdk._core
        core._gate_way = account.url
        # Only the public key counts. The package would ask WeChat for certificates at any serial it does not know.
        core._update_certificates = lambda: None

    def create(self, asked: Asked) -> Offer:
        body = self.ask(
            self.sdk.pay,
            description=asked.subject[:127],
            out_trade_no=asked.order_no,
            amount={"total": to_fen_count(asked.amount), "currency": "CNY"},
            time_expire=asked.expires_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00"),
            notify_url=asked.notify_url,
        )
        code_url = body.get("code_url")
        if not isinstance(code_url, str) or not 0 < len(code_url) <= 512:
            raise ChannelUnavailable
        return Offer(code_url=code_url)

    def query(self, order_no: str) -> Payment:
        try:
            body = self.ask(self.sdk.query, out_trade_no=order_no)
        except ChannelRefused as error:
            if error.data["reason"] not in ("ORDER_NOT_EXIST", "ORDERNOTEXIST"):
                raise
            return Payment(self.name, order_no, PaymentState.ABSENT, self.merchant)
        return self.payment_of(body)

    def close(self, order_no: str) -> bool:
        try:
            self.ask(self.sdk.close, out_trade_no=order_no)
        except ChannelRefused as error:
            if error.data["reason"] == "ORDERPAID":
                return False
            if error.data["reason"] not in (
                "ORDERCLOSED",
                "ORDER_CLOSED",
                "ORDER_NOT_EXIST",
                "ORDERNOTEXIST",
            ):
                raise
        return True

    def refund(self, asked: AskedRefund) -> Refund:
        body = self.ask(
            self.sdk.refund,
            out_trade_no=asked.order_no,
            out_refund_no=asked.refund_no,
            reason=asked.reason[:80],
            amount={
                "refund": to_fen_count(asked.amount),
                "total": to_fen_count(asked.total),
                "currency": "CNY",
            },
            notify_url=asked.notify_url,
        )
        return self.refund_of(body, "status")

    def query_refund(self, order_no: str, refund_no: str) -> Refund:
        try:
            body = self.ask(self.sdk.query_refund, out_refund_no=refund_no)
        except ChannelRefused as error:
            if error.data["reason"] != "RESOURCE_NOT_EXISTS":
                raise
            return Refund(self.name, refund_no, RefundState.ABSENT)
        return self.refund_of(body, "status")

    def parse_notify(self, headers: HttpHeaders, body: bytes, now: datetime) -> Notice:
        signed = {f"Wechatpay-{name}": headers.get(f"Wechatpay-{name}", "") for name in SIGNED}
        if signed["Wechatpay-Serial"] != self.account.public_key_id:
            raise SignatureInvalid
        stamp = signed["Wechatpay-Timestamp"]
        if not (stamp.isascii() and stamp.isdigit() and abs(int(stamp) - now.timestamp()) <= CLOCK_SKEW):
            raise NotifyStale
        try:
            # The package raises plain exceptions for what it cannot read, and answers None for a wrong signature.
            text = self.sdk.decrypt_callback(signed, body)
        except Exception as error:
            logger.warning("WeChat Pay: a message could not be read: %s", type(error).__name__)
            raise SignatureInvalid from None
        if not text:
            raise SignatureInvalid
        try:
            event, resource = str(json.loads(body)["event_type"]), json.loads(text)
            if event.startswith("REFUND."):
                self.require_merchant(resource)
                return Notice(refund=self.refund_of(resource, "refund_status"), data=resource)
            if event.startswith("TRANSACTION."):
                return Notice(payment=self.payment_of(resource), data=resource)
        except (ValueError, KeyError, TypeError, AttributeError, ChannelUnavailable) as error:
            raise NotifyRefused from error
        raise NotifyRefused

    def file_of(self, day: date) -> list[FileRow]:
        try:
            body = self.ask(self.sdk.trade_bill, bill_date=day.isoformat(), bill_type="ALL", tar_type="GZIP")
        except ChannelRefused as error:
            if error.data["reason"] == "NO_STATEMENT_EXIST":
                return []
            raise
        try:
            _status, packed = self.call(self.sdk.download_bill, url=body["download_url"])
            content = gzip.decompress(packed if isinstance(packed, bytes) else packed.encode())
            digest = hashlib.sha1(content, usedforsecurity=False).hexdigest()
            if digest != str(body["hash_value"]).lower():
                raise ChannelUnavailable
            return rows_of(content.decode("utf-8-sig"))
        except (OSError, ValueError, KeyError) as error:
            raise ChannelUnavailable from error

    def payment_of(self, body: dict[str, Any]) -> Payment:
        """Raises ChannelUnavailable for an answer that says nothing."""
        try:
            state = PAYMENTS[body["trade_state"]]
            paid = state == PaymentState.PAID
            return Payment(
                channel=self.name,
                order_no=str(body["out_trade_no"]),
                state=state,
                merchant=f"{body['appid']}:{body['mchid']}",
                amount=to_yuan(body["amount"]["total"]) if paid else None,
                currency=str(body["amount"].get("currency", "CNY")) if paid else "CNY",
                transaction_no=str(body["transaction_id"]) if paid else "",
                paid_at=datetime.fromisoformat(body["success_time"]) if paid else None,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ChannelUnavailable from error

    def refund_of(self, body: dict[str, Any], field: str) -> Refund:
        try:
            return Refund(
                channel=self.name,
                refund_no=str(body["out_refund_no"]),
                state=REFUNDS[body[field]],
                amount=to_yuan(body["amount"]["refund"]),
                channel_no=str(body["refund_id"]),
                detail=str(body[field]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ChannelUnavailable from error

    def require_merchant(self, resource: dict[str, Any]) -> None:
        if resource["mchid"] != self.account.merchant_id:
            raise NotifyRefused

    def call(self, method: Callable[..., tuple[int, Any]], **values: Any) -> tuple[int, Any]:
        try:
            return method(**values)
        except requests.RequestException as error:
            logger.warning("WeChat Pay did not answer: %s", type(error).__name__)
            raise ChannelUnavailable from None
        except Exception as error:  # the package's own is a plain Exception: the answer's signature is wrong
            logger.error("WeChat Pay gave an answer that is not signed by it", exc_info=error)
            raise ChannelUnavailable from error

    def ask(self, method: Callable[..., tuple[int, Any]], **values: Any) -> dict[str, Any]:
        status, text = self.call(method, **values)
        try:
            body = json.loads(text) if text else {}
        except ValueError:
            body = None
        if not isinstance(body, dict) or status >= 500 or status == 429:
            logger.warning("WeChat Pay answered with status %s", status)
            raise ChannelUnavailable
        if status >= 300:
            logger.warning("WeChat Pay refuses with status %s, %s", status, body.get("code"))
            raise ChannelRefused(reason=str(body.get("code", status))[:64])
        return body


def rows_of(text: str) -> list[FileRow]:
    """Lines of a daily file of all orders; every value begins with a grave accent, the last two lines are sums."""
    found = []
    for line in csv.DictReader(io.StringIO(text.replace("`", ""))):
        state = line.get("交易状态")
        if state == "SUCCESS":
            found.append(FileRow(line["商户订单号"], line["微信订单号"], Decimal(line["订单金额"])))
        elif state == "REFUND":
            amount = Decimal(line["申请退款金额"])
            found.append(FileRow(line["商户订单号"], line["微信订单号"], amount, line["商户退款单号"]))
    return found
