"""A node at work: lay out, run, check, deliver; with Blender, and with programs that misbehave."""

from pathlib import Path
from typing import Any

import OpenImageIO as oiio  # noqa: N813  (its own documentation calls it so)
import pytest
from pytest_django import Settings

from accounts.models import User
from drives.models import Blob
from drives.services.trash import trash
from drives.storage import blob_storage
from rendering.models import Attempt, Frame, FrameOutput, JobFile, RenderJob, RenderNode, SceneReport
from rendering.node import Node
from rendering.services import reports
from rendering.services.admission import advance_job
from rendering.services.submitting import submit_job
from tests.conftest import Client
from tests.factories import put
from tests.racing import wait_for
from tests.rendering import makers
from tests.rendering.standins import stand_in
from tests.rendering.working import Working

pytestmark = pytest.mark.django_db
Status = RenderJob.Status


def rendered(owner: User, worker: Node, *names: str, **wishes: Any) -> RenderJob:
    """A job on the test scenes, through pre-flight and rendering, with Blender."""
    file = makers.put_scenes(owner, "/proj", *names)[0]
    job = submit_job(job=makers.draft(owner, file, **wishes))
    while pending := SceneReport.objects.filter(status="pending").first():
        reports.inspect(report_id=pending.pk)
        # A library is asked for once the scene that names it was read.
        advance_job(job_id=job.pk)
    worker.work("blender")
    job.refresh_from_db()
    return job


def picture_of(blob: Blob, folder: Path, name: str) -> oiio.ImageBuf:
    path = folder / name
    path.write_bytes(makers.content_of(blob))
    return oiio.ImageBuf(str(path))


# --- with Blender ---


def test_frames_of_a_scene(owner: User, owner_api: Client, worker: Node, tmp_path: Path) -> None:
    names = ("cube.blend", "textures/checker.png")
    job = rendered(owner, worker, *names, frames="1,10", engine_options={"samples": 2})

    assert (job.status, job.error_message) == (Status.COMPLETED, "")
    outputs = list(FrameOutput.objects.select_related("blob", "preview", "file").order_by("name"))
    assert [(output.name, output.width, output.height) for output in outputs] == [
        ("0001.png", 64, 36), ("0010.png", 64, 36),
    ]  # fmt: skip
    first, last = (picture_of(output.blob, tmp_path, output.name) for output in outputs)
    assert (first.spec().width, first.spec().height) == (64, 36)
    assert oiio.ImageBufAlgo.compare(first, last, 0.1, 0.1).nfail > 100
    for output in outputs:
        assert output.preview is not None
        assert picture_of(output.preview, tmp_path, "preview.png").spec().width == 64
        assert output.blob.sha256 and output.blob.crc32 is not None
        assert output.blob.size == len(makers.content_of(output.blob))
    attempt = Attempt.objects.order_by("created_at").first()
    assert attempt is not None and attempt.log_blob is not None
    assert (attempt.status, attempt.exit_code, attempt.node) == ("succeeded", 0, worker.row)
    assert attempt.cpu_seconds > 0.1
    assert attempt.peak_memory_size > 50_000_000
    assert "yuntu_frame: 1" in attempt.log_tail
    assert b"yuntu_frame: 1" in makers.content_of(attempt.log_blob)
    assert list((worker.folder / "jobs").iterdir()) == []
    assert makers.audit() == {}


def test_size_and_format_as_wished(owner: User, worker: Node, tmp_path: Path) -> None:
    names = ("cube.blend", "textures/checker.png")
    job = rendered(owner, worker, *names, frames="3", width=32, output_format="JPEG")

    output = FrameOutput.objects.select_related("blob").get()
    assert (job.status, output.name, output.width, output.height) == (Status.COMPLETED, "0003.jpg", 32, 18)
    assert picture_of(output.blob, tmp_path, "a.jpg").file_format_name == "jpeg"


def test_a_scene_with_a_library(owner: User, worker: Node) -> None:
    names = ("library.blend", "lib/part.blend", "textures/checker.png")
    assert rendered(owner, worker, *names, frames="1").status == Status.COMPLETED


def test_files_are_found_under_another_machines_name(owner: User, worker: Node) -> None:
    """`C:\\proj\\textures\\wood.png` lies in /proj/textures of the drive."""
    checker = (makers.SCENES / "textures/checker.png").read_bytes()
    for name in ("absent.png", "wood.png"):
        put(owner, f"/proj/textures/{name}", checker)

    job = rendered(owner, worker, "missing.blend", frames="1")

    assert (job.status, job.error_message) == (Status.COMPLETED, "")
    assert job.asset_paths == {"C:/proj/textures/wood.png": "/proj/textures/wood.png"}


def test_missing_files_that_are_allowed(owner: User, worker: Node) -> None:
    assert rendered(owner, worker, "missing.blend", frames="1", allow_missing=True).status == Status.COMPLETED


def test_a_scene_without_a_camera_fails_at_once(owner: User, worker: Node) -> None:
    balance, _held = makers.money(owner)

    job = rendered(owner, worker, "camera.blend", "textures/checker.png", frames="1")

    assert (job.status, job.failure_code, job.failed_frames) == (Status.FAILED, "no_camera", 1)
    assert Attempt.objects.count() == 1
    assert makers.money(owner) == (balance, 0)


# --- with stand-ins ---


def test_what_a_job_renders_from_is_fixed_at_submit(
    owner: User, worker: Node, monkeypatch: pytest.MonkeyPatch, picture: bytes
) -> None:
    program = """
root = pathlib.Path(spec["scene"]).parents[1]
for path in sorted(root.rglob("*")):
    if path.is_file(): print("FILE", path.relative_to(root), path.read_bytes(), oct(path.stat().st_mode & 0o777))
done()
"""
    stand_in(monkeypatch, program=program, picture=picture)
    texture = put(owner, "/proj/tex/木.png", b"old wood")
    scene = makers.scene(owner, "/proj/scene.blend", assets=[makers.asset("//tex/木.png")])
    job = makers.queued(owner, scene, frames="1")
    put(owner, "/proj/tex/木.png", b"new wood")
    trash(entry=texture, actor=owner)
    trash(entry=scene, actor=owner)

    worker.work("blender")

    job.refresh_from_db()
    assert job.status == Status.COMPLETED
    tail = Attempt.objects.get().log_tail
    assert "FILE proj/tex/木.png b'old wood' 0o444" in tail
    # repr chooses its quotes by the random bytes that follow.
    assert "FILE proj/scene.blend b'BLENDER" in tail.replace('b"', "b'")


BROKEN = {
    "cut short": "done(content=picture[:len(picture) // 2])",
    "empty": "done(content=b'')",
    "no picture": "done(content=b'hello')",
    "no EXR": "done(name='0001.exr', content=b'hello' * 20)",
    "another size": "done(content=bytes.fromhex(OTHER))",
    "of another frame": "done(name='0002.png')",
    "none at all": "print('nothing')",
    "a name only": "print(f'yuntu_frame: 1 {out}/0001.png')",
    "outside": "(out.parent / '0001.png').write_bytes(picture); print(f'yuntu_frame: 1 {out.parent}/0001.png')",
    "climbing": "(out.parent / 'a.png').write_bytes(picture); print(f'yuntu_frame: 1 {out}/../a.png')",
    "a link": "p = out / 'a.png'; p.symlink_to(spec['scene']); print(f'yuntu_frame: 1 {p}')",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_result_is_a_failure(
    owner: User,
    worker: Node,
    monkeypatch: pytest.MonkeyPatch,
    picture: bytes,
    tmp_path: Path,
    settings: Settings,
    kind: str,
) -> None:
    other = makers.save_picture(tmp_path / "other.png", width=32, height=32).read_bytes()
    stand_in(monkeypatch, program=BROKEN[kind].replace("OTHER", repr(other.hex())), picture=picture)
    balance, _held = makers.money(owner)
    job = makers.queued(owner, frames="1")

    worker.work("blender")

    job.refresh_from_db()
    assert (job.status, job.failure_code) == (Status.FAILED, "broken_output")
    assert str(settings.RENDER_NODE_FOLDER) not in job.error_message  # the reader of pictures names the file
    assert list(Attempt.objects.values_list("failure_code", "status")) == [("broken_output", "failed")] * 3
    assert not FrameOutput.objects.exists()
    assert makers.money(owner) == (balance, 0)
    assert makers.audit() == {}


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("raise SystemExit(1)", "engine_failed"),
        ("import os; os.abort()", "crashed"),
        ("import os; os.kill(os.getpid(), 9)", "killed"),
        ("done(); raise SystemExit(3)", "engine_failed"),
    ],
)
def test_a_failed_run_is_tried_again(
    owner: User, worker: Node, monkeypatch: pytest.MonkeyPatch, picture: bytes, program: str, code: str
) -> None:
    stand_in(monkeypatch, program=program, picture=picture)
    job = makers.queued(owner, frames="1")

    worker.work("blender")

    job.refresh_from_db()
    assert (job.status, job.failure_code, Frame.objects.get().failures) == (Status.FAILED, code, 3)


def test_a_fault_of_the_scene_is_told_in_words(
    owner: User, worker: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(
        monkeypatch, program="""print('yuntu_error: missing_texture ["//a.png"]'); raise SystemExit(2)"""
    )
    job = makers.queued(owner, frames="1-2")

    worker.work("blender")

    job.refresh_from_db()
    assert (job.status, job.failure_code, Attempt.objects.count()) == (Status.FAILED, "missing_texture", 2)
    assert "//a.png" in job.error_message and "[" not in job.error_message


@pytest.mark.parametrize(
    ("limits", "program", "code"),
    [
        ({"RENDER_IDLE_TIMEOUT_SECONDS": 0.3}, "time.sleep(60)", "hung"),
        ({"RENDER_FRAME_TIMEOUT_SECONDS": 0.4}, "while True: print('.'); time.sleep(0.05)", "timeout"),
    ],
)
def test_a_run_that_does_not_end(
    owner: User,
    worker: Node,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    limits: dict[str, float],
    program: str,
    code: str,
) -> None:
    for name, value in limits.items():
        setattr(settings, name, value)
    settings.RENDER_MAX_ATTEMPTS = 1
    stand_in(monkeypatch, program=program)
    job = makers.queued(owner, frames="1")

    worker.work("blender")

    job.refresh_from_db()
    assert (job.status, job.failure_code) == (Status.FAILED, code)


def test_whatever_a_program_prints_the_frame_is_kept(
    owner: User, worker: Node, monkeypatch: pytest.MonkeyPatch, picture: bytes, settings: Settings
) -> None:
    program = r"""
import os
for line in ("openjd_progress: nan", "openjd_progress: -1", "openjd_progress: x", "yuntu_frame: x /y"): print(line)
for number in range(5000): print("line", number)
os.write(1, b"nul \0 and \xff and a long line " + b"x" * 20_000 + b"\n")
time.sleep(0.5)
done()
"""
    settings.RENDER_HEARTBEAT_SECONDS = 0.1
    stand_in(monkeypatch, program=program, picture=picture)
    job = makers.queued(owner, frames="1")

    worker.work("blender")

    job.refresh_from_db()
    attempt = Attempt.objects.get()
    assert (job.status, attempt.progress) == (Status.COMPLETED, 100)
    assert "line 4999\nnul \ufffd and \ufffd and" in attempt.log_tail
    assert len(attempt.log_tail.splitlines()) == 200


def test_what_artists_read_names_their_own_files_and_none_of_the_node(
    owner: User, worker: Node, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    program = r"""
print("Read blend:", spec["scene"])
print("Saved:", out / "0001.png", "and", out)
print("cwd", pathlib.Path.cwd(), "kept as", str(out) + "_old")
print("cache", NODE + "/cache/ab", "beside", NODE + "land", flush=True)
missing = str(pathlib.Path(spec["scene"]).parent / "木头.png")
print("yuntu_error: missing_texture " + json.dumps([missing], ensure_ascii=False))
sys.exit(2)
""".replace("NODE", repr(str(settings.RENDER_NODE_FOLDER)))
    stand_in(monkeypatch, program=program)
    job = makers.queued(owner, frames="1")
    scene = JobFile.objects.get(job=job, is_scene=True).path

    worker.work("blender")

    attempt = Attempt.objects.select_related("log_blob").get()
    assert attempt.log_blob is not None
    log = makers.content_of(attempt.log_blob).decode()
    folder = Path(scene).parent
    assert log.splitlines()[:4] == [
        f"Read blend: {scene}",
        "Saved: <output>/0001.png and <output>",
        "cwd <work> kept as <work>/output_old",
        f"cache <node>/cache/ab beside {settings.RENDER_NODE_FOLDER}land",
    ]
    assert attempt.log_tail == log.rstrip("\n")
    assert str(folder / "木头.png") in attempt.message
    job.refresh_from_db()
    for text in (
        attempt.log_tail.replace(f"{settings.RENDER_NODE_FOLDER}land", ""),
        attempt.message,
        job.error_message,
    ):
        assert str(settings.RENDER_NODE_FOLDER) not in text


def test_the_log_that_is_kept_has_an_end(
    owner: User, worker: Node, monkeypatch: pytest.MonkeyPatch, picture: bytes
) -> None:
    monkeypatch.setattr("rendering.node.log.MAX_SIZE", 1000)
    stand_in(monkeypatch, program="for n in range(1000): print('line', n)\ndone()", picture=picture)
    makers.queued(owner, frames="1")

    worker.work("blender")

    attempt = Attempt.objects.select_related("log_blob").get()
    assert attempt.log_blob is not None
    assert attempt.log_blob.size < 1100
    assert "line 999" in attempt.log_tail


def test_files_are_fetched_once_and_shared(
    owner: User, worker: Node, monkeypatch: pytest.MonkeyPatch, picture: bytes
) -> None:
    stand_in(monkeypatch, program="done()", picture=picture)
    scene = makers.scene(owner)
    makers.queued(owner, scene, frames="1")
    worker.work("blender")
    cached = worker.cache.path_of(scene.blob)
    written = cached.stat().st_mtime_ns
    makers.queued(owner, scene, frames="1")

    worker.work("blender")

    assert (cached.stat().st_mtime_ns, cached.stat().st_nlink, cached.stat().st_mode & 0o777) == (
        written, 1, 0o444,
    )  # fmt: skip
    assert RenderJob.objects.filter(status=Status.COMPLETED).count() == 2


def test_a_file_that_the_storage_has_lost_fails_the_frame(
    owner: User, worker: Node, monkeypatch: pytest.MonkeyPatch, picture: bytes
) -> None:
    stand_in(monkeypatch, program="done()", picture=picture)
    scene = makers.scene(owner)
    job = makers.queued(owner, scene, frames="1")
    blob_storage().delete(scene.blob.storage_key)

    worker.work("blender")

    job.refresh_from_db()
    assert (job.status, job.failure_code) == (Status.FAILED, "input_gone")
    assert Attempt.objects.count() == 1
    assert makers.money(owner)[1] == 0


def test_a_program_that_takes_too_much_memory(
    owner: User, worker: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    RenderNode.objects.update(memory_size=60 << 20)
    stand_in(monkeypatch, program="x = b'x' * (80 << 20); time.sleep(60)")
    job = makers.queued(owner, frames="1")

    worker.work("blender")

    job.refresh_from_db()
    attempt = Attempt.objects.get()
    assert (job.status, job.failure_code, attempt.failure_code) == (Status.FAILED, *["out_of_memory"] * 2)
    assert attempt.peak_memory_size > 80 << 20


def test_the_message_of_openjd_fail_is_kept(
    owner: User, worker: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, program="print('openjd_fail: The moon is missing.'); raise SystemExit(1)")
    job = makers.queued(owner, frames="1")

    worker.work("blender")

    job.refresh_from_db()
    assert "The moon is missing." in job.error_message
    assert all("The moon is missing." in attempt.message for attempt in Attempt.objects.all())


def test_of_a_chunk_that_fails_what_was_whole_lands(
    owner: User, worker: Node, monkeypatch: pytest.MonkeyPatch, picture: bytes
) -> None:
    program = """
for number in spec["frames"][:2]: done(f"{number:04d}.png", number=number)
(out / "0003.png").write_bytes(picture[:100])
raise SystemExit(9)
"""
    stand_in(monkeypatch, program=program, picture=picture)
    job = makers.queued(owner, frames="1-4")
    RenderJob.objects.filter(pk=job.pk).update(chunk_size=4)

    worker.work("blender")

    assert dict(Frame.objects.order_by("number").values_list("number", "status")) == {
        1: "done", 2: "done", 3: "failed", 4: "failed",
    }  # fmt: skip
    assert makers.audit() == {}


@pytest.mark.django_db(transaction=True)
def test_frames_of_a_chunk_land_while_it_goes_on(
    owner: User,
    worker: Node,
    monkeypatch: pytest.MonkeyPatch,
    picture: bytes,
    tmp_path: Path,
    settings: Settings,
) -> None:
    settings.RENDER_HEARTBEAT_SECONDS = 0.1
    go = tmp_path / "go"
    program = f"""
for number in spec["frames"]:
    while number == 3 and not pathlib.Path({str(go)!r}).exists(): time.sleep(0.05)
    done(f"{{number:04d}}.png", number=number)
"""
    stand_in(monkeypatch, program=program, picture=picture)
    job = makers.queued(owner, frames="1-3")
    RenderJob.objects.filter(pk=job.pk).update(chunk_size=3)
    working = Working(worker)

    wait_for(lambda: Frame.objects.filter(status="done").count() == 2)
    assert Attempt.objects.get().status == "running"
    assert FrameOutput.objects.filter(file__isnull=False).count() == 2
    go.touch()

    assert working.ends()
    job.refresh_from_db()
    assert (job.status, job.done_frames, Attempt.objects.count()) == (Status.COMPLETED, 3, 1)
    assert makers.audit() == {}
