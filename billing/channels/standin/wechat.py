"""Plays WeChat Pay's servers, API v3, as the pages named in billing/channels/wechat.py say.

Orders live in Redis for a day. `code_url` leads to a page on which one pays (pages.py).
"""

import base64
import binascii
import gzip
import hashlib
import json
import re
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from billing.channels.standin import keys, ledger

AUTHORIZATION = re.compile(
    r'WECHATPAY2-SHA256-RSA2048 mchid="(?P<mchid>[0-9]+)",nonce_str="(?P<nonce>\w{1,32})",'
    r'signature="(?P<signature>[A-Za-z0-9+/=]+)",timestamp="(?P<timestamp>[0-9]+)",serial_no="(?P<serial>\w+)"'
)
ORDER_NO = re.compile(r"[0-9A-Za-z_\-|*]{6,32}")
REFUND_NO = re.compile(r"[0-9A-Za-z_\-|*@]{1,64}")
CHINA = "+08:00"


class Refused(Exception):
    """An answer of WeChat's: status, code, message."""


def china(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC) + timedelta(hours=8)
    return f"{moment:%Y-%m-%dT%H:%M:%S}{CHINA}"


def signed(body: bytes) -> dict[str, str]:
    """The headers with which WeChat signs an answer or a notice."""
    stamp, nonce = str(int(time.time())), secrets.token_hex(16)
    message = f"{stamp}\n{nonce}\n".encode() + body + b"\n"
    return {
        "Wechatpay-Timestamp": stamp,
        "Wechatpay-Nonce": nonce,
        "Wechatpay-Serial": settings.WECHAT_PAY_PUBLIC_KEY_ID,
        "Wechatpay-Signature": base64.b64encode(keys.sign("wechat-platform", message)).decode(),
        "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
    }


def answer(body: dict[str, Any] | None, status: int = 200) -> HttpResponse:
    content = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
    return HttpResponse(content, status=status, content_type="application/json", headers=signed(content))


def door(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A door of the API: the request is signed by the merchant, within five minutes, for this very body."""

    @csrf_exempt
    def open_door(request: HttpRequest, **kwargs: str) -> HttpResponse:
        try:
            check_signature(request)
            return view(request, **kwargs)
        except Refused as refusal:
            status, code, message = refusal.args
            return answer({"code": code, "message": message}, status)

    return open_door


def check_signature(request: HttpRequest) -> None:
    found = AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
    if not found:
        raise Refused(401, "SIGN_ERROR", "Http头Authorization认证类型不正确")
    if found["mchid"] != settings.WECHAT_PAY_MERCHANT_ID or found["serial"] != settings.WECHAT_PAY_SERIAL:
        raise Refused(401, "SIGN_ERROR", "商户证书序列号有误")
    if abs(int(found["timestamp"]) - time.time()) > 300:
        raise Refused(401, "SIGN_ERROR", "Http头Authorization中的timestamp与发起请求的时间不得超过5分钟")
    if request.headers.get("Wechatpay-Serial") != settings.WECHAT_PAY_PUBLIC_KEY_ID:
        raise Refused(400, "PARAM_ERROR", "Wechatpay-Serial有误")
    url = request.get_full_path().removeprefix("/standin/pay/wechat")
    message = (
        f"{request.method}\n{url}\n{found['timestamp']}\n{found['nonce']}\n".encode() + request.body + b"\n"
    )
    try:
        keys.verify("wechat-merchant", message, base64.b64decode(found["signature"], validate=True))
    except (InvalidSignature, binascii.Error):
        raise Refused(401, "SIGN_ERROR", "错误的签名，验签失败") from None


def body_of(request: HttpRequest) -> dict[str, Any]:
    try:
        body = json.loads(request.body)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refused(400, "PARAM_ERROR", "请求体不是JSON")
    return body


def require(condition: Any, field: str) -> None:
    if not condition:
        raise Refused(400, "PARAM_ERROR", f"参数错误: {field}")


def fen(value: Any, field: str) -> int:
    require(isinstance(value, int) and not isinstance(value, bool) and value > 0, field)
    return int(value)


def known(order_no: str) -> ledger.Order:
    order = ledger.find("wechat", order_no)
    if order is None:
        raise Refused(404, "ORDER_NOT_EXIST", "订单不存在")
    return order


@door
def native(request: HttpRequest) -> HttpResponse:
    """POST /v3/pay/transactions/native"""
    body = body_of(request)
    require(body.get("appid") == settings.WECHAT_PAY_APP_ID, "appid")
    require(body.get("mchid") == settings.WECHAT_PAY_MERCHANT_ID, "mchid")
    require(isinstance(body.get("description"), str) and 0 < len(body["description"]) <= 127, "description")
    require(ORDER_NO.fullmatch(str(body.get("out_trade_no", ""))), "out_trade_no")
    url = str(body.get("notify_url", ""))
    require(url.startswith(("https://", "http://127.0.0.1")) and "?" not in url, "notify_url")
    amount = body.get("amount")
    require(isinstance(amount, dict) and amount.get("currency", "CNY") == "CNY", "amount.currency")
    total = fen(amount.get("total"), "amount.total")  # type: ignore[union-attr]
    try:
        expires = datetime.fromisoformat(body["time_expire"]).timestamp()
    except (KeyError, TypeError, ValueError):
        raise Refused(400, "PARAM_ERROR", "参数错误: time_expire") from None
    require(expires > time.time(), "time_expire")
    order = ledger.find("wechat", body["out_trade_no"])
    if order is None:
        order = ledger.Order("wechat", body["out_trade_no"], total, body["description"], url, expires)
        ledger.save(order)
    elif order.total != total:
        raise Refused(400, "INVALID_REQUEST", "201 商户订单号重复")
    elif order.state == "PAID":
        raise Refused(400, "ORDERPAID", "该订单已支付")
    elif order.state == "CLOSED":
        raise Refused(400, "ORDER_CLOSED", "订单已关闭")
    return answer({"code_url": request.build_absolute_uri(f"/standin/pay/cashier/wechat/{order.order_no}")})


def transaction(order: ledger.Order) -> dict[str, Any]:
    """An order as queries and notices have it."""
    state = {"WAITING": "NOTPAY", "PAID": "REFUND" if order.refunds else "SUCCESS", "CLOSED": "CLOSED"}[
        order.state
    ]
    found: dict[str, Any] = {
        "appid": settings.WECHAT_PAY_APP_ID,
        "mchid": settings.WECHAT_PAY_MERCHANT_ID,
        "out_trade_no": order.order_no,
        "trade_state": state,
        "trade_state_desc": state,
        "amount": {"total": order.total, "currency": "CNY"},
    }
    if order.paid_at:
        found |= {
            "trade_type": "NATIVE",
            "transaction_id": order.transaction_no,
            "bank_type": "OTHERS",
            "success_time": china(order.paid_at),
            "payer": {"openid": "oStandIn"},
        }
        found["amount"] |= {"payer_total": order.total, "payer_currency": "CNY"}
    return found


@door
def query(request: HttpRequest, order_no: str) -> HttpResponse:
    """GET /v3/pay/transactions/out-trade-no/{out_trade_no}?mchid="""
    require(request.GET.get("mchid") == settings.WECHAT_PAY_MERCHANT_ID, "mchid")
    return answer(transaction(known(order_no)))


@door
def close(request: HttpRequest, order_no: str) -> HttpResponse:
    """POST /v3/pay/transactions/out-trade-no/{out_trade_no}/close"""
    require(body_of(request).get("mchid") == settings.WECHAT_PAY_MERCHANT_ID, "mchid")
    if not ledger.close(known(order_no)):
        raise Refused(400, "ORDERPAID", "该订单已支付")
    return answer(None, 204)


def refund_shown(order: ledger.Order, refund: dict[str, Any]) -> dict[str, Any]:
    return {
        "refund_id": refund["channel_no"],
        "out_refund_no": refund["refund_no"],
        "transaction_id": order.transaction_no,
        "out_trade_no": order.order_no,
        "channel": "ORIGINAL",
        "user_received_account": "支付用户零钱",
        "success_time": china(refund["at"]),
        "create_time": china(refund["at"]),
        "status": refund["state"],
        "amount": {
            "total": order.total,
            "refund": refund["amount"],
            "payer_total": order.total,
            "payer_refund": refund["amount"],
            "settlement_refund": refund["amount"],
            "settlement_total": order.total,
            "discount_refund": 0,
            "currency": "CNY",
        },
    }


@door
def refund(request: HttpRequest) -> HttpResponse:
    """POST /v3/refund/domestic/refunds"""
    body = body_of(request)
    order = known(str(body.get("out_trade_no", "")))
    require(REFUND_NO.fullmatch(str(body.get("out_refund_no", ""))), "out_refund_no")
    require(len(str(body.get("reason", "")).encode()) <= 240, "reason")
    amount = body.get("amount")
    require(isinstance(amount, dict) and amount.get("currency") == "CNY", "amount.currency")
    back, total = fen(amount.get("refund"), "amount.refund"), fen(amount.get("total"), "amount.total")  # type: ignore[union-attr]
    if total != order.total:
        raise Refused(400, "PARAM_ERROR", "订单金额与原订单不一致")
    if order.state != "PAID":
        raise Refused(400, "INVALID_REQUEST", "订单未支付")
    made = ledger.refund(order, body["out_refund_no"], back)
    if made is None:
        raise Refused(400, "INVALID_REQUEST", "申请退款金额超过订单可退金额")
    # WeChat only takes it on here; how it ended is said by a notice, or at the next question.
    return answer(refund_shown(order, {**made, "state": "PROCESSING"}))


@door
def query_refund(request: HttpRequest, refund_no: str) -> HttpResponse:
    """GET /v3/refund/domestic/refunds/{out_refund_no}"""
    found = ledger.find_refund("wechat", refund_no)
    if found is None:
        raise Refused(404, "RESOURCE_NOT_EXISTS", "退款单不存在")
    return answer(refund_shown(*found))


HEADER = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,"
    "微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注"
)


def file_of(day: str) -> bytes:
    lines = [HEADER]
    for order, refund in ledger.rows_of("wechat", day):
        yuan, back = f"{order.total / 100:.2f}", f"{refund['amount'] / 100:.2f}" if refund else "0.00"
        lines.append(
            ",".join(
                f"`{value}"
                for value in (
                    china(refund["at"] if refund else order.paid_at)[:19].replace("T", " "),
                    settings.WECHAT_PAY_APP_ID, settings.WECHAT_PAY_MERCHANT_ID, "0", "", order.transaction_no,
                    order.order_no, "oStandIn", "NATIVE", "REFUND" if refund else "SUCCESS", "OTHERS", "CNY",
                    "0.00" if refund else yuan, "0.00", refund["channel_no"] if refund else "0",
                    refund["refund_no"] if refund else "0", back, "0.00", "ORIGINAL" if refund else "",
                    refund["state"] if refund else "", order.subject, "", "0.00000", "0.60%",
                    "0.00" if refund else yuan, back, "",
                )
            )
        )  # fmt: skip
    lines += ["总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"]
    lines += [f"`{len(lines) - 2},`0.00,`0.00,`0.00,`0.00000,`0.00,`0.00"]
    return "\r\n".join(lines).encode()


@door
def trade_bill(request: HttpRequest) -> HttpResponse:
    """GET /v3/bill/tradebill"""
    day = request.GET.get("bill_date", "")
    require(re.fullmatch(r"\d{4}-\d\d-\d\d", day), "bill_date")
    content = file_of(day)
    if content.count(b"\r\n") < 3:
        raise Refused(400, "NO_STATEMENT_EXIST", "账单文件不存在")
    return answer(
        {
            "hash_type": "SHA1",
            "hash_value": hashlib.sha1(content, usedforsecurity=False).hexdigest(),
            "download_url": f"{settings.WECHAT_PAY_URL}/v3/billdownload/file?token={day}",
        }
    )


@door
def bill_file(request: HttpRequest) -> HttpResponse:
    """GET /v3/billdownload/file: not signed, as WeChat's is not."""
    return HttpResponse(gzip.compress(file_of(request.GET.get("token", ""))), content_type="text/plain")


def notice(event: str, kind: str, resource: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    """Headers and body of a notice, its resource encrypted with the merchant's API v3 key."""
    nonce, extra = secrets.token_hex(6), kind
    cipher = AESGCM(settings.WECHAT_PAY_API_V3_KEY.encode())
    packed = cipher.encrypt(nonce.encode(), json.dumps(resource).encode(), extra.encode())
    body = json.dumps(
        {
            "id": secrets.token_hex(16),
            "create_time": china(time.time()),
            "resource_type": "encrypt-resource",
            "event_type": event,
            "summary": "支付成功" if event == "TRANSACTION.SUCCESS" else "退款结果",
            "resource": {
                "original_type": kind,
                "algorithm": "AEAD_AES_256_GCM",
                "ciphertext": base64.b64encode(packed).decode(),
                "associated_data": extra,
                "nonce": nonce,
            },
        },
        ensure_ascii=False,
    ).encode()
    return {"Content-Type": "application/json", **signed(body)}, body


def payment_notice(order: ledger.Order) -> tuple[dict[str, str], bytes]:
    return notice("TRANSACTION.SUCCESS", "transaction", transaction(order))


def refund_notice(order: ledger.Order, refund: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    shown = refund_shown(order, refund)
    fields = ("out_trade_no", "transaction_id", "out_refund_no", "refund_id", "success_time", "amount")
    resource = {"mchid": settings.WECHAT_PAY_MERCHANT_ID, **{name: shown[name] for name in fields}}
    event = {"SUCCESS": "REFUND.SUCCESS", "CLOSED": "REFUND.CLOSED"}.get(refund["state"], "REFUND.ABNORMAL")
    return notice(event, "refund", {**resource, "refund_status": refund["state"]})


urlpatterns = [
    path("v3/pay/transactions/native", native),
    path("v3/pay/transactions/out-trade-no/<str:order_no>", query),
    path("v3/pay/transactions/out-trade-no/<str:order_no>/close", close),
    path("v3/refund/domestic/refunds", refund),
    path("v3/refund/domestic/refunds/<str:refund_no>", query_refund),
    path("v3/bill/tradebill", trade_bill),
    path("v3/billdownload/file", bill_file),
]
