"""Plays Alipay's gateway: the pay page, queries, closing, refunds, the daily file; as the pages named in
billing/channels/alipay.py say.

An order is known only once somebody has opened its page.
"""

import base64
import binascii
import io
import json
import time
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlencode

from cryptography.exceptions import InvalidSignature
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from billing.channels.standin import keys, ledger
from billing.periods import SHANGHAI

TIME = "%Y-%m-%d %H:%M:%S"
STATES = {"WAITING": "WAIT_BUYER_PAY", "PAID": "TRADE_SUCCESS", "CLOSED": "TRADE_CLOSED"}


class Refused(Exception):
    """An answer of Alipay's: code, sub_code, sub_msg."""


def failed(sub_code: str, text: str) -> Refused:
    return Refused("40004", sub_code, text)


def china(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).astimezone(SHANGHAI).strftime(TIME)


def signature(text: str) -> str:
    return base64.b64encode(keys.sign("alipay-platform", text.encode())).decode()


def check_signature(values: dict[str, str]) -> None:
    unsigned = sorted((name, value) for name, value in values.items() if name != "sign" and value)
    message = "&".join(f"{name}={value}" for name, value in unsigned)
    try:
        given = base64.b64decode(values.get("sign", ""), validate=True)
        keys.verify("alipay-merchant", message.encode(), given)
    except (InvalidSignature, binascii.Error):
        raise Refused("40002", "isv.invalid-signature", "验签出错") from None


def content_of(values: dict[str, str]) -> dict[str, Any]:
    """What the request is about, once it is signed, whole and of today."""
    check_signature(values)
    if values.get("app_id") != settings.ALIPAY_APP_ID:
        raise Refused("40002", "isv.invalid-app-id", "无效的AppID参数")
    wanted = {"charset": "utf-8", "sign_type": "RSA2", "version": "1.0"}
    if any(values.get(name) != value for name, value in wanted.items()):
        raise Refused("40002", "isv.invalid-parameter", "参数无效")
    try:
        at = datetime.strptime(values["timestamp"], TIME).replace(tzinfo=SHANGHAI)
        content = json.loads(values["biz_content"])
    except (KeyError, ValueError):
        raise Refused("40002", "isv.invalid-parameter", "参数无效") from None
    if abs(at.timestamp() - time.time()) > 900 or not isinstance(content, dict):
        raise Refused("40002", "isv.invalid-timestamp", "非法的时间戳参数")
    return content


def fen(text: Any) -> int:
    try:
        amount = Decimal(str(text)) * 100
    except InvalidOperation:
        amount = Decimal(0)
    if amount <= 0 or amount % 1:
        raise failed("ACQ.INVALID_PARAMETER", "参数无效")
    return int(amount)


def yuan(amount: int) -> str:
    return f"{amount / 100:.2f}"


def known(content: dict[str, Any]) -> ledger.Order:
    order = ledger.find("alipay", str(content.get("out_trade_no", "")))
    if order is None:
        raise failed("ACQ.TRADE_NOT_EXIST", "交易不存在")
    return order


def shown(order: ledger.Order) -> dict[str, Any]:
    found = {
        "out_trade_no": order.order_no,
        "trade_no": order.transaction_no or f"20{order.order_no}",
        "trade_status": STATES[order.state],
        "total_amount": yuan(order.total),
    }
    return found | ({"send_pay_date": china(order.paid_at)} if order.paid_at else {})


def page(request: HttpRequest, values: dict[str, str]) -> HttpResponse:
    """alipay.trade.page.pay: for a browser."""
    content = content_of(values)
    if (
        content.get("product_code") != "FAST_INSTANT_TRADE_PAY"
        or not 0 < len(content.get("subject", "")) <= 256
    ):
        raise failed("ACQ.INVALID_PARAMETER", "参数无效")
    order_no, total = str(content.get("out_trade_no", "")), fen(content.get("total_amount"))
    order = ledger.find("alipay", order_no)
    if order is None:
        expires = datetime.strptime(content["time_expire"], TIME).replace(tzinfo=SHANGHAI).timestamp()
        order = ledger.Order("alipay", order_no, total, content["subject"], values["notify_url"], expires)
        order.return_url = values.get("return_url", "")
        ledger.save(order)
    return HttpResponseRedirect(request.build_absolute_uri(f"/standin/pay/cashier/alipay/{order_no}"))


def query(content: dict[str, Any]) -> dict[str, Any]:
    return {**shown(known(content)), "buyer_logon_id": "sta***@standin"}


def close(content: dict[str, Any]) -> dict[str, Any]:
    order = known(content)
    if not ledger.close(order):
        raise failed("ACQ.TRADE_STATUS_ERROR", "交易状态不合法")
    return {"out_trade_no": order.order_no, "trade_no": f"20{order.order_no}"}


def refund(content: dict[str, Any]) -> dict[str, Any]:
    order, amount = known(content), fen(content.get("refund_amount"))
    if order.state != "PAID":
        raise failed("ACQ.TRADE_STATUS_ERROR", "交易状态不合法")
    before = len(order.refunds)
    made = ledger.refund(order, str(content.get("out_request_no") or order.order_no), amount)
    if made is None:
        raise failed("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", "退款金额超限")
    changed = "Y" if len(order.refunds) > before else "N"
    total = yuan(sum(each["amount"] for each in order.refunds))
    return {
        "trade_no": order.transaction_no,
        "out_trade_no": order.order_no,
        "fund_change": changed,
        "refund_fee": total,
    }


def query_refund(content: dict[str, Any]) -> dict[str, Any]:
    order = known(content)
    wanted = content.get("out_request_no")
    made = next((each for each in order.refunds if each["refund_no"] == wanted), None)
    if made is None:
        return {}
    found = {
        "trade_no": order.transaction_no,
        "out_trade_no": order.order_no,
        "out_request_no": made["refund_no"],
        "refund_amount": yuan(made["amount"]),
        "total_amount": yuan(order.total),
    }
    return found | ({"refund_status": "REFUND_SUCCESS"} if made["state"] == "SUCCESS" else {})


def bill(content: dict[str, Any]) -> dict[str, Any]:
    day = str(content.get("bill_date", ""))
    if content.get("bill_type") != "trade" or not list(ledger.rows_of("alipay", day)):
        raise failed("isp.bill_not_exist", "账单不存在")
    base = settings.ALIPAY_URL.rpartition("/")[0]
    return {"bill_download_url": f"{base}/file?{urlencode({'day': day})}"}


METHODS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "alipay.trade.query": query,
    "alipay.trade.close": close,
    "alipay.trade.refund": refund,
    "alipay.trade.fastpay.refund.query": query_refund,
    "alipay.data.dataservice.bill.downloadurl.query": bill,
}


@csrf_exempt
def gateway(request: HttpRequest) -> HttpResponse:
    values = {str(name): str(value) for name, value in request.GET.items()}
    method = values.get("method", "")
    try:
        if method == "alipay.trade.page.pay":
            return page(request, values)
        if method not in METHODS:
            raise Refused("40002", "isv.invalid-method", "不存在的方法名")
        body = {"code": "10000", "msg": "Success", **METHODS[method](content_of(values))}
    except Refused as refusal:
        code, sub_code, text = refusal.args
        body = {"code": code, "msg": "Business Failed", "sub_code": sub_code, "sub_msg": text}
    plain = json.dumps(body, ensure_ascii=False)
    name = f"{method.replace('.', '_')}_response"
    return HttpResponse(
        f'{{"{name}":{plain},"sign":"{signature(plain)}"}}', content_type="text/html;charset=utf-8"
    )


HEADER = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,商家实收（元）,"
    "退款批次号/请求号,服务费（元）,分润（元）,备注"
)


def file(request: HttpRequest) -> HttpResponse:
    """The packed file of a day: details, and sums beside them."""
    lines = ["#支付宝业务明细查询", "#-----业务明细列表-----", HEADER]
    for order, refund in ledger.rows_of("alipay", request.GET.get("day", "")):
        amount = f"-{yuan(refund['amount'])}" if refund else yuan(order.total)
        kind, number = ("退款", refund["refund_no"]) if refund else ("交易", "")
        at = china(refund["at"] if refund else order.paid_at)
        lines.append(
            f"{order.transaction_no}\t,{order.order_no}\t,{kind},{order.subject},{at},{at},,,,,sta***@standin,"
            f"{amount},{amount},{number},0.00,0.00,"
        )
    lines.append("#-----业务明细列表结束-----")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("details.csv", "\r\n".join(lines).encode("gbk"))
        archive.writestr("sums.csv", "#汇总\r\n门店编号,交易订单总笔数\r\n合计,1".encode("gbk"))
    return HttpResponse(packed.getvalue(), content_type="application/zip")


def notice(order: ledger.Order, refund: dict[str, Any] | None = None) -> tuple[dict[str, str], bytes]:
    """Headers and body of a notice that an order was paid, or (a part of it) paid back."""
    now = china(time.time())
    values = {
        "notify_time": now,
        "notify_type": "trade_status_sync",
        "notify_id": f"{int(time.time() * 1000)}",
        "charset": "utf-8",
        "version": "1.0",
        "sign_type": "RSA2",
        "auth_app_id": settings.ALIPAY_APP_ID,
        "app_id": settings.ALIPAY_APP_ID,
        "seller_id": settings.ALIPAY_SELLER_ID,
        "out_trade_no": order.order_no,
        "trade_no": order.transaction_no,
        "trade_status": STATES[order.state],
        "total_amount": yuan(order.total),
        "receipt_amount": yuan(order.total),
        "gmt_create": china(order.paid_at),
        "gmt_payment": china(order.paid_at),
        "subject": order.subject,
    }
    if refund:
        back = yuan(sum(each["amount"] for each in order.refunds))
        values |= {"gmt_refund": china(refund["at"]), "refund_fee": back, "out_biz_no": refund["refund_no"]}
    return sealed(values)


def sealed(values: dict[str, str]) -> tuple[dict[str, str], bytes]:
    unsigned = sorted((name, value) for name, value in values.items() if name != "sign_type")
    message = "&".join(f"{name}={value}" for name, value in unsigned)
    body = urlencode({**values, "sign": signature(message)}).encode()
    return {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}, body


urlpatterns = [path("gateway.do", gateway), path("file", file)]
