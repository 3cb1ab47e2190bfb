"""A stand-in for Aliyun's SendSms, and for what is derived from it, on loopback; it checks what the real one checks.

The signature is recomputed here from Aliyun's description, independently of the SDK:
https://help.aliyun.com/zh/sdk/product-overview/v3-request-structure-and-signature (ACS3-HMAC-SHA256).
"""

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

KEY_ID, KEY_SECRET = "LTAI-of-the-tests", "secret-of-the-tests"
SIGN_NAME, TEMPLATE = "盛世云图", "SMS_123456789"
SIGNED = {
    "host",
    "x-acs-action",
    "x-acs-content-sha256",
    "x-acs-date",
    "x-acs-signature-nonce",
    "x-acs-version",
}
ALGORITHM = "ACS3-HMAC-SHA256"


def encoded(text: str) -> str:
    """RFC 3986: everything but letters, digits and -_.~ is escaped."""
    return quote(text, safe="-_.~")


def signature(method: str, target: str, headers: dict[str, str], names: list[str], secret: str) -> str:
    address = urlsplit(target)
    query = sorted((encoded(k), encoded(v)) for k, v in parse_qsl(address.query, keep_blank_values=True))
    canonical = "\n".join(
        [
            method,
            address.path or "/",
            "&".join(f"{name}={value}" for name, value in query),
            "".join(f"{name}:{headers[name].strip()}\n" for name in names),
            ";".join(names),
            headers["x-acs-content-sha256"],
        ]
    )
    to_sign = f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    return hmac.new(secret.encode(), to_sign.encode(), "sha256").hexdigest()


class Refusal(Exception):
    """What the gateway or the service answers instead of OK."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


class StandIn:
    """`sent` holds the parameters of each message; `plan` refuses the next ones, or keeps them waiting (seconds)."""

    action = ("SendSms", "2017-05-25")
    key_id = KEY_ID

    def __init__(self) -> None:
        self.sent: list[dict[str, str]] = []
        self.plan: list[Refusal | float | bytes] = []
        self.requests = 0
        self.nonces: set[str] = set()
        self.secret = KEY_SECRET
        self.endpoint = ""

    def take(self, method: str, target: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
        """What is answered besides OK. Raises Refusal."""
        self.verify(method, target, headers, body)
        given = dict(parse_qsl(urlsplit(target).query))
        for name in ("PhoneNumbers", "SignName", "TemplateCode"):
            if not given.get(name):
                raise Refusal(400, f"Missing{name}")
        if (given["SignName"], given["TemplateCode"]) != (SIGN_NAME, TEMPLATE):
            raise Refusal(200, "isv.SMS_SIGNATURE_ILLEGAL", "该账号下找不到对应签名")
        if set(json.loads(given.get("TemplateParam", "{}"))) != {"code"}:
            raise Refusal(200, "isv.TEMPLATE_MISSING_PARAMETERS", "模版缺少变量")
        self.sent.append(given)
        return {"Code": "OK", "Message": "OK"}

    def verify(self, method: str, target: str, headers: dict[str, str], body: bytes) -> None:
        algorithm, _, rest = headers.get("authorization", "").partition(" ")
        parts = dict(part.split("=", 1) for part in rest.split(",") if "=" in part)
        names = parts.get("SignedHeaders", "").split(";")
        # Every header of Aliyun's own is signed, and they stand in order.
        theirs = {name for name in headers if name.startswith("x-acs-")}
        if algorithm != ALGORITHM or names != sorted(names) or not (SIGNED | theirs) <= set(names):
            raise Refusal(400, "IncompleteSignature")
        if parts.get("Credential") != self.key_id:
            raise Refusal(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        if (headers["x-acs-action"], headers["x-acs-version"]) != self.action:
            raise Refusal(404, "InvalidAction.NotFound")
        at = datetime.strptime(headers["x-acs-date"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        if abs(datetime.now(UTC) - at) > timedelta(minutes=15):
            raise Refusal(400, "InvalidTimeStamp.Expired")
        if headers["x-acs-content-sha256"] != hashlib.sha256(body).hexdigest():
            raise Refusal(400, "SignatureDoesNotMatch")
        if not hmac.compare_digest(
            parts.get("Signature", ""), signature(method, target, headers, names, self.secret)
        ):
            raise Refusal(
                400, "SignatureDoesNotMatch", "Specified signature is not matched with our calculation."
            )
        if headers["x-acs-signature-nonce"] in self.nonces:
            raise Refusal(400, "SignatureNonceUsed")
        self.nonces.add(headers["x-acs-signature-nonce"])


@contextmanager
def aliyun_sms() -> Iterator[StandIn]:
    stand_in = StandIn()
    with serving(stand_in):
        yield stand_in


@contextmanager
def serving(stand_in: StandIn) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            stand_in.requests += 1
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            planned = stand_in.plan.pop(0) if stand_in.plan else None
            if isinstance(planned, bytes):
                self.answer(502, planned)
                return
            answer: dict[str, Any] = {"RequestId": "819BE656-D2E0", "BizId": "900619746936498440^0"}
            status = 200
            try:
                if isinstance(planned, Refusal):
                    raise planned
                answer |= stand_in.take("POST", self.path, headers, body)
            except Refusal as refusal:
                status = refusal.status
                answer |= {"Code": refusal.code, "Message": refusal.message}
            if isinstance(planned, float):
                time.sleep(planned)
            self.answer(status, json.dumps(answer).encode())

        def answer(self, status: int, text: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json;charset=utf-8")
            self.send_header("Content-Length", str(len(text)))
            with suppress(ConnectionError):  # who asked may be tired of waiting
                self.end_headers()
                self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stand_in.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
