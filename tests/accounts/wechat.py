"""What the tests of WeChat do again and again: people of the stand-in who scan, and their sign-ins."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from django.conf import settings

from accounts.wechat import standin
from tests.accounts.conftest import codes_sent
from tests.conftest import Client


def start(api: Client) -> dict[str, Any]:
    """A new sign-in; `state` is what only the QR code carries."""
    answer = api.post("/wechat/qrcode", {"device_type": "pc"})
    assert answer.status_code == 200, answer.json()
    body: dict[str, Any] = answer.json()
    return {**body, "state": parameters(body["qr_code_url"])["state"]}


def parameters(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def code_of(name: str, url: str) -> str:
    """The code that WeChat would lead back with when the person confirms at `url`."""
    answer = httpx.get(url.partition("#")[0] + f"&as={name}")
    assert answer.status_code == 302, answer.text
    return parameters(answer.headers["Location"])["code"]


def scan(api: Client, login: dict[str, Any], name: str = "lin") -> Any:
    """The person confirms on their phone, and WeChat leads the phone's browser back."""
    code = code_of(name, login["qr_code_url"])
    return Client().get(f"/wechat/callback?code={code}&state={login['state']}")


def poll(api: Client, login: dict[str, Any]) -> dict[str, Any]:
    answer = api.get(f"/wechat/poll/{login['session_id']}")
    assert answer.status_code == 200, answer.json()
    body: dict[str, Any] = answer.json()
    return body


def scanned(api: Client, name: str = "lin") -> tuple[dict[str, Any], str]:
    """A sign-in of somebody who is new here, and its session token."""
    login = start(api)
    assert scan(api, login, name).status_code == 200
    body = poll(api, login)
    assert body["status"] == "scanned"
    return login, body["session_token"]


def phone_code(phone: str, purpose: str = "bind_phone") -> str:
    answer = Client().post("/auth/send-code", {"phone": phone, "purpose": purpose})
    assert answer.status_code == 200, answer.json()
    return codes_sent(phone)[-1]


def bind_new(api: Client, name: str, phone: str) -> dict[str, Any]:
    """Somebody new, bound to a phone and signed in."""
    _login, token = scanned(api, name)
    form = {"session_token": token, "phone": phone, "verification_code": phone_code(phone)}
    answer = api.post("/wechat/bind-phone", form)
    assert answer.status_code == 201, answer.json()
    body: dict[str, Any] = answer.json()
    return body


def openid_of(name: str, appid: str = "") -> str:
    found: str = standin.person_of(name, appid or settings.WECHAT_MP_APP_ID)["openid"]
    return found


def unionid_of(name: str) -> str:
    found: str = standin.person_of(name, "any")["unionid"]
    return found
