"""/s/<token> in a real Chromium: what a stranger does with a link."""

import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from django.utils import timezone
from PIL import Image
from playwright.sync_api import Page, expect

from accounts.models import User
from drives.models import BlobPreview, File, Folder
from drives.services.drives import default_drive
from drives.services.shares import create_share
from tests.browser import chromium, open_page
from tests.factories import PASSWORD, put

__all__ = ["chromium", "open_page"]  # fixtures
pytestmark = pytest.mark.django_db(transaction=True)
Open = Callable[..., Page]


def picture() -> bytes:
    file = BytesIO()
    Image.new("RGB", (40, 30), "teal").save(file, "PNG")
    return file.getvalue()


def shared(owner: User, **options: object) -> str:
    put(owner, "/灯笼/夜景/x.txt", b"deep")
    file = put(owner, "/灯笼/猫.png", picture())
    # As the worker leaves them: of so small a picture, the picture itself.
    for size in BlobPreview.SIZES:
        BlobPreview.objects.create(blob=file.blob, size=size, state="ready", due_at=timezone.now())
    folder = Folder.objects.select_related("drive").get(path="/灯笼")
    _share, token = create_share(entry=folder, actor=owner, **options)  # type: ignore[arg-type]
    return f"/s/{token}"


@pytest.mark.parametrize("width", [1280, 390])
def test_a_stranger_looks_and_downloads(open_page: Open, owner: User, width: int) -> None:
    page = open_page(shared(owner, password="芝麻"), width=width)
    page.get_by_label("密码").fill("wrong")
    page.get_by_role("button", name="打开").click()
    expect(page.get_by_role("alert").filter(visible=True)).to_have_text("密码不正确。")
    page.get_by_label("密码").fill("芝麻")
    page.get_by_role("button", name="打开").click()
    expect(page.get_by_role("heading", name="灯笼")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sign = page.get_by_role("listitem").filter(has_text="夜景").locator(".thumb svg")
    assert sign.evaluate("(sign) => [getComputedStyle(sign).fill, sign.clientWidth]") == ["none", 34]

    cat = page.get_by_role("listitem").filter(has_text="猫.png")
    expect(cat.locator(".thumb img")).to_be_visible()
    cat.get_by_role("button", name="预览").click()
    expect(page.locator("#picture")).to_be_visible()
    assert (
        page.locator("#picture").evaluate("async (image) => (await image.decode(), image.naturalWidth)") == 40
    )
    page.get_by_role("button", name="关闭").click()

    page.get_by_role("button", name="夜景").click()
    with page.expect_download() as download:
        page.get_by_role("listitem").filter(has_text="x.txt").get_by_role("button", name="下载").click()
    assert download.value.suggested_filename == "x.txt"
    assert Path(download.value.path()).read_bytes() == b"deep"
    page.get_by_role("navigation").get_by_role("button", name="灯笼").click()
    expect(page.get_by_role("listitem")).to_have_count(2)


def test_the_last_download_and_what_follows(open_page: Open, owner: User) -> None:
    path = shared(owner, max_downloads=1)
    page = open_page(path)
    expect(page.locator("#facts")).to_have_text("剩余下载次数：1")
    cat = page.get_by_role("listitem").filter(has_text="猫.png")
    expect(cat.locator(".thumb img")).to_be_visible()
    expect(cat.get_by_role("button", name="预览")).to_have_count(0)
    with page.expect_download() as download:
        page.locator("#all").click()
    assert download.value.suggested_filename == "灯笼.zip"
    expect(page.get_by_role("alert").filter(visible=True)).to_have_text("该分享链接的下载次数已用完。")
    page.goto(path[:-1])
    expect(page.get_by_role("alert").filter(visible=True)).to_have_text("没有此分享链接。")


@pytest.mark.parametrize("width", [1440, 390])
def test_what_is_shared_is_saved_after_signing_in(
    open_page: Open, owner: User, stranger: User, width: int
) -> None:
    put(stranger, "/参考/猫.png", b"mine")
    page = open_page(shared(owner, password="芝麻", max_downloads=2), width=width)
    page.get_by_label("密码").fill("芝麻")
    page.get_by_role("button", name="打开").click()
    cat = page.get_by_role("listitem").filter(has_text="猫.png")
    cat.get_by_role("button", name="保存").click()
    expect(page).to_have_url(re.compile("/login$"))
    form = page.locator("#password-form")
    expect(form.get_by_label("用户名、手机号或邮箱")).to_be_focused()  # the page is at work
    form.get_by_label("用户名、手机号或邮箱").fill(stranger.username)
    form.get_by_label("密码").fill(PASSWORD)
    form.get_by_role("button", name="登录").click()

    # Back at the link, what was wanted is asked for at once.
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name="将“猫.png”保存到我的网盘")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    dialog.get_by_role("treeitem", name="参考").locator(".node").click()
    dialog.get_by_role("button", name="保存到此处").click()
    expect(dialog.get_by_role("alert")).to_be_visible()
    dialog.get_by_role("button", name="两者都保留").click()
    expect(page.get_by_role("status")).to_contain_text("已保存到您的网盘")
    expect(page.locator("#facts")).to_contain_text("剩余下载次数：1")
    names = File.objects.filter(drive=default_drive(user=stranger)).values_list("name", flat=True)
    assert len(names) == 2

    # All of it, which is the last of it.
    page.locator("#save-all").click()
    dialog.get_by_role("button", name="保存到此处").click()
    expect(page.get_by_role("alert").filter(visible=True)).to_have_text("该分享链接的下载次数已用完。")
    page.get_by_role("link", name="打开所在位置").click()
    expect(page.locator('#files li[aria-label="灯笼"]')).to_have_attribute("aria-selected", "true")
