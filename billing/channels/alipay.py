"""Alipay: the page on which a computer's user pays, signed with RSA2 by our key and answered under Alipay's.

Page https://opendocs.alipay.com/open/028r8t (alipay.trade.page.pay), notices
https://opendocs.alipay.com/open/270/105902, queries https://opendocs.alipay.com/open/028woa, closing
https://opendocs.alipay.com/open/028wob, refunds https://opendocs.alipay.com/open/028sm9, their queries
https://opendocs.alipay.com/open/028sma, daily file https://opendocs.alipay.com/open/028woc.
"""

import csv
import io
import logging
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qsl

import httpx
from alipay import AliPay as Sdk
from alipay.exceptions import AliPayException, AliPayValidationError
from alipay.utils import AliPayConfig
from django.http.request import HttpHeaders

from billing.channels.base import (
    FEN,
    Asked,
    AskedRefund,
    FileRow,
    Notice,
    Offer,
    Payment,
    PaymentState,
    Refund,
    RefundState,
)
from billing.errors import ChannelRefused, ChannelUnavailable, NotifyRefused, SignatureInvalid
from billing.periods import SHANGHAI

logger = logging.getLogger(__name__)
TIME = "%Y-%m-%d %H:%M:%S"
SUCCESS, AWAY = "10000", ("20000", "20001")
LARGEST_FILE = 100 * 2**20
STATES = {
    "WAIT_BUYER_PAY": PaymentState.WAITING,
    "TRADE_SUCCESS": PaymentState.PAID,
    "TRADE_FINISHED": PaymentState.PAID,
    "TRADE_CLOSED": PaymentState.CLOSED,
}


@dataclass(frozen=True)
class AlipayAccount:
    """The configured account; the keys are PEM."""

    app_id: str
    seller_id: str
    private_key: str
    public_key: str
    url: str
    timeout: float


class Alipay:
    name = "alipay"

    def __init__(self, account: AlipayAccount) -> None:
        self.account = account
        self.merchant = f"{account.app_id}:{account.seller_id}"
        self.sdk = Sdk(
            appid=account.app_id,
            app_private_key_string=account.private_key,
            alipay_public_key_string=account.public_key,
            sign_type="RSA2",
            config=AliPayConfig(timeout=account.timeout),
        )
        self.sdk._gateway = account.url

    def create(self, asked: Asked) -> Offer:
        query = self.sdk.api_alipay_trade_page_pay(
            subject=asked.subject[:256],
            out_trade_no=asked.order_no,
            total_amount=f"{asked.amount:.2f}",
            notify_url=asked.notify_url,
            return_url=asked.return_url or None,
            time_expire=asked.expires_at.astimezone(SHANGHAI).strftime(TIME),
        )
        return Offer(pay_url=f"{self.account.url}?{query}")

    def query(self, order_no: str) -> Payment:
        try:
            body = self.ask(self.sdk.api_alipay_trade_query, out_trade_no=order_no)
        except ChannelRefused as error:
            if error.data["reason"] != "ACQ.TRADE_NOT_EXIST":
                raise
            return Payment(self.name, order_no, PaymentState.ABSENT, self.merchant)
        try:
            # The answer names no merchant: it is signed, and for the application that asks.
            return self.payment_of(body, self.merchant, paid_at="send_pay_date")
        except (KeyError, ValueError, InvalidOperation) as error:
            raise ChannelUnavailable from error

    def close(self, order_no: str) -> bool:
        try:
            self.ask(self.sdk.api_alipay_trade_close, out_trade_no=order_no)
        except ChannelRefused as error:
            if error.data["reason"] == "ACQ.TRADE_STATUS_ERROR":
                return False
            # It is known there only once somebody has opened the page, which is good until the order's time is over.
            if error.data["reason"] != "ACQ.TRADE_NOT_EXIST":
                raise
        return True

    def refund(self, asked: AskedRefund) -> Refund:
        self.ask(
            self.sdk.api_alipay_trade_refund,
            refund_amount=f"{asked.amount:.2f}",
            out_trade_no=asked.order_no,
            out_request_no=asked.refund_no,
            refund_reason=asked.reason[:256],
        )
        # That it was accepted is not that it was paid: the query says so, for this very refund.
        return self.query_refund(asked.order_no, asked.refund_no)

    def query_refund(self, order_no: str, refund_no: str) -> Refund:
        body = self.ask(
            self.sdk.api_alipay_trade_fastpay_refund_query, out_request_no=refund_no, out_trade_no=order_no
        )
        if "refund_amount" not in body:
            return Refund(self.name, refund_no, RefundState.ABSENT)
        try:
            done = body.get("refund_status") == "REFUND_SUCCESS" and body["out_request_no"] == refund_no
            state = RefundState.SUCCEEDED if done else RefundState.UNDER_WAY
            amount = money(body["refund_amount"])
            return Refund(self.name, refund_no, state, amount, str(body["trade_no"]))
        except (KeyError, ValueError, InvalidOperation) as error:
            raise ChannelUnavailable from error

    def parse_notify(self, headers: HttpHeaders, body: bytes, now: datetime) -> Notice:
        try:
            pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, strict_parsing=True)
            data = dict(pairs)
            if len(data) != len(pairs):
                raise SignatureInvalid
            signature = data.pop("sign")
            if data["sign_type"] != "RSA2" or not self.sdk.verify(dict(data), signature):
                raise SignatureInvalid
        except (ValueError, KeyError, AliPayException):
            raise SignatureInvalid from None
        try:
            if "gmt_refund" in data:
                refund = Refund(self.name, data.get("out_biz_no", ""), RefundState.UNDER_WAY)
                return Notice(refund=refund, data=dict(data))
            merchant = f"{data['app_id']}:{data['seller_id']}"
            return Notice(payment=self.payment_of(data, merchant, paid_at="gmt_payment"), data=dict(data))
        except (KeyError, ValueError, InvalidOperation) as error:
            raise NotifyRefused from error

    def file_of(self, day: date) -> list[FileRow]:
        try:
            body = self.ask(
                self.sdk.server_api,
                api_name="alipay.data.dataservice.bill.downloadurl.query",
                biz_content={"bill_type": "trade", "bill_date": day.isoformat()},
            )
        except ChannelRefused as error:
            if error.data["reason"] == "isp.bill_not_exist":
                return []
            raise
        try:
            answer = httpx.get(body["bill_download_url"], timeout=self.account.timeout)
            answer.raise_for_status()
            return rows_of(answer.content)
        except (httpx.HTTPError, KeyError, ValueError, zipfile.BadZipFile, InvalidOperation) as error:
            raise ChannelUnavailable from error

    def payment_of(self, body: dict[str, Any], merchant: str, *, paid_at: str) -> Payment:
        state = STATES[body["trade_status"]]
        paid = state == PaymentState.PAID
        return Payment(
            channel=self.name,
            order_no=str(body["out_trade_no"]),
            state=state,
            merchant=merchant,
            amount=money(body["total_amount"]) if paid else None,
            currency=str(body.get("trans_currency") or "CNY"),
            transaction_no=str(body["trade_no"]) if paid else "",
            paid_at=datetime.strptime(body[paid_at], TIME).replace(tzinfo=SHANGHAI) if paid else None,
        )

    def ask(self, method: Callable[..., Any], **values: Any) -> dict[str, Any]:
        try:
            body = method(**values)
        except AliPayValidationError as error:
            logger.error("Alipay gave an answer that is not signed by it")
            raise ChannelUnavailable from error
        except (OSError, ValueError, TypeError, AttributeError, AliPayException) as error:
            # Errors of the gateway itself are not signed: nothing is believed of them.
            logger.warning("Alipay did not answer: %s", type(error).__name__)
            raise ChannelUnavailable from None
        code = body.get("code")
        if code == SUCCESS:
            return dict(body)
        if code in AWAY or body.get("sub_code") in ("ACQ.SYSTEM_ERROR", "aop.ACQ.SYSTEM_ERROR"):
            raise ChannelUnavailable
        logger.warning("Alipay refuses: %s, %s", code, body.get("sub_code"))
        raise ChannelRefused(reason=str(body.get("sub_code") or code)[:64])


def money(text: Any) -> Decimal:
    """An amount in yuan. Raises ValueError for what is not whole fen, InvalidOperation for what is no number."""
    amount = Decimal(str(text))
    if not amount.is_finite() or amount % FEN:
        raise ValueError("an amount is whole fen")
    return amount


def rows_of(packed: bytes) -> list[FileRow]:
    """Lines of the details in the packed daily file; it is GBK, and lines of comment begin with #."""
    found = []
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        for member in archive.infolist():
            # The sums beside the details have columns of their own; sizes are those that the archive announces.
            if member.file_size > LARGEST_FILE:
                raise ValueError("the daily file is too large")
            text = archive.read(member).decode("gbk")
            lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
            for raw in csv.DictReader(lines):
                line = {str(name).strip(): str(value or "").strip() for name, value in raw.items()}
                if line.get("业务类型") not in ("交易", "退款"):
                    continue
                is_refund = line["业务类型"] == "退款"
                found.append(
                    FileRow(
                        order_no=line["商户订单号"],
                        transaction_no=line["支付宝交易号"],
                        amount=abs(Decimal(line["订单金额（元）"])),
                        refund_no=line["退款批次号/请求号"] if is_refund else "",
                    )
                )
    return found
