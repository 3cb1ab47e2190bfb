"""A client of /dav/ for tests, over Django's own."""

import base64
from typing import Any
from urllib.parse import quote

from defusedxml import ElementTree
from django.test import Client

from accounts.models import User
from accounts.services import app_passwords

DAV = "{DAV:}"


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


class Dav:
    """`dav("PROPFIND", "/drive/a", Depth="1")`: header names with `_` for `-`; a path is quoted here."""

    def __init__(self, user: User, password: str | None = None) -> None:
        if password is None:
            password = app_passwords.create(user=user, name="测试机")[1]
        self.authorization = basic(user.username, password)
        self.client = Client()

    def __call__(self, method: str, path: str, body: bytes | str = b"", **headers: str) -> Any:
        sent = {"Authorization": self.authorization, **headers}
        if method == "PROPFIND":
            sent.setdefault("Depth", "0")
        named = {name.replace("_", "-"): value for name, value in sent.items()}
        return self.client.generic(
            method, "/dav" + quote(path), body, content_type="application/octet-stream", headers=named
        )

    def list(self, path: str) -> dict[str, dict[str, str]]:
        """What PROPFIND tells of a folder and what lies in it, by address."""
        answer = self("PROPFIND", path, Depth="1")
        assert answer.status_code == 207, answer.content
        return properties(answer.content)

    def put(self, path: str, content: bytes, **headers: str) -> Any:
        return self("PUT", path, content, **headers)


def properties(content: bytes) -> dict[str, dict[str, str]]:
    found = {}
    for response in ElementTree.fromstring(content).iter(f"{DAV}response"):
        props = {
            prop.tag.removeprefix(DAV): (prop.text or "")
            for status in response.iter(f"{DAV}propstat")
            if "200" in (status.findtext(f"{DAV}status") or "")
            for prop in status.findall(f"{DAV}prop/*")
        }
        found[response.findtext(f"{DAV}href") or ""] = props
    return found


LOCK = (
    '<D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope><D:locktype><D:write/></D:locktype>'
    "<D:owner>me</D:owner></D:lockinfo>"
)
