"""What the pre-flight says of a task's files, and what the artist makes of it."""

from pathlib import Path
from typing import Any

import pytest

from accounts.models import User
from common.errors import TransitionNotAllowed
from rendering.engines import ENGINES
from rendering.models import RenderJob, RenderNode, SceneReport
from rendering.node.inputs import JobInputs
from rendering.node.render import FrameRun
from rendering.services.admission import advance_job
from rendering.services.preflight import choose_assets
from rendering.services.submitting import submit_job
from tests.conftest import Client
from tests.factories import put
from tests.rendering import makers
from tests.rendering.makers import asset

pytestmark = pytest.mark.django_db


@pytest.fixture
def job(owner: User, node: RenderNode) -> RenderJob:
    """A draft whose scene names a file that is there, two that are not, and a sound."""
    put(owner, "/proj/tex/wood.png", b"wood")
    put(owner, "/library/oak.png", b"oak")
    file = makers.scene(
        owner,
        "/proj/shot.blend",
        assets=[
            asset("//tex/Wood.png"),
            asset("C:/old/oak_v2.png"),
            asset("//gone.png"),
            asset("//music.wav", "sound", required=False),
        ],
    )
    return makers.draft(owner, file)


def statuses(body: dict[str, Any]) -> dict[str, str]:
    return {each["path"]: each["status"] for each in body["assets"]}


def test_the_report_says_what_became_of_each_file(owner_api: Client, job: RenderJob) -> None:
    body = owner_api.get(f"/tasks/{job.pk}/report").json()

    assert body["status"] == "ready"
    assert [(each["path"], each["status"], each["found"]) for each in body["assets"]] == [
        ("//gone.png", "missing", []),
        ("C:/old/oak_v2.png", "missing", []),
        ("//music.wav", "missing", []),
        ("//tex/Wood.png", "found", ["/proj/tex/wood.png"]),
    ]
    assert body["counts"] == {"found": 1, "missing": 3}
    assert [each["path"] for each in body["missing"]] == ["C:/old/oak_v2.png", "//gone.png"]
    assert body["assets"][0] == {
        "path": "//gone.png", "kind": "image", "named_by": "/proj/shot.blend", "expected_path": "/proj/gone.png",
        "users": ["box"], "required": True, "status": "missing", "found": [], "found_count": 0, "candidates": [],
        "missing_frames": "", "failure_code": "", "chosen_by": "",
    }  # fmt: skip


def test_defaults_are_said_with_their_values(owner: User, owner_api: Client) -> None:
    file = makers.scene(owner, defaults=["renderer", "width"])
    body = owner_api.get(f"/tasks/{makers.draft(owner, file).pk}/report").json()
    assert body["defaults"] == {"renderer": "CYCLES", "width": 64}


def test_mapped_and_ignored_files_let_the_task_be_submitted(owner_api: Client, job: RenderJob) -> None:
    assert owner_api.post(f"/tasks/{job.pk}/submit").status_code == 422
    choices = {"C:/old/oak_v2.png": "/library/oak.png", "//gone.png": None}

    answer = owner_api.put(f"/tasks/{job.pk}/assets", {"choices": choices})

    assert answer.status_code == 200
    body = answer.json()
    assert (body["missing"], body["choices"]) == ([], choices)
    assert statuses(body) == {
        "//tex/Wood.png": "found", "C:/old/oak_v2.png": "mapped", "//gone.png": "ignored", "//music.wav": "missing",
    }  # fmt: skip
    assert owner_api.post(f"/tasks/{job.pk}/submit").status_code == 202
    job.refresh_from_db()
    assert job.asset_paths == {"C:/old/oak_v2.png": "/library/oak.png"}
    assert set(job.files.values_list("path", flat=True)) == {
        "/proj/shot.blend", "/proj/tex/wood.png", "/proj/tex/Wood.png", "/library/oak.png",
    }  # fmt: skip


def test_the_renderer_does_not_stop_for_what_is_ignored(
    owner: User, node: RenderNode, job: RenderJob, tmp_path: Path
) -> None:
    RenderJob.objects.update(asset_choices={"C:/old/oak_v2.png": "/library/oak.png", "//gone.png": None})
    submitted = submit_job(job=RenderJob.objects.get())
    advance_job(job_id=submitted.pk)

    run = FrameRun(makers.claimed(node), ENGINES["blender"], tmp_path / "run", lambda: False)
    spec = run.spec(JobInputs(tmp_path, run.job, None))

    assert spec.allow_missing
    assert spec.remap == {"C:/old/oak_v2.png": str(tmp_path / "library/oak.png")}


def test_a_folder_of_the_artists_machine_is_mapped_at_once(
    owner: User, owner_api: Client, node: RenderNode
) -> None:
    """A name of its own counts more than a folder, a deeper folder more than one above it."""
    for name in ("a.png", "sub/b.png", "other.png"):
        put(owner, f"/library/{name}", name.encode())
    put(owner, "/elsewhere/c.png", b"c")
    names = [
        "D:\\Old\\tex\\a.png",
        "d:/old/tex/sub/b.png",
        "D:/old/tex/deep/c.png",
        "D:/old/tex/d.png",
        "D:/old/e.png",
    ]
    job = makers.draft(owner, makers.scene(owner, assets=list(map(asset, names))))
    choices = {
        "D:/old/tex/": "/library/", "D:\\old\\tex\\deep\\": "/elsewhere", "D:/old/tex/d.png": "/library/other.png",
        "D:/old/": None,
    }  # fmt: skip

    body = owner_api.put(f"/tasks/{job.pk}/assets", {"choices": choices}).json()

    assert {each["path"]: (each["status"], each["found"]) for each in body["assets"]} == {
        names[0]: ("mapped", ["/library/a.png"]),
        names[1]: ("mapped", ["/library/sub/b.png"]),
        names[2]: ("mapped", ["/elsewhere/c.png"]),
        names[3]: ("mapped", ["/library/other.png"]),
        names[4]: ("ignored", []),
    }


def test_what_is_not_in_a_mapped_folder_is_missing_there(
    owner: User, owner_api: Client, node: RenderNode
) -> None:
    put(owner, "/library/a.png", b"a")
    names = ["D:/old/a.png", "D:/old/../../../b.png"]
    job = makers.draft(owner, makers.scene(owner, assets=list(map(asset, names))))

    body = owner_api.put(f"/tasks/{job.pk}/assets", {"choices": {"D:/old/": "/library"}}).json()

    assert [(each["path"], each["expected_path"]) for each in body["missing"]] == [(names[1], "/b.png")]


def test_a_task_that_was_submitted_meanwhile_keeps_its_choices(job: RenderJob) -> None:
    RenderJob.objects.update(status=RenderJob.Status.PENDING)
    with pytest.raises(TransitionNotAllowed):
        choose_assets(job=job, choices={"//gone.png": None})
    job.refresh_from_db()
    assert job.asset_choices == {}


def test_choices_replace_those_of_before(owner_api: Client, job: RenderJob) -> None:
    owner_api.put(f"/tasks/{job.pk}/assets", {"choices": {"//gone.png": None}})

    body = owner_api.put(f"/tasks/{job.pk}/assets", {"choices": {}}).json()

    assert (body["choices"], statuses(body)["//gone.png"]) == ({}, "missing")


@pytest.mark.parametrize(
    ("choices", "code"),
    [
        ({"//nobody-names-this.png": None}, "asset_unknown"),
        ({"//gone.png": "/library/none.png"}, "asset_path_missing"),
        ({"//gone.png": "/library"}, "asset_path_missing"),
        ({"C:/old/": "/nowhere"}, "asset_path_missing"),
        ({"C:/ol/": None}, "asset_unknown"),
        ({"//gone.png": "/../etc/passwd"}, "bad_name"),
        ({"//gone.png": 7, "C:/old/oak_v2.png": {}}, "validation_error"),
        (None, "validation_error"),
        ([1], "validation_error"),
    ],
)
def test_choices_that_are_refused_change_nothing(
    owner_api: Client, job: RenderJob, choices: Any, code: str
) -> None:
    answer = owner_api.put(f"/tasks/{job.pk}/assets", {"choices": choices})

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    job.refresh_from_db()
    assert job.asset_choices == {}


def test_another_users_file_is_none_of_the_drive(owner_api: Client, job: RenderJob, stranger: User) -> None:
    put(stranger, "/secret.png", b"secret")
    answer = owner_api.put(f"/tasks/{job.pk}/assets", {"choices": {"//gone.png": "/secret.png"}})
    assert answer.json()["code"] == "asset_path_missing"


def test_a_stranger_sees_neither_report_nor_choices(stranger_api: Client, job: RenderJob) -> None:
    assert stranger_api.get(f"/tasks/{job.pk}/report").status_code == 404
    assert stranger_api.put(f"/tasks/{job.pk}/assets", {"choices": {"//gone.png": None}}).status_code == 404
    job.refresh_from_db()
    assert job.asset_choices == {}


def test_only_a_draft_takes_choices(owner: User, owner_api: Client, node: RenderNode) -> None:
    job = submit_job(job=makers.draft(owner))

    answer = owner_api.put(f"/tasks/{job.pk}/assets", {"choices": {}})

    assert (answer.status_code, answer.json()["code"]) == (409, "transition_not_allowed")
    assert answer.json()["status"] == "pending"


def test_choices_wait_until_the_scene_has_been_read(owner: User, owner_api: Client) -> None:
    job = makers.draft(owner, put(owner, "/new.blend", b"BLENDER new"))
    answer = owner_api.put(f"/tasks/{job.pk}/assets", {"choices": {"//a.png": None}})
    assert (answer.status_code, answer.json()["code"]) == (409, "report_pending")


def test_a_scene_that_cannot_be_read_takes_none(owner: User, owner_api: Client) -> None:
    file = makers.scene(owner)
    SceneReport.objects.update(status="failed", failure_code="scene_truncated", message="cut")
    job = makers.draft(owner, file)

    answer = owner_api.put(f"/tasks/{job.pk}/assets", {"choices": {}})
    assert (answer.status_code, answer.json()["code"]) == (422, "scene_truncated")
    report = owner_api.get(f"/tasks/{job.pk}/report").json()
    assert (report["status"], report["failure_code"], report["message"]) == (
        "failed",
        "scene_truncated",
        "cut",
    )
