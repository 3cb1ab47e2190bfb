"""Uploads of /drive that are cut off: how fast they go, and how they are brought to their end or given up."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect

from accounts.models import User
from drives.models import File
from drives.storage import blob_storage
from tests.browser import chromium, open_page, pages_of
from tests.drives.test_drive_page import choose, more, signed_in
from tests.factories import token_of
from tests.racing import wait_for
from uploads.models import UploadPart, UploadTask

__all__ = ["chromium", "open_page"]  # fixtures
pytestmark = pytest.mark.django_db(transaction=True)
Open = Callable[..., Page]
PART = 100_000


def content_of(file: File) -> bytes:
    with blob_storage().open_blob(file.blob.storage_key, 0, file.size) as found:
        return bytes(found.read())


@pytest.fixture
def small_parts(settings: Any) -> None:
    settings.UPLOAD_PART_SIZE = PART
    settings.UPLOAD_DIRECT_MAX_SIZE = PART


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A folder with a short file, and two of three parts that have the same name and size."""
    folder = tmp_path / "灯笼"
    for name, content in {
        "a.txt": b"short",
        "left/tex.bin": b"".join(bytes([number]) * PART for number in (1, 2, 3)),
        "right/tex.bin": b"".join(bytes([number]) * PART for number in (4, 5, 6)),
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def cut_off(page: Page, scene: Path) -> None:
    """Begin to upload the folder, and reload the page while the second parts are on their way."""
    page.route("**/multipart/parts/2", lambda _route: None)
    page.locator("#pick-folder").set_input_files(scene)
    expect(page.locator("#batches li")).to_contain_text("1 / 3 个文件", timeout=30_000)
    wait_for(lambda: UploadPart.objects.filter(number=1).count() == 2)
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    page.unroute_all()


@pytest.mark.usefixtures("small_parts")
def test_over_plain_http_where_browsers_have_no_locks(
    chromium: Browser, live_server: Any, settings: Any, owner: User, scene: Path
) -> None:
    settings.ALLOWED_HOSTS = ["farm.example"]
    port = live_server.url.rsplit(":")[-1]
    with pages_of(chromium, f"http://farm.example:{port}") as open_page:
        page = signed_in(open_page, owner)
        assert page.evaluate("!isSecureContext && !navigator.locks")
        page.evaluate("localStorage.setItem('token_expires_at', '0')")  # refused, and signed out
        page.locator("#pick-folder").set_input_files(scene)
        expect(page).to_have_url(re.compile("/login"))
        page = signed_in(open_page, owner)
        page.locator("#pick-folder").set_input_files(scene)
        expect(page.locator("#batches")).to_contain_text("3 个文件已全部上传。")
        expect(page.locator("#unfinished-box")).to_be_hidden()

        # Of two calls with a token that has run out one exchanges it.
        exchanged: list[str] = []
        fresh = {"access_token": token_of(owner), "refresh_token": "next", "expires_in": 900}

        def exchange(route: Route) -> None:
            exchanged.append(route.request.post_data or "")
            route.fulfill(json=fresh)

        page.route("**/auth/refresh", exchange)
        page.evaluate("localStorage.setItem('token_expires_at', '0')")
        with page.expect_response(lambda answer: "status=pending" in answer.url):
            page.evaluate("dispatchEvent(new Event('batch-over'))")
        assert len(exchanged) == 1

        # Texts are copied all the same.
        choose(page, "灯笼")
        more(page, "复制成员链接")
        expect(page.get_by_role("status").filter(has_text="已复制。")).to_be_visible()
        page.locator("#keyword").focus()
        page.keyboard.press("Control+V")
        expect(page.locator("#keyword")).to_have_value(re.compile("/drive#file/"))
    assert File.objects.count() == 3


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("width", [1440, 390])
def test_an_upload_that_was_cut_off_is_brought_to_its_end(
    open_page: Open, owner: User, scene: Path, width: int
) -> None:
    page = signed_in(open_page, owner, width)
    cut_off(page, scene)
    left = page.locator("#unfinished li").first
    expect(left).to_contain_text("灯笼")
    expect(left).to_contain_text("已有 1 / 3 个文件")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    left.get_by_text("缺少的文件").click()
    expect(left.locator(".faults")).to_contain_text("灯笼/left/tex.bin")
    sent: list[str] = []

    def note(request: Request) -> None:
        if request.method in ("PUT", "POST"):
            sent.append(request.url)

    page.on("request", note)

    def choose(name: str, path: Path) -> None:
        with page.expect_file_chooser() as chooser:
            left.get_by_role("button", name=name, exact=True).click()
        chooser.value.set_files(path)

    # What is none of it is not taken, nor what might be another.
    choose("重新选择文件", scene / "a.txt")
    expect(page.locator("#batches li").first).to_contain_text("都不是")
    choose("重新选择文件", scene / "left" / "tex.bin")
    expect(page.locator("#batches li")).to_have_count(2)
    expect(page.locator("#batches li").first).to_contain_text("都不是")
    assert not [url for url in sent if "/files/" in url]

    choose("重新选择文件夹", scene)
    expect(page.locator("#batches li").first).to_contain_text("3 个文件已全部上传。", timeout=30_000)
    expect(page.locator("#unfinished-box")).to_be_hidden()
    parts = sorted(url.rpartition("/")[2] for url in sent if "/parts/" in url)
    assert (parts, [url for url in sent if url.endswith("/upload")]) == (["2", "2", "3", "3"], [])
    assert UploadTask.objects.get().status == UploadTask.Status.COMPLETED
    for path in scene.rglob("*.*"):
        file = File.objects.select_related("blob").get(name=path.name, folder__name=path.parent.name)
        assert content_of(file) == path.read_bytes()


@pytest.mark.usefixtures("small_parts")
def test_an_upload_that_was_cut_off_is_given_up(open_page: Open, owner: User, scene: Path) -> None:
    page = signed_in(open_page, owner)
    cut_off(page, scene)
    page.locator("#unfinished li").get_by_role("button", name="放弃").click()
    page.locator("#sure-yes").click()
    expect(page.locator("#unfinished-box")).to_be_hidden()
    assert UploadTask.objects.get().status == UploadTask.Status.CANCELLED
    assert list(File.objects.values_list("name", flat=True)) == ["a.txt"]


@pytest.mark.usefixtures("small_parts")
def test_an_upload_tells_how_fast_it_goes_and_how_long_it_takes(
    open_page: Open, owner: User, scene: Path
) -> None:
    page = signed_in(open_page, owner)
    slow = [True]

    def hold_up(route: Route) -> None:
        page.wait_for_timeout(1200)
        while slow[0] and route.request.url.endswith("/3"):
            page.wait_for_timeout(100)
        route.continue_()

    page.route("**/multipart/parts/*", hold_up)
    page.locator("#pick-files").set_input_files(scene / "left" / "tex.bin")
    expect(page.locator("#batches li")).to_contain_text("/秒 · 剩余")
    slow[0] = False
    expect(page.locator("#batches li")).to_contain_text("1 个文件已全部上传。", timeout=30_000)
