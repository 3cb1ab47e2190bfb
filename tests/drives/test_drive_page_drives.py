"""/drive in a real Chromium: several drives, who else uses them, what was done; dragging, keys, taken names."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from accounts.models import Team, TeamMember, User
from drives.models import Drive, DriveMember, File, FileOperation, Folder
from drives.services.places import ensure_folders
from tests.browser import chromium, open_page
from tests.drives.test_drive_page import Open, choose, enter, more, row, signed_in, tool
from tests.factories import make_user, put
from tests.racing import wait_for

__all__ = ["chromium", "open_page"]  # fixtures
pytestmark = pytest.mark.django_db(transaction=True)


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def names(page: Page) -> list[str]:
    return [row.get_attribute("aria-label") or "" for row in page.locator("#files li").all()]


def drop_files(page: Page, target: Any, paths: list[Path]) -> None:
    """Drop files and folders of the desktop, as a person does: once the target shows that it will take them."""
    devtools = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}

    def drag(kind: str) -> bool:
        box = target.bounding_box()  # read anew: the list may still move
        point = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        devtools.send("Input.dispatchDragEvent", {"type": kind, **point, "data": data})
        return "drop" in (target.get_attribute("class") or "").split()

    target.scroll_into_view_if_needed()
    drag("dragEnter")
    wait_for(lambda: drag("dragOver"))
    drag("drop")


def test_drives_are_made_changed_and_deleted(open_page: Open, owner: User, drive: Drive) -> None:
    team = Team.objects.create(name="光年")
    TeamMember.objects.create(team=team, user=owner, role="owner")
    put(owner, "/贴图/木.png", b"wood")
    page = signed_in(open_page, owner, 768)
    page.get_by_role("button", name="新建网盘").click()
    dialog = page.locator("#drive-dialog")
    dialog.get_by_label("名称").fill("归档")
    dialog.get_by_label("容量").fill("9999999")
    dialog.get_by_role("button", name="创建网盘").click()
    expect(dialog.locator("#drive-size-error")).to_be_visible()
    dialog.get_by_label("容量").fill("1.5")
    dialog.get_by_role("button", name="创建网盘").click()
    expect(page.locator("#trail")).to_have_text("归档")
    expect(page.get_by_text("网盘是空的。")).to_be_visible()
    made = Drive.objects.get(name="归档")
    assert made.total_size == 3 * 2**29

    page.get_by_role("button", name="网盘设置").click()
    dialog.get_by_label("名称").fill("旧项目")
    dialog.get_by_label("盘符").select_option("Z")
    dialog.get_by_label("设为默认网盘").check()
    dialog.get_by_role("button", name="保存").click()
    expect(page.locator("#trail")).to_have_text("旧项目")
    made.refresh_from_db()
    # What was left as it was stays as it was.
    assert (made.name, made.letter, made.is_default, made.total_size) == ("旧项目", "Z", True, 3 * 2**29)

    page.get_by_role("button", name="新建网盘").click()
    dialog.get_by_label("所有者").select_option(label="团队：光年")
    dialog.get_by_label("名称").fill("素材")
    dialog.get_by_role("button", name="创建网盘").click()
    expect(page.locator("#trail")).to_have_text("素材")
    assert Drive.objects.get(name="素材").team == team

    # What takes the room of the other one.
    page.locator("#drives").select_option(str(drive.pk))
    page.get_by_title("空间用量").click()
    usage = page.locator("#usage-dialog")
    expect(usage.locator("#usage-types li")).to_contain_text("图片")
    usage.get_by_role("button", name="贴图").click()
    usage.get_by_role("button", name="打开此文件夹").click()
    expect(row(page, "木.png")).to_be_visible()

    # Deleted only by who types its name.
    page.locator("#drives").select_option(str(made.pk))
    expect(page.locator("#trail")).to_have_text("旧项目")
    page.get_by_role("button", name="网盘设置").click()
    dialog.get_by_role("button", name="删除此网盘").click()
    expect(page.locator("#sure-yes")).to_be_disabled()
    page.get_by_label("请输入“旧项目”以确认").fill("旧项目")
    page.locator("#sure-yes").click()
    expect(page.locator("#drives")).not_to_contain_text("旧项目")
    made.refresh_from_db()
    assert not made.is_active
    assert page.evaluate("document.documentElement.scrollWidth") <= 768

    # An old address of a folder that is gone says so, and takes nothing.
    page.goto(f"/drive#/{drive.pk}/没有")
    expect(page.get_by_text("此文件夹已不在这里。")).to_be_visible()
    expect(tool(page, "上传文件")).to_be_hidden()


def test_more_than_one_answer_holds(open_page: Open, owner: User, drive: Drive) -> None:
    Drive.objects.bulk_create(Drive(user=owner, name=f"镜头 {number:03}") for number in range(120))
    friends = User.objects.bulk_create(User(username=f"friend{number:03}") for number in range(120))
    DriveMember.objects.bulk_create(
        DriveMember(drive=drive, user=friend, role="viewer") for friend in friends
    )
    page = signed_in(open_page, owner)
    expect(page.locator("#drives option")).to_have_count(121)
    page.get_by_role("button", name="成员", exact=True).click()
    expect(page.locator("#members li")).to_have_count(120)


def test_members_and_what_they_did(open_page: Open, owner: User, drive: Drive) -> None:
    guest = make_user(username="lin")
    put(owner, "/镜头/x.txt", b"x")
    page = signed_in(open_page, owner)
    page.get_by_role("button", name="成员").click()
    dialog = page.locator("#members-dialog")
    dialog.get_by_label("用户名").fill("nobody")
    dialog.get_by_role("button", name="添加").click()
    expect(dialog.locator("#members-form .form-error")).to_have_text("没有这个用户名。")
    dialog.get_by_label("用户名").fill("lin")
    dialog.get_by_role("button", name="添加").click()
    with page.expect_response("**/members/*"):
        dialog.get_by_label("lin 的角色").select_option("editor")
    assert DriveMember.objects.get(drive=drive).role == "editor"

    # An editor changes files, and nothing else.
    theirs = signed_in(open_page, guest)
    theirs.locator("#drives").select_option(label=f"{drive.name} (owner)")
    choose(theirs, "镜头")
    tool(theirs, "重命名").click()
    theirs.get_by_role("textbox", name="名称", exact=True).fill("镜头二")
    theirs.get_by_role("button", name="确认", exact=True).click()
    expect(row(theirs, "镜头二")).to_have_attribute("aria-selected", "true")
    expect(tool(theirs, "分享")).to_be_hidden()
    expect(theirs.get_by_role("button", name="网盘设置")).to_be_hidden()

    # The log says so, narrowed to one item and one person; who may only look sees no way to change.
    dialog.get_by_role("button", name="关闭").click()
    page.reload()
    choose(page, "镜头二")
    more(page, "操作记录")
    expect(page.locator("#operations li")).to_have_count(1)
    expect(page.locator("#operations")).to_contain_text("lin 重命名了")
    expect(page.locator("#operations")).to_contain_text("/镜头 → /镜头二")
    page.get_by_role("button", name="查看全部").click()
    expect(page.locator("#operations li")).to_have_count(FileOperation.objects.filter(drive=drive).count())
    page.get_by_role("button", name="只看 lin").click()
    expect(page.locator("#operations li")).to_have_count(1)
    page.get_by_label("操作类型").select_option("upload")
    expect(page.locator("#no-operations")).to_be_visible()
    DriveMember.objects.update(role="viewer")
    theirs.reload()
    expect(theirs.get_by_text("只读：可以查看和下载，不能修改。")).to_be_visible()
    expect(tool(theirs, "上传文件")).to_be_hidden()
    choose(theirs, "镜头二")
    expect(tool(theirs, "下载")).to_be_visible()
    for name in ("移动", "重命名", "移入回收站"):
        expect(tool(theirs, name)).to_be_hidden()
    theirs.get_by_role("button", name="成员").click()
    theirs.locator("#members-dialog").get_by_role("button", name="退出").click()
    expect(theirs.locator("#drives")).not_to_contain_text("(owner)")
    assert not DriveMember.objects.exists()


def test_names_that_are_taken(open_page: Open, owner: User, tmp_path: Path) -> None:
    put(owner, "/a.txt", b"there")
    put(owner, "/to/a.txt", b"old")
    put(owner, "/to/b/x", b"x")
    put(owner, "/b/y", b"y")
    page = signed_in(open_page, owner)
    (tmp_path / "a.txt").write_bytes(b"newer")
    (tmp_path / "c.txt").write_bytes(b"c")
    chosen = [tmp_path / "a.txt", tmp_path / "c.txt"]
    clash = page.locator("#clash-dialog")

    page.locator("#pick-files").set_input_files(chosen)
    expect(clash.get_by_role("listitem")).to_have_text(["/a.txt"])
    clash.get_by_role("button", name="跳过").click()
    expect(page.locator("#batches")).to_contain_text("1 个文件已全部上传。")
    assert File.objects.get(name="a.txt", folder=None).size == 5
    page.locator("#pick-files").set_input_files(chosen)
    clash.get_by_role("button", name="两者都保留").click()
    expect(row(page, "a (1).txt")).to_be_visible()
    expect(row(page, "c (1).txt")).to_be_visible()

    # Of a selection each has its answer; a file may be replaced, a folder not.
    outcome = page.locator("#outcome-dialog")
    choose(page, "a (1).txt", "b", "a.txt")
    tool(page, "移动").click()
    page.locator("#folder-tree").get_by_text("to").click()
    page.get_by_role("button", name="移动到这里").click()
    expect(outcome.locator("li")).to_have_count(2)
    expect(outcome.locator("li").first).to_contain_text("已存在同名项目")
    outcome.get_by_role("button", name="替换").click()
    expect(outcome.locator("li")).to_have_text(["b已存在同名项目。"])
    expect(outcome.get_by_role("button", name="替换")).to_be_hidden()
    outcome.get_by_role("button", name="跳过").click()
    expect(page.locator("#toast")).to_contain_text("已移动 2 项")
    expect(row(page, "a.txt")).to_have_count(0)
    assert names(page) == ["b", "to", "c (1).txt", "c.txt"]
    replaced = File.objects.get(name="a.txt", folder__path="/to")
    assert (replaced.size, replaced.versions.get().size) == (5, 3)

    # A restore whose place is gone goes where one says.
    enter(page, "to")
    choose(page, "a (1).txt")
    tool(page, "移入回收站").click()
    expect(page.locator("#toast")).to_contain_text("已将 1 项移入回收站")
    page.locator("#trail a").first.click()
    choose(page, "to")
    tool(page, "移入回收站").click()
    page.get_by_role("tab", name="回收站").click()
    choose(page, "a (1).txt")
    tool(page, "恢复").click()
    outcome.get_by_role("button", name="选择其他文件夹").click()
    page.locator("#folder-tree").get_by_text("b", exact=True).click()
    page.get_by_role("button", name="恢复到这里").click()
    expect(page.locator("#toast")).to_contain_text("已恢复 1 项")
    assert File.objects.living().get(name="a (1).txt").folder_path == "/b"


def test_dragging_and_keys(open_page: Open, owner: User, drive: Drive, tmp_path: Path) -> None:
    for name in ("一.txt", "二.txt", "三.md"):
        put(owner, f"/{name}", "中文".encode("gb18030"))
    ensure_folders(drive=drive, paths=["/甲/里", "/乙", *(f"/多/{number:03}" for number in range(230))])
    page = signed_in(open_page, owner)
    tree = page.locator("#tree")

    # A level of the tree shows so many folders, and the rest when asked.
    tree.locator("[data-path='/多'] .twist").click()
    expect(tree.locator("[data-path^='/多/']")).to_have_count(200)
    tree.get_by_role("button", name="再显示 30 个").click()
    expect(tree.locator("[data-path^='/多/']")).to_have_count(230)
    tree.locator("[data-path='/多'] .twist").first.click()

    # Rows into a folder of the list, all chosen ones into the tree, and back.
    row(page, "一.txt").drag_to(row(page, "甲"))
    expect(row(page, "一.txt")).to_have_count(0)
    choose(page, "二.txt", "三.md")
    row(page, "三.md").drag_to(tree.locator("[data-path='/乙'] > .node"))
    expect(page.locator("#toast")).to_contain_text("已移动 2 项")
    assert set(File.objects.filter(folder__path="/乙").values_list("name", flat=True)) == {"二.txt", "三.md"}
    page.get_by_role("button", name="撤销").click()
    expect(row(page, "三.md")).to_be_visible()

    # A folder of the desktop into the folder it is dropped on.
    (tmp_path / "新" / "深").mkdir(parents=True)
    (tmp_path / "新" / "深" / "x.txt").write_bytes(b"deep")
    (tmp_path / "新" / "y.txt").write_bytes(b"y")
    drop_files(page, row(page, "乙"), [tmp_path / "新"])
    expect(page.locator("#batches")).to_contain_text("2 个文件已全部上传。")
    assert Folder.objects.get(name="深").path == "/乙/新/深"
    assert File.objects.get(name="x.txt").folder_path == "/乙/新/深"

    # By keys alone: choose, look, turn, rename, delete.
    page.locator("#upload-close").click()
    page.locator("#files li").first.focus()
    press(page, "End", "Enter")
    viewer = page.locator("#viewer")
    expect(viewer.locator("pre")).to_have_text("中文")
    before = viewer.locator("#viewer-name").inner_text()
    press(page, "ArrowRight")
    expect(viewer.locator("#viewer-name")).not_to_have_text(before)
    press(page, "Escape")
    expect(viewer).to_be_hidden()
    page.locator("#files li").last.focus()
    press(page, "Home", "Shift+ArrowDown", "Control+ArrowDown", " ")
    expect(page.locator("#chosen")).to_have_text("已选 3 项")
    press(page, "Control+a")
    expect(page.locator("#chosen")).to_have_text("已选 5 项")
    press(page, "Escape", "End", "F2")
    page.get_by_role("textbox", name="名称", exact=True).fill("末.md")
    press(page, "Enter")
    expect(row(page, "末.md")).to_be_focused()
    press(page, "Delete")
    expect(page.locator("#toast")).to_contain_text("已将 1 项移入回收站")

    # What is known of a folder, counted when asked.
    page.get_by_role("button", name="详情", exact=True).click()
    choose(page, "乙")
    details = page.locator("#details")
    expect(details.locator("#details-name")).to_have_text("乙")
    details.get_by_role("button", name="统计").click()
    expect(details.locator("#facts")).to_contain_text("2 个文件，2 个文件夹")
