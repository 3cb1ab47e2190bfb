"""/tasks in a real Chromium: an artist's way from a scene to its pictures, live by the socket of a real server."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Locator, Page, Route, expect

from accounts.models import User
from billing.models import Bill
from drives.models import BlobPreview, File
from rendering.models import Attempt, Frame, RenderJob, RenderNode
from rendering.services import attempts
from rendering.services.admission import advance_job
from rendering.services.attempts import FrameResult, Output, Usage
from rendering.services.jobs import pause_job
from tests.browser import Server, chromium, pages_of, server
from tests.factories import token_of
from tests.rendering import makers

__all__ = ["chromium", "server"]  # fixtures
pytestmark = pytest.mark.django_db(transaction=True)
Status = RenderJob.Status
Open = Callable[..., Page]


@pytest.fixture
def open_page(chromium: Browser, server: Server, node: RenderNode) -> Iterator[Open]:
    with pages_of(chromium, server.url) as open_page:
        yield open_page


@pytest.fixture
def scene(owner: User) -> File:
    return makers.scene(owner, "/镜头/灯笼.blend", cameras=["左", "右"])


def signed_in(open_page: Open, user: User, path: str = "/tasks", width: int = 1440) -> Page:
    page = open_page("/login", width=width)
    kept = {"access_token": token_of(user), "refresh_token": "kept", "token_expires_at": "9999999999999"}
    page.evaluate(
        "(kept) => Object.entries(kept).forEach(([key, value]) => localStorage.setItem(key, value))", kept
    )
    page.goto(path)
    expect(page.locator(".live.on:visible, #drive:visible").first).to_be_visible()
    return page


def rendered(attempt: Attempt, folder: Path, width: int = 64) -> None:
    """Deliver a picture that a browser can show, with a small one of 64 pixels; its large one is made."""
    number = makers.frame_of(attempt)
    small = makers.stored(makers.save_picture(folder / f"{number}.png", seed=number))
    blob = small
    if width > 64:
        blob = makers.stored(makers.save_picture(folder / "large.png", width=width, height=360, seed=number))
        BlobPreview.objects.create(blob=blob, size=1600, state="ready", due_at=timezone.now())
    result = FrameResult(number, [Output(f"{number:04d}.png", blob, small, width, 36)])
    attempts.succeed(attempt_id=attempt.pk, results=[result], usage=Usage(exit_code=0))


def half_rendered(owner: User, node: RenderNode, folder: Path) -> RenderJob:
    job = makers.queued(owner, frames="1-2")
    rendered(makers.claimed(node), folder)
    return pause_job(job=makers.fresh(job))


def act(page: Page, name: str) -> Locator:
    return page.locator("#actions").get_by_role("button", name=name, exact=True)


def status(page: Page) -> Locator:
    return page.locator("#one-status")


def test_from_the_scene_to_the_pictures(
    open_page: Open, owner: User, scene: File, node: RenderNode, tmp_path: Path
) -> None:
    page = signed_in(open_page, owner, width=390)
    expect(page.get_by_text("还没有任务。")).to_be_visible()
    page.get_by_role("button", name="新建任务").click()
    places = page.locator("#places")
    places.get_by_role("button", name="镜头").click()
    places.get_by_role("button", name="灯笼.blend").click()

    # What the scene says, what it costs, what is refused beside its field.
    expect(page.locator("#scene-facts")).to_contain_text("64 × 36")
    expect(page.locator("#estimate-cost")).to_have_text("¥5.00")
    page.get_by_role("textbox", name="帧", exact=True).fill("9-3")
    expect(page.locator("#frames-error")).to_be_visible()
    page.get_by_role("textbox", name="帧", exact=True).fill("1-300")
    expect(page.locator("#short")).to_contain_text("还差 ¥50.00")
    page.get_by_role("button", name="开始渲染").click()
    expect(page.locator("#submit-refused")).to_contain_text("余额")
    page.get_by_role("textbox", name="帧", exact=True).fill("1-2")
    page.get_by_label("右").check()
    page.locator("#priority").select_option("高")
    expect(page.locator("#estimate-cost")).to_have_text("¥1.50")
    page.get_by_role("button", name="开始渲染").click()

    # Live, without a reload.
    expect(status(page)).to_have_text("准备中")
    job = RenderJob.objects.get()
    advance_job(job_id=job.pk)
    expect(page.locator("#grid .cell.ready")).to_have_count(2)
    attempt = makers.claimed(node)
    expect(page.locator("#grid .cell.running")).to_have_count(1)
    rendered(attempt, tmp_path)
    expect(page.locator("#outlook")).to_contain_text("1 / 2 帧")
    expect(page.locator("#log")).to_contain_text("第 1 帧渲染完成")
    expect(page.get_by_role("img", name="第 1 帧", exact=True)).to_have_js_property(
        "naturalWidth", 64, timeout=30_000
    )
    rendered(makers.claimed(node), tmp_path, width=640)
    expect(status(page)).to_have_text("已完成")
    expect(page.locator("#one-percent")).to_have_text("100 %")
    expect(page.locator("#bills")).to_contain_text("¥1.50")
    assert Bill.objects.get().amount == 1.5

    # The picture of a frame, the ZIP, the folder.
    page.locator("#grid").get_by_role("button", name="第 2 帧：已渲染").click()
    picture = page.get_by_role("img", name="0002.png")
    expect(picture).to_be_visible()
    expect(picture).to_have_js_property("naturalWidth", 640)
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("img", name="0001.png")).to_have_js_property("naturalWidth", 64)
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.locator("#zip").click()
    assert download.value.suggested_filename == "灯笼.zip"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("link", name="在网盘中打开").click()
    expect(page.get_by_role("link", name="0001.png", exact=True)).to_be_visible()


def test_a_failed_task_says_why_and_goes_on(
    open_page: Open, owner: User, node: RenderNode, server: Server
) -> None:
    job = makers.in_status(owner, Status.FAILED, node)
    page = signed_in(open_page, owner)
    row = page.locator("#rows li")
    expect(row).to_contain_text("失败")
    page.goto(f"/tasks/{job.pk}")  # where notifications lead
    expect(page.locator("#reasons")).to_contain_text("It went wrong: crashed.")
    expect(page.locator("#reasons")).to_contain_text("帧 1-2")
    act(page, "重试失败的帧").click()
    expect(page.locator("#grid .cell.ready")).to_have_count(2)
    expect(page.locator("#reasons-card")).to_be_hidden()

    # Without a socket the page looks by itself; it comes back by itself, too.
    page.clock.install()
    page.route(
        "**/ws-ticket", lambda route: route.fulfill(status=429, json={"detail": "", "code": "rate_limited"})
    )
    server.cut()
    expect(page.locator(".live:visible")).to_contain_text("实时连接已断开")
    makers.succeed(makers.claimed(node))
    page.clock.fast_forward(5000)
    expect(page.locator("#outlook")).to_contain_text("1 / 2 帧")
    page.unroute("**/ws-ticket")
    page.clock.fast_forward(10_000)
    expect(page.locator(".live.on:visible")).to_have_text("实时")

    act(page, "暂停").click()
    expect(status(page)).to_have_text("已暂停")
    act(page, "继续").click()
    expect(status(page)).to_have_text("排队中")
    pause_job(job=RenderJob.objects.get())
    expect(status(page)).to_have_text("已暂停")  # elsewhere, as by the desktop client
    act(page, "取消任务").click()
    page.locator("#sure-yes").click()
    expect(status(page)).to_have_text("已取消")
    act(page, "删除").click()
    page.locator("#sure-yes").click()
    expect(page.get_by_text("还没有任务。")).to_be_visible()
    assert makers.fresh(job).deleted_at is not None
    assert set(Frame.objects.values_list("status", flat=True)) == {"done", "cancelled"}


def test_what_is_missing_is_accepted_and_test_frames_are_approved(
    open_page: Open, owner: User, node: RenderNode, tmp_path: Path
) -> None:
    file = makers.scene(owner, "/镜头/木屋.blend", assets=[makers.asset("//木头.png")])
    page = signed_in(open_page, owner, f"/drive#/{file.drive_id}/镜头")
    page.get_by_role("link", name="木屋.blend").click()
    page.locator("#viewer").get_by_role("button", name="渲染", exact=True).click()
    expect(page.locator("#problems")).to_contain_text("//木头.png")
    page.get_by_label("先渲染测试帧").check()
    page.get_by_role("button", name="开始渲染").click()
    expect(page.locator("#submit-refused")).to_contain_text("缺少")
    page.get_by_label("仍然渲染").check()
    page.get_by_role("button", name="开始渲染").click()
    expect(status(page)).to_have_text("准备中")
    job = RenderJob.objects.get()
    assert job.allow_missing
    advance_job(job_id=job.pk)
    for _frame in range(3):
        makers.succeed(makers.claimed(node))
    expect(page.locator("#why")).to_contain_text("测试帧已渲染完成")
    act(page, "批准测试帧").click()
    expect(status(page)).to_have_text(re.compile("排队中|渲染中"))
    expect(page.locator("#grid .cell.ready")).to_have_count(7)


def test_nobody_elses_task_opens(open_page: Open, owner: User, stranger: User, node: RenderNode) -> None:
    job = makers.queued(owner, task_name="秘密")
    page = signed_in(open_page, stranger, f"/tasks#/{job.pk}")
    expect(page.locator("#refused")).to_have_text("没有这个任务。")
    expect(page.locator("body")).not_to_contain_text("秘密")
    page.evaluate("localStorage.clear()")
    page.reload()
    page.wait_for_url("**/login")


def test_who_goes_on_to_another_task_keeps_its_results(
    open_page: Open, owner: User, node: RenderNode, tmp_path: Path
) -> None:
    """What is still asked for the first one changes nothing of what shows by then."""
    first, second = [half_rendered(owner, node, tmp_path) for _job in range(2)]
    page = signed_in(open_page, owner)
    held: list[Route] = []
    page.route(f"**/tasks/{first.pk}/outputs?skip=*", lambda route: held.append(route))
    with page.expect_request("**/outputs?skip=*"):
        page.evaluate(f"location.hash = '#/{first.pk}'")
    page.evaluate(f"location.hash = '#/{second.pk}'")
    expect(page.get_by_role("img", name="第 1 帧", exact=True)).to_be_visible()
    shown = page.locator("#folder").get_attribute("href")
    with page.expect_response(f"**/tasks/{first.pk}/outputs?skip=*"):
        held[0].continue_()
    page.evaluate("fetch('/api/v1/ping').then((answer) => answer.text())")  # so it has been read
    assert page.locator("#folder").get_attribute("href") == shown
