"""/drive in a real Chromium: the file manager as an artist uses it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.models import User
from drives.models import BlobPreview, Drive, Favourite, File, Folder, ShareLink
from tests.browser import chromium, open_page
from tests.drives.dav import Dav
from tests.drives.test_shares_page import picture
from tests.factories import put, token_of

__all__ = ["chromium", "open_page"]  # fixtures
pytestmark = pytest.mark.django_db(transaction=True)
Open = Callable[..., Page]


def signed_in(open_page: Open, user: User, width: int = 1440, locale: str = "zh-CN") -> Page:
    """The page of the drive for who has signed in before."""
    page = open_page("/login", width=width, locale=locale)
    kept = {"access_token": token_of(user), "refresh_token": "kept", "token_expires_at": "9999999999999"}
    page.evaluate(
        "(kept) => Object.entries(kept).forEach(([key, value]) => localStorage.setItem(key, value))", kept
    )
    page.goto("/drive")
    expect(page.get_by_role("tab").first).to_be_visible()
    return page


def row(page: Page, name: str) -> Any:
    return page.locator(f'#files li[aria-label="{name}"]')


def choose(page: Page, *names: str) -> None:
    """Choose these rows and no others."""
    expect(row(page, names[0])).to_be_visible()
    if page.locator("#doing").is_visible():
        tool(page, "取消选择").click()
    for name in names:
        row(page, name).get_by_role("checkbox").check()


def tool(page: Page, name: str) -> Any:
    return page.locator(".tools").get_by_role("button", name=name, exact=True)


def enter(page: Page, name: str) -> None:
    page.locator("#files").get_by_role("link", name=name, exact=True).click()


def more(page: Page, name: str) -> None:
    """What stands in the menu of what is chosen."""
    tool(page, "更多").click()
    page.get_by_role("menuitem", name=name, exact=True).click()


@pytest.fixture
def filled(owner: User, drive: Drive) -> None:
    # Lists begin with the newest; the page opens the default one.
    Drive.objects.create(user=owner, name="另一个")
    put(owner, "/场景/深/木头.txt", b"deep")
    put(owner, "/镜头/x.txt", b"x")
    file = put(owner, "/猫.png", picture())
    for size in BlobPreview.SIZES:
        BlobPreview.objects.create(blob=file.blob, size=size, state="ready", due_at=timezone.now())


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("width", [1440, 390])
def test_a_day_with_the_drive(open_page: Open, owner: User, tmp_path: Path, width: int) -> None:
    page = signed_in(open_page, owner, width)
    expect(page.locator("#files li")).to_have_count(3)
    expect(row(page, "猫.png").locator(".thumb img")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width

    # A look, a walk, a search, whose hit leads to its folder.
    enter(page, "猫.png")
    expect(page.locator("#picture")).to_be_visible()
    page.locator("#viewer").get_by_role("button", name="关闭").click()
    enter(page, "场景")
    enter(page, "深")
    expect(row(page, "木头.txt")).to_be_visible()
    page.go_back()
    expect(row(page, "深")).to_be_visible()
    page.get_by_label("搜索此网盘").fill("木")
    page.get_by_label("搜索此网盘").press("Enter")
    page.get_by_role("button", name="打开所在位置：/场景/深").click()
    expect(row(page, "木头.txt")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#trail")).to_contain_text("深")
    page.locator("#trail a").first.click()
    expect(page.locator("#files li")).to_have_count(3)

    # Uploads: a short file and one of several parts.
    (tmp_path / "短.txt").write_bytes(b"short")
    (tmp_path / "long.bin").write_bytes(b"x" * (6 << 20))
    page.locator("#pick-files").set_input_files([tmp_path / "短.txt", tmp_path / "long.bin"])
    expect(page.locator("#batches")).to_contain_text("2 个文件已全部上传。", timeout=30_000)
    expect(page.locator("#files li")).to_have_count(5)
    assert File.objects.get(name="long.bin").size == 6 << 20
    page.locator("#upload-close").click()

    # A folder, a name that is taken, another name.
    tool(page, "新建文件夹").click()
    page.get_by_role("textbox", name="名称", exact=True).fill("场景")
    page.get_by_role("button", name="确认", exact=True).click()
    expect(page.locator("#name-form .form-error")).to_be_visible()
    page.get_by_role("textbox", name="名称", exact=True).fill("新的")
    page.get_by_role("button", name="确认", exact=True).click()
    expect(row(page, "新的")).to_be_visible()
    choose(page, "短.txt")
    more(page, "重命名")
    page.get_by_role("textbox", name="名称", exact=True).fill("长.txt")
    page.get_by_role("button", name="确认", exact=True).click()
    expect(row(page, "长.txt")).to_be_visible()

    # Two of them into the folder, a copy back.
    choose(page, "长.txt", "long.bin")
    tool(page, "移动").click()
    page.locator("#folder-tree").get_by_text("新的").click()
    page.get_by_role("button", name="移动到这里").click()
    expect(page.locator("#files li")).to_have_count(4)
    assert set(File.objects.filter(folder__name="新的").values_list("name", flat=True)) == {
        "长.txt",
        "long.bin",
    }
    choose(page, "猫.png")
    more(page, "复制")
    page.get_by_role("button", name="复制到这里").click()
    expect(row(page, "猫 (1).png")).to_be_visible()

    # A selection as a ZIP, a file as it is.
    choose(page, "猫.png", "场景")
    with page.expect_download() as download:
        tool(page, "下载").click()
    assert download.value.suggested_filename.endswith(".zip")
    page.locator("#all").check()
    page.locator("#all").uncheck()

    # Away, back, away for good.
    choose(page, "猫 (1).png", "新的")
    tool(page, "移入回收站").click()
    expect(page.locator("#files li")).to_have_count(3)
    page.get_by_role("tab", name="回收站").click()
    expect(page.locator("#files li")).to_have_count(2)
    choose(page, "新的")
    tool(page, "恢复").click()
    expect(page.locator("#files li")).to_have_count(1)
    tool(page, "清空回收站").click()
    page.locator("#sure-yes").click()
    expect(page.get_by_text("回收站是空的。")).to_be_visible()
    page.get_by_role("tab", name="文件").click()
    expect(page.locator("#files li")).to_have_count(4)
    assert Folder.objects.get(name="新的").path == "/新的"
    assert not File.objects.filter(name="猫 (1).png").exists()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.usefixtures("filled")
def test_sharing(open_page: Open, owner: User) -> None:
    page = signed_in(open_page, owner)
    choose(page, "场景")
    tool(page, "分享").click()
    page.get_by_label("有效天数").fill("0")
    page.get_by_role("button", name="创建链接").click()
    expect(page.locator("#share-days-error")).to_be_visible()
    page.get_by_label("有效天数").fill("3")
    page.get_by_label("下载次数上限").fill("5")
    page.locator("#share-password").fill("芝麻")
    page.get_by_role("button", name="创建链接").click()
    expect(page.locator("#share-dialog").get_by_label("地址")).to_have_value(re.compile("/s/.{32}$"))
    share = ShareLink.objects.get()
    assert (share.max_downloads, share.has_password, share.expires_at is not None) == (5, True, True)
    expect(page.locator("#shares li")).to_contain_text("下载次数：0 / 5")
    page.locator("#shares").get_by_role("button", name="撤销").click()
    expect(page.locator("#shares li")).to_have_count(0)
    share.refresh_from_db()
    assert share.revoked_at is not None


def test_who_is_not_signed_in_signs_in_first(open_page: Open) -> None:
    page = open_page("/drive")
    page.wait_for_url("**/login")


@pytest.mark.usefixtures("filled")
def test_a_link_is_changed_where_it_was_made(open_page: Open, owner: User) -> None:
    page = signed_in(open_page, owner, 390)
    choose(page, "猫.png")
    tool(page, "分享").click()
    dialog = page.locator("#share-dialog")
    dialog.get_by_label("密码（可留空）").fill("芝麻")
    dialog.get_by_role("button", name="创建链接").click()
    link = dialog.get_by_role("listitem")
    expect(link).to_have_count(1)
    share = ShareLink.objects.get()
    ends = share.expires_at

    link.get_by_role("button", name="修改").click()
    expect(dialog.get_by_label("有效天数")).to_have_value("7")
    dialog.get_by_label("下载次数上限").fill("0")
    dialog.get_by_role("button", name="保存").click()
    expect(dialog.locator("#share-most-error")).to_be_visible()
    dialog.get_by_label("下载次数上限").fill("3")
    dialog.get_by_role("button", name="保存").click()
    expect(link).to_contain_text("0 / 3")
    share.refresh_from_db()
    # What was left as it was stays as it was.
    assert (share.max_downloads, share.expires_at, share.has_password) == (3, ends, True)
    expect(dialog.get_by_role("button", name="创建链接")).to_be_visible()

    link.get_by_role("button", name="修改").click()
    dialog.get_by_label("有效天数").fill("")
    dialog.get_by_label("取消密码").check()
    dialog.get_by_role("button", name="保存").click()
    expect(link).to_contain_text("长期有效")
    share.refresh_from_db()
    assert (share.max_downloads, share.expires_at, share.has_password) == (3, None, False)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("width", [768])
def test_favourites_and_earlier_versions(open_page: Open, owner: User, width: int) -> None:
    put(owner, "/镜头/x.txt", b"second")
    page = signed_in(open_page, owner, width)
    row(page, "场景").get_by_role("button", name="收藏：场景").click()
    enter(page, "镜头")
    row(page, "x.txt").get_by_role("button", name="收藏：x.txt").click()
    expect(row(page, "x.txt").locator(".star")).to_have_attribute("aria-pressed", "true")

    page.get_by_role("tab", name="收藏").click()
    expect(page.locator("#files li")).to_have_count(2)
    expect(row(page, "x.txt")).to_contain_text("/镜头")
    expect(tool(page, "新建文件夹")).to_be_hidden()
    row(page, "场景").locator(".star").click()
    expect(row(page, "场景").locator(".star")).to_have_attribute("aria-pressed", "false")
    assert [mark.file and mark.file.name for mark in Favourite.objects.all()] == ["x.txt"]

    choose(page, "x.txt")
    more(page, "历史版本")
    dialog = page.locator("#versions-dialog")
    expect(dialog.get_by_role("listitem")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    with page.expect_download() as download:
        dialog.get_by_role("button", name="下载").click()
    assert download.value.path().read_bytes() == b"x"
    dialog.get_by_role("button", name="恢复").click()
    expect(dialog).to_be_hidden()
    assert File.objects.get(name="x.txt").size == 1

    # Back to where a folder lies; what is no file has no versions.
    page.get_by_role("tab", name="文件").click()
    page.locator("#trail a").first.click()
    choose(page, "镜头")
    tool(page, "更多").click()
    expect(page.get_by_role("menuitem", name="分享")).to_be_visible()
    expect(page.get_by_role("menuitem", name="历史版本")).to_have_count(0)


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("width", [390])
def test_a_password_for_a_network_drive(open_page: Open, owner: User, width: int) -> None:
    page = signed_in(open_page, owner, width)
    page.get_by_text("文件夹、成员、设置").click()
    page.get_by_role("button", name="网络驱动器").click()
    dialog = page.locator("#network-dialog")
    expect(dialog.get_by_label("地址")).to_have_value(re.compile("/dav/$"))
    dialog.get_by_role("button", name="生成密码").click()
    expect(dialog.locator("#network-device-error")).to_be_visible()
    dialog.get_by_label("设备名称").fill("工作站")
    dialog.get_by_role("button", name="生成密码").click()
    expect(dialog.get_by_role("listitem")).to_contain_text("尚未使用")
    password = dialog.get_by_label("密码", exact=True).input_value()
    assert Dav(owner, password)("PROPFIND", "/").status_code == 207
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    dialog.get_by_role("button", name="撤销").click()
    expect(dialog.get_by_role("listitem")).to_have_count(0)
    assert Dav(owner, password)("PROPFIND", "/").status_code == 401


@pytest.mark.parametrize("width", [1440, 390])
def test_all_of_a_folder_is_chosen_however_much_is_shown(open_page: Open, owner: User, width: int) -> None:
    file = put(owner, "/贴图/0000.txt", b"x")
    copies = [
        File(drive=file.drive, folder=file.folder, name=f"{number:04}.txt", blob=file.blob, size=1)
        for number in range(1, 620)
    ]
    File.objects.bulk_create(copies)
    Drive.objects.filter(pk=file.drive.pk).update(used_size=620)
    page = signed_in(open_page, owner, width)
    enter(page, "贴图")
    expect(page.locator("#count")).to_have_text("共 620 项")
    everything = page.get_by_role("button", name="选择全部 620 项")
    row(page, "0000.txt").get_by_role("checkbox").check()
    expect(everything).to_be_hidden()
    page.locator("#all").check()
    expect(page.locator("#chosen")).to_have_text("已选 200 项")
    everything.click()
    expect(page.locator("#chosen")).to_have_text("已选 620 项")
    expect(everything).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # Rows that come later show that they are chosen.
    page.locator("#more").scroll_into_view_if_needed()
    expect(row(page, "0300.txt")).to_have_attribute("aria-selected", "true")
    # And whoever gives it up has nothing chosen, not even what has no row yet.
    page.locator("#all").uncheck()
    expect(page.locator("#doing")).to_be_hidden()
    page.locator("#all").check()
    everything.click()
    expect(page.locator("#chosen")).to_have_text("已选 620 项")
    tool(page, "下载").click()
    expect(page.get_by_role("status").filter(has_text="一次最多下载 500 项")).to_be_visible()
    tool(page, "移入回收站").click()
    expect(page.get_by_text("此文件夹为空")).to_be_visible()
    assert not File.objects.living().exists()


def test_one_thing_is_one_in_english(open_page: Open, owner: User) -> None:
    put(owner, "/one.txt", b"x")
    page = signed_in(open_page, owner, locale="en-US")
    expect(page.locator("#count")).to_have_text("1 item")
    page.locator("#pick-files").set_input_files({"name": "two.txt", "mimeType": "text/plain", "buffer": b"x"})
    expect(page.locator("#batches li")).to_contain_text("The file is there.")
    expect(page.locator("#count")).to_have_text("2 items")
