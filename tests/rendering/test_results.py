"""What a job left as a whole: where it lies, sheet, film, ZIP, and their links."""

import io
import itertools
import json
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.test import Client as Browser
from django.utils import timezone
from PIL import Image
from pytest_django import DjangoCaptureOnCommitCallbacks as Capture

from accounts.models import TeamMember, User
from accounts.services.teams import create_team
from common.realtime import connection, stream_of
from drives.models import Blob, Drive, File, Folder
from drives.services.blobs import store_file
from drives.services.drives import default_drive
from drives.services.garbage import mark_unreferenced, unreferenced
from drives.services.moving import rename
from drives.services.trash import trash
from drives.storage import blob_storage
from rendering.models import Attempt, RenderJob, RenderNode, RenderStep
from rendering.services import attempts, results
from rendering.services.attempts import FrameResult, Usage
from rendering.services.frames import release_all
from rendering.services.landing import Output
from rendering.services.reopening import add_frames
from rendering.tasks import draw_results
from tests.conftest import Client
from tests.factories import put
from tests.rendering import makers

pytestmark = pytest.mark.django_db


def deliver(attempt: Attempt, folder: Path, *, size: tuple[int, int] = (64, 36), name: str = "") -> None:
    number = makers.frame_of(attempt)
    path = makers.save_picture(folder / f"{number}.png", width=size[0], height=size[1], seed=number)
    blob = store_file(path)
    outputs = [Output(name or f"{number:04d}.png", blob, blob, *size)]
    attempts.succeed(attempt_id=attempt.pk, results=[FrameResult(number, outputs)], usage=Usage())


def finished(user: User, node: RenderNode, folder: Path, frames: str = "1-3", **wishes: Any) -> RenderJob:
    job = makers.queued(user, frames=frames, **wishes)
    for _frame in range(job.total_frames):
        deliver(makers.claimed(node), folder)
    job.refresh_from_db()
    return job


def content(blob: Blob | None) -> bytes:
    assert blob is not None
    with blob_storage().open_blob(blob.storage_key) as file:
        return file.read()


def read(answer: Any) -> bytes:
    return b"".join(answer.streaming_content) if answer.streaming else answer.content


# --- Sheet and film ---


def test_sheet_and_film_are_drawn_at_the_end(
    owner: User, node: RenderNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Capture,
) -> None:  # fmt: skip
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr("rendering.messages.send", lambda *words: asked.append(words))
    with django_capture_on_commit_callbacks(execute=True):
        job = finished(owner, node, tmp_path, frames="1,2,5,9")
    assert ("draw_results", str(job.pk)) in asked
    assert results.undrawn_jobs(timezone.now()) == [job.pk]

    draw_results(str(job.pk))

    job.refresh_from_db()
    with Image.open(io.BytesIO(content(job.contact_sheet))) as sheet:
        assert sheet.size == (2 * 480, 2 * (270 + results.LABEL_HEIGHT))
    film = tmp_path / "film.mp4"
    film.write_bytes(content(job.preview_video))
    assert streams_of(film) == {
        "codec_name": "h264", "width": 64, "height": 36, "pix_fmt": "yuv420p", "r_frame_rate": "24/1",
        "nb_read_frames": "4",
    }  # fmt: skip
    assert results.undrawn_jobs(timezone.now()) == []
    entries: Any = connection().xrange(stream_of(owner.pk))
    told = [json.loads(fields[b"event"]) for _revision, fields in entries]
    assert [news["data"]["taskId"] for news in told if news["event"] == "task:results"] == [str(job.pk)]


def streams_of(film: Path) -> dict[str, Any]:
    entries = "stream=codec_name,width,height,pix_fmt,r_frame_rate,nb_read_frames"
    command = ["ffprobe", "-v", "error", "-count_frames", "-show_entries", entries, "-of", "json", str(film)]
    answer = subprocess.run(command, capture_output=True, check=True, timeout=60)
    stream: dict[str, Any]
    [stream] = json.loads(answer.stdout)["streams"]
    return stream


def test_drawing_twice_changes_nothing_and_the_sweep_leaves_it(
    owner: User, node: RenderNode, tmp_path: Path
) -> None:
    job = finished(owner, node, tmp_path)
    draw_results(str(job.pk))
    job.refresh_from_db()
    assert job.contact_sheet_id is not None
    assert job.preview_video_id is not None
    drawn = (job.contact_sheet_id, job.preview_video_id)

    draw_results(str(job.pk))
    mark_unreferenced(now=timezone.now())

    job.refresh_from_db()
    assert (job.contact_sheet_id, job.preview_video_id) == drawn
    assert not unreferenced().filter(pk__in=drawn).exists()
    RenderJob.objects.update(contact_sheet=None)
    assert unreferenced().filter(pk=drawn[0]).exists()


def test_a_job_that_goes_on_while_it_is_drawn_is_drawn_once_more(
    owner: User, node: RenderNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = finished(owner, node, tmp_path, frames="1-2")
    draw = results.draw_sheet

    def slowly(found: Any) -> Image.Image:
        monkeypatch.setattr(results, "draw_sheet", draw)
        add_frames(job=job, frames="3")
        release_all()
        deliver(makers.claimed(node), tmp_path)
        return draw(found)

    monkeypatch.setattr(results, "draw_sheet", slowly)

    draw_results(str(job.pk))

    job.refresh_from_db()
    assert (job.status, job.contact_sheet, job.preview_video) == (RenderJob.Status.COMPLETED, None, None)
    assert results.undrawn_jobs(timezone.now()) == [job.pk]
    draw_results(str(job.pk))
    job.refresh_from_db()
    with Image.open(io.BytesIO(content(job.contact_sheet))) as sheet:
        assert sheet.size == (2 * 480, 2 * (270 + results.LABEL_HEIGHT))


def test_a_job_without_pictures_or_with_odd_ones(owner: User, node: RenderNode, tmp_path: Path) -> None:
    job = makers.queued(owner, frames="1-2")
    draw_results(str(job.pk))  # renders still
    for _frame in range(2):
        makers.fail(makers.claimed(node), is_permanent=True)
    draw_results(str(job.pk))
    job.refresh_from_db()
    assert (job.contact_sheet, job.preview_video) == (None, None)

    odd = makers.queued(owner, frames="1-2")
    deliver(makers.claimed(node), tmp_path, size=(65, 37))
    deliver(makers.claimed(node), tmp_path, size=(20, 90))
    draw_results(str(odd.pk))
    odd.refresh_from_db()
    film = tmp_path / "film.mp4"
    film.write_bytes(content(odd.preview_video))
    assert (streams_of(film)["width"], streams_of(film)["height"]) == (64, 36)


def test_without_ffmpeg_there_is_a_sheet(
    owner: User, node: RenderNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = finished(owner, node, tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    draw_results(str(job.pk))
    job.refresh_from_db()
    assert job.contact_sheet is not None and job.preview_video is None


def test_of_ten_thousand_frames_a_few_are_shown() -> None:
    chosen = results.evenly(range(10_000), results.MAX_CELLS)
    assert (len(chosen), chosen[0], chosen[-1]) == (120, 0, 9999)
    assert {later - earlier for earlier, later in itertools.pairwise(chosen)} <= {84, 85}
    assert results.evenly([1, 2], 3) == [1, 2]


# --- Doors ---


def test_results_of_a_task(owner_api: Client, owner: User, node: RenderNode, tmp_path: Path) -> None:
    job = finished(owner, node, tmp_path)
    before = owner_api.get(f"/tasks/{job.pk}/results").json()
    assert (before["contact_sheet_url"], before["preview_video_url"]) == (None, None)
    draw_results(str(job.pk))

    found = owner_api.get(f"/tasks/{job.pk}/results").json()

    folder = Folder.objects.get(path="/renders/shot")
    assert (found["folder_id"], found["folder_path"]) == (str(folder.pk), "/renders/shot")
    sizes = File.objects.filter(folder=folder).values_list("size", flat=True)
    assert found["steps"] == [{
        "step": "main", "total_frames": 3, "done_frames": 3, "failed_frames": 0, "output_count": 3,
        "size": sum(sizes),
    }]  # fmt: skip
    assert found["zip_url"] == before["zip_url"]
    links = {name: path_of(found[name]) for name in ("zip_url", "contact_sheet_url", "preview_video_url")}
    browser = Browser()
    kinds = {name: browser.get(link).headers["Content-Type"] for name, link in links.items()}
    assert kinds == {
        "zip_url": "application/zip", "contact_sheet_url": "image/jpeg", "preview_video_url": "video/mp4",
    }  # fmt: skip
    whole = read(browser.get(links["zip_url"]))
    assert len(whole) == found["zip_size"]
    assert zipfile.ZipFile(io.BytesIO(whole)).namelist() == ["shot/"] + [
        f"shot/000{n}.png" for n in (1, 2, 3)
    ]
    rest = browser.get(links["zip_url"], headers={"Range": "bytes=100-"})
    assert (rest.status_code, read(rest)) == (206, whole[100:])


def path_of(url: str) -> str:
    return "/" + url.split("/", 3)[3]


def test_the_preview_of_a_frame(owner_api: Client, owner: User, node: RenderNode, tmp_path: Path) -> None:
    job = makers.queued(owner, frames="1,2")
    deliver(makers.claimed(node), tmp_path)

    answer = owner_api.get(f"/tasks/{job.pk}/frames/1/preview")

    assert answer.status_code == 302
    assert owner_api.get(path_of(answer["Location"])).headers["Content-Type"] == "image/png"
    for nothing in ("2", "7", "x", "1/preview?step=other&x=", "1/preview?layer=z&x="):
        assert owner_api.get(f"/tasks/{job.pk}/frames/{nothing}/preview").status_code == 404, nothing


def test_results_are_the_owners(stranger_api: Client, owner: User, node: RenderNode, tmp_path: Path) -> None:
    job = finished(owner, node, tmp_path, frames="1")
    assert stranger_api.get(f"/tasks/{job.pk}/results").status_code == 404
    assert stranger_api.get(f"/tasks/{job.pk}/frames/1/preview").status_code == 404


# --- Where they lie ---


def paths_of(drive: Drive) -> list[str]:
    rows = File.objects.living().filter(drive=drive).exclude(folder__path="/proj").select_related("folder")
    return sorted(f"{file.folder_path}/{file.name}" for file in rows)


def test_they_land_in_a_full_drive(owner: User, node: RenderNode, tmp_path: Path) -> None:
    job = makers.queued(owner, frames="1-2")
    Drive.objects.update(total_size=1)
    for _frame in range(2):
        deliver(makers.claimed(node), tmp_path)
    job.refresh_from_db()
    assert job.status == RenderJob.Status.COMPLETED
    assert paths_of(job.drive) == ["/renders/shot/0001.png", "/renders/shot/0002.png"]


@pytest.mark.parametrize("what", ["renamed", "trashed"])
def test_a_folder_that_went_away_is_made_again(
    owner_api: Client, owner: User, node: RenderNode, tmp_path: Path, what: str
) -> None:
    job = makers.queued(owner, frames="1-2")
    deliver(makers.claimed(node), tmp_path)
    folder = Folder.objects.get(path="/renders/shot")
    if what == "renamed":
        rename(entry=folder, actor=owner, name="mine")
    else:
        trash(entry=folder, actor=owner)

    deliver(makers.claimed(node), tmp_path)

    earlier = ["/renders/mine/0001.png"] if what == "renamed" else []
    assert paths_of(job.drive) == [*earlier, "/renders/shot/0002.png"]
    assert owner_api.get(f"/tasks/{job.pk}/results").json()["folder_path"] == "/renders/shot"


def test_a_renamed_folder_is_still_found(
    owner_api: Client, owner: User, node: RenderNode, tmp_path: Path
) -> None:
    job = finished(owner, node, tmp_path, frames="1")
    rename(entry=Folder.objects.get(path="/renders/shot"), actor=owner, name="mine")
    found = owner_api.get(f"/tasks/{job.pk}/results").json()
    assert found["folder_path"] == "/renders/mine"
    assert found["zip_url"].endswith("/mine.zip")


def test_where_the_place_is_taken_they_go_elsewhere(owner: User, node: RenderNode, tmp_path: Path) -> None:
    job = makers.queued(owner, frames="1-2")
    rename(entry=Folder.objects.get(path="/renders/shot"), actor=owner, name="mine")
    put(owner, "/renders/shot", b"a file")
    for _frame in range(2):
        deliver(makers.claimed(node), tmp_path)
    job.refresh_from_db()
    assert (job.status, job.output_folder) == (RenderJob.Status.COMPLETED, "/renders/shot (2)")
    assert paths_of(job.drive) == [
        "/renders/shot", "/renders/shot (2)/0001.png", "/renders/shot (2)/0002.png",
    ]  # fmt: skip
    assert job.logs.filter(log_level="WARNING").count() == 1


def test_steps_have_folders_of_their_own(owner: User, node: RenderNode, tmp_path: Path) -> None:
    job = makers.queued(owner, frames="1-2")
    RenderStep.objects.update(name="cama")
    second = RenderStep.objects.create(job=job, name="cama (2)")
    job.frames.filter(number=2).update(step=second)
    for _frame in range(2):
        deliver(makers.claimed(node), tmp_path, name="x/0001.png")
    assert paths_of(job.drive) == ["/renders/shot/cama (2)/x/0001.png", "/renders/shot/cama/x/0001.png"]


def test_the_drive_of_a_team_that_was_left(
    owner_api: Client, owner: User, stranger: User, node: RenderNode, tmp_path: Path
) -> None:
    team = create_team(owner=stranger, name="studio")
    membership = TeamMember.objects.create(team=team, user=owner, role="member")
    file = makers.team_scene(owner, team)
    drive = file.drive
    job = makers.queued(owner, file, frames="1")
    membership.delete()

    deliver(makers.claimed(node), tmp_path)

    assert paths_of(drive) == ["/renders/shot/0001.png"]
    assert paths_of(default_drive(user=owner)) == []
    found = owner_api.get(f"/tasks/{job.pk}/results").json()
    assert (found["folder_id"], found["zip_url"], found["steps"][0]["done_frames"]) == (None, None, 1)
