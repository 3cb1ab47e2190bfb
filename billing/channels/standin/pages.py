"""The page of the stand-ins on which one "pays", and the notices that it sends."""

import logging
from urllib.parse import urlencode

import httpx
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from billing.channels.standin import alipay, ledger, wechat

logger = logging.getLogger(__name__)
NOTICES = {"wechat": wechat.payment_notice, "alipay": alipay.notice}


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def cashier(request: HttpRequest, channel: str, order_no: str) -> HttpResponse:
    """What a phone, or the page, shows who pays; POST pays, or tells the platform once more."""
    order = ledger.find(channel, order_no)
    if channel not in NOTICES or order is None:
        raise Http404
    told = None
    if request.method == "POST":
        ledger.pay(order)
        if order.state == "PAID":
            told = tell(order)
    # As Alipay sends the browser back: with what a page may show, and nobody should believe.
    brought = urlencode({"out_trade_no": order.order_no, "trade_no": order.transaction_no})
    back = f"{order.return_url}?{brought}" if order.state == "PAID" and order.return_url else ""
    shown = {"order": order, "amount": f"{order.total / 100:.2f}", "told": told, "back": back}
    return render(request, "billing/pay_standin.html", shown)


def tell(order: ledger.Order) -> bool:
    """Whether the platform took the notice."""
    headers, body = NOTICES[order.channel](order)
    try:
        answer = httpx.post(
            order.notify_url, headers=headers, content=body, timeout=settings.PAYMENT_TIMEOUT_SECONDS
        )
    except httpx.HTTPError as error:
        logger.warning("a notice did not arrive: %s", type(error).__name__)
        return False
    if order.channel == "wechat":
        return answer.status_code in (200, 204)
    return answer.text == "success"


urlpatterns = [
    path("cashier/<str:channel>/<str:order_no>", cashier),
    path("wechat/", include("billing.channels.standin.wechat")),
    path("alipay/", include("billing.channels.standin.alipay")),
]
