"""Our own pages as they are served; what they do is tried in test_login_page.py and test_account_page.py."""

import re
from html.parser import HTMLParser

import pytest
from django.conf import settings
from django.test import Client, RequestFactory
from django.views.defaults import server_error
from pytest_django import Settings

pytestmark = pytest.mark.django_db
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "media-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
PAGES = [
    "/login",
    "/account",
    "/teams",
    "/invitation",
    "/api/v1/wechat/callback?state=x",
    "/standin/wechat/connect/qrconnect",
]


class Foreign(HTMLParser):
    """What a strict policy would not run, and what is loaded from elsewhere."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "style" or (tag == "script" and not values.get("src")):
            self.found.append(tag)
        for name, value in attrs:
            loads = name == "src" or (tag == "link" and name == "href")
            if name == "style" or name.startswith("on") or (loads and not str(value).startswith("/static/")):
                self.found.append(f"{tag} {name}")


@pytest.mark.parametrize("path", PAGES)
def test_pages_run_nothing_but_our_own(path: str) -> None:
    answer = Client().get(path)
    assert answer["Content-Type"] == "text/html; charset=utf-8"
    said = dict(part.strip().split(" ", 1) for part in answer["Content-Security-Policy"].split(";"))
    assert said == POLICY
    page = answer.content.decode()
    assert Foreign(page).found == []
    for asset in re.findall(r'"(/static/[^"]+)"', page):
        served = Client().get(asset)
        assert served.status_code == 200, asset
        served.close()


def test_the_page_of_a_fault_needs_nothing_of_us(client: Client) -> None:
    answer = server_error(RequestFactory().get("/"))
    page = answer.content.decode()
    assert answer.status_code == 500 and "出错了" in page
    assert Foreign(page).found == []
    for asset in re.findall(r'"(/static/[^"]+)"', page):
        assert client.get(asset).status_code == 200, asset


@pytest.mark.parametrize("path", ["/admin/login/", "/docs", "/redoc"])
def test_pages_of_others_keep_their_own_policy(path: str) -> None:
    assert "Content-Security-Policy" not in Client().get(path)


def test_scripts_load_only_their_neighbours() -> None:
    for path in (settings.BASE_DIR / "static" / "accounts").glob("*.js"):
        served = Client().get(f"/static/accounts/{path.name}")
        text = b"".join(served).decode()
        for module in re.findall(r'from "([^"]+)"', text):
            assert re.fullmatch(r"\./\w+\.js", module)
        assert "innerHTML" not in text and "eval(" not in text
        served.close()


@pytest.mark.parametrize("path", ["/login", "/login/", "/account", "/account/", "/teams", "/teams/"])
def test_pages_are_only_read_and_never_kept(path: str) -> None:
    answer = Client().get(path)
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    assert "Accept-Language" in answer["Vary"]
    assert Client().post(path).status_code == 405


def test_the_language_is_that_of_the_browser() -> None:
    for asked, title in (
        ("en-GB,en;q=0.8", "Sign in · Yuntu"),
        ("zh-CN", "登录 · 盛世云图"),
        ("fr", "登录 · 盛世云图"),
    ):
        page = Client().get("/login", headers={"Accept-Language": asked}).content.decode()
        assert f"<title>{title}</title>" in page


def test_browsers_are_taken_from_the_root_to_the_sign_in(client: Client) -> None:
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    answer = client.get("/", headers={"Accept": browser})
    assert (answer.status_code, answer["Location"]) == (302, "/login")
    for accept in ("*/*", "application/json"):
        assert client.get("/", headers={"Accept": accept}).json()["api"] == "/api/v1"


@pytest.mark.parametrize("is_debugging", [False, True])
def test_a_page_that_is_not_there_says_so(
    admin_client: Client, settings: Settings, is_debugging: bool
) -> None:
    settings.DEBUG = is_debugging
    for path in ("/nowhere", "/tasks/nowhere", "/admin/nowhere/"):
        answer = admin_client.get(path, headers={"Accept-Language": "zh-hans"})
        assert answer.status_code == 404
        assert "页面不存在" in answer.content.decode()
        assert "urlpatterns" not in answer.content.decode()
    answer = admin_client.get("/api/v1/nowhere")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
