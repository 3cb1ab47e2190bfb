"""From draft to queued: what is asked before, what is held, and what sends a job back."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from accounts.models import User
from billing.models import Hold, PriceRule
from drives.models import File
from drives.services.trash import trash
from rendering.models import Frame, JobFile, RenderJob, RenderNode, SceneReport
from rendering.services import admission
from rendering.services.admission import advance_job
from rendering.services.jobs import cancel_job
from rendering.services.submitting import submit_job
from tests.conftest import Client
from tests.factories import put
from tests.rendering import makers
from tests.rendering.makers import asset

pytestmark = pytest.mark.django_db
Status = RenderJob.Status


def test_a_job_is_put_on_its_way(owner_api: Client, owner: User, scene: File, node: RenderNode) -> None:
    job = makers.draft(owner, scene, frames="1-3,10")
    balance, _held = makers.money(owner)

    answer = owner_api.post(f"/tasks/{job.pk}/submit")

    assert answer.status_code == 202
    task = answer.json()
    assert (task["status"], task["status_name"], task["total_frames"]) == (1, "pending", 4)
    assert (task["estimated_cost"], task["unit_price"]) == (2.0, 0.5)
    assert task["submitted_at"] is not None
    assert makers.money(owner) == (balance, Decimal(2))
    advance_job(job_id=job.pk)
    task = owner_api.get(f"/tasks/{job.pk}").json()
    assert (task["status"], task["output_folder"]) == (2, "/renders/shot")
    assert list(Frame.objects.order_by("number").values_list("number", "status")) == [
        (1, "ready"), (2, "ready"), (3, "ready"), (10, "ready"),
    ]  # fmt: skip
    assert makers.audit() == {}


def test_without_a_range_the_scenes_own_counts(owner: User, node: RenderNode) -> None:
    file = makers.scene(owner, frame_start=5, frame_end=11, frame_step=3)

    job = makers.queued(owner, file, frames="")

    assert (job.frame_range, job.total_frames) == ("5-11:3", 3)


@pytest.mark.parametrize(
    ("wishes", "size"),
    [
        ({}, (1920, 1080)),
        ({"width": 640}, (640, 360)),
        ({"height": 540}, (960, 540)),
        ({"width": 100, "height": 100}, (100, 100)),
    ],
)
def test_one_side_alone_keeps_the_proportion(
    owner: User, node: RenderNode, wishes: dict[str, int], size: tuple[int, int]
) -> None:
    file = makers.scene(owner, width=1920, height=1080)

    job = makers.queued(owner, file, **wishes)

    assert (job.width, job.height) == size


def test_too_little_money(owner_api: Client, owner: User, scene: File, node: RenderNode) -> None:
    job = makers.draft(owner, scene, frames="1-1000")
    balance, _held = makers.money(owner)

    answer = owner_api.post(f"/tasks/{job.pk}/submit")

    assert answer.status_code == 402
    error = answer.json()
    assert (error["code"], error["required"], error["available"]) == (
        "insufficient_balance", 500.0, float(balance),
    )  # fmt: skip
    job.refresh_from_db()
    assert (job.status, job.failure_code, job.hold, job.submitted_at) == (
        Status.DRAFT, "insufficient_balance", None, None,
    )  # fmt: skip
    assert job.failure_data == {"required": 500.0, "available": float(balance)}
    assert makers.money(owner) == (balance, 0)
    assert not Hold.objects.exists()
    assert not JobFile.objects.exists()


def test_what_was_refused_may_be_submitted_again(owner_api: Client, owner: User, node: RenderNode) -> None:
    file = makers.scene(owner, assets=[asset("//wood.png")])
    job = makers.draft(owner, file)
    assert owner_api.post(f"/tasks/{job.pk}/submit").json()["code"] == "missing_assets"
    put(owner, "/proj/wood.png", b"wood")

    answer = owner_api.post(f"/tasks/{job.pk}/submit")

    assert answer.status_code == 202
    assert {name: answer.json()[name] for name in ("failure_code", "failure_data", "error_message")} == {
        "failure_code": "", "failure_data": {}, "error_message": "",
    }  # fmt: skip


def test_missing_files_are_listed(owner_api: Client, owner: User, node: RenderNode) -> None:
    file = makers.scene(
        owner, assets=[asset("//tex/wood.png"), asset("//music.wav", "sound", required=False)]
    )
    job = makers.draft(owner, file)

    answer = owner_api.post(f"/tasks/{job.pk}/submit")

    assert (answer.status_code, answer.json()["code"]) == (422, "missing_assets")
    assert answer.json()["missing_count"] == 1
    assert answer.json()["missing"] == [
        {
            "path": "//tex/wood.png",
            "kind": "image",
            "reason": "missing",
            "users": ["box"],
            "named_by": f"/proj/{file.name}",
            "expected_path": "/proj/tex/wood.png",
            "candidates": [],
        }
    ]
    job.refresh_from_db()
    assert (job.status, makers.money(owner)[1]) == (Status.DRAFT, 0)


def test_a_long_list_of_missing_files_is_cut(owner_api: Client, owner: User, node: RenderNode) -> None:
    file = makers.scene(owner, assets=[asset(f"//{number}.png") for number in range(1500)])
    job = makers.draft(owner, file)

    error = owner_api.post(f"/tasks/{job.pk}/submit").json()

    assert (error["missing_count"], len(error["missing"])) == (1500, 1000)


def test_missing_files_may_be_allowed(owner: User, node: RenderNode) -> None:
    file = makers.scene(owner, assets=[asset("//tex/wood.png")])
    assert makers.queued(owner, file, allow_missing=True).status == Status.QUEUED


def test_no_node_offers_the_engine(owner_api: Client, owner: User, scene: File, price: PriceRule) -> None:
    job = makers.draft(owner, scene)

    answer = owner_api.post(f"/tasks/{job.pk}/submit")

    assert (answer.status_code, answer.json()["code"], answer.json()["available"]) == (
        422, "engine_unavailable", {},
    )  # fmt: skip


@pytest.mark.parametrize("engine", ["maya", "simulated"])
def test_an_engine_there_is_not(
    owner_api: Client, owner: User, scene: File, node: RenderNode, engine: str
) -> None:
    job = makers.draft(owner, scene, engine=engine)

    error = owner_api.post(f"/tasks/{job.pk}/submit").json()

    assert (error["code"], error["available"]) == ("engine_unavailable", {"blender": ["5.0.1"]})


def test_a_file_of_another_program(owner_api: Client, owner: User, node: RenderNode) -> None:
    file = put(owner, "/scene.ma", b"//Maya")
    job = makers.draft(owner, file, engine="blender")
    assert owner_api.post(f"/tasks/{job.pk}/submit").json()["code"] == "not_a_scene"


def test_a_scene_that_arrives_after_its_task(owner_api: Client, owner: User, node: RenderNode) -> None:
    task = owner_api.post(
        "/tasks", {"task_name": "x", "scene_file": "/proj/late.blend", "frames": "1"}
    ).json()
    assert owner_api.post(f"/tasks/{task['id']}/submit").json()["code"] == "scene_missing"
    file = makers.scene(owner, "/proj/late.blend")

    answer = owner_api.post(f"/tasks/{task['id']}/submit")

    assert (answer.status_code, answer.json()["scene_file_id"]) == (202, str(file.pk))


def test_a_scene_in_the_trash(owner_api: Client, owner: User, scene: File, node: RenderNode) -> None:
    job = makers.draft(owner, scene)
    trash(entry=scene, actor=owner)
    assert owner_api.post(f"/tasks/{job.pk}/submit").json()["code"] == "scene_missing"


@pytest.mark.parametrize("code", ["not_a_scene", "inspection_failed", "scene_too_new", "inspection_timeout"])
def test_a_scene_that_could_not_be_read(
    owner_api: Client, owner: User, scene: File, node: RenderNode, code: str
) -> None:
    SceneReport.objects.update(status="failed", failure_code=code, message="It cannot be read 100%.")
    job = makers.draft(owner, scene)

    answer = owner_api.post(f"/tasks/{job.pk}/submit")

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert answer.json()["detail"] == "It cannot be read 100%."


def test_money_is_held_to_the_fen_above(owner: User, scene: File, node: RenderNode, price: PriceRule) -> None:
    PriceRule.objects.update(price=Decimal("0.003334"))

    job = submit_job(job=makers.draft(owner, scene, frames="1-4"))

    assert job.estimated_cost == Decimal("0.013336")
    assert makers.money(owner)[1] == Decimal("0.02")


def test_what_costs_nothing_holds_nothing(owner: User, scene: File, node: RenderNode) -> None:
    PriceRule.objects.update(price=0)

    job = makers.queued(owner, scene, frames="1")
    makers.succeed(makers.claimed(node))

    job.refresh_from_db()
    assert (job.status, job.hold, job.estimated_cost, job.actual_cost) == (Status.COMPLETED, None, 0, 0)


def test_a_later_price_does_not_reach_a_job(owner: User, scene: File, node: RenderNode) -> None:
    job = makers.queued(owner, scene, frames="1-2")
    balance, _held = makers.money(owner)
    now = timezone.now()
    PriceRule.objects.update(valid_to=now)
    PriceRule.objects.create(price=Decimal(9), valid_from=now - timedelta(days=1), engine="blender")

    for _frame in range(2):
        makers.succeed(makers.claimed(node))

    job.refresh_from_db()
    assert (job.unit_price, job.actual_cost) == (Decimal("0.5"), Decimal(1))
    assert makers.money(owner) == (balance - 1, 0)


def test_later_changes_in_the_drive_do_not_reach_a_job(owner: User, node: RenderNode) -> None:
    texture = put(owner, "/proj/wood.png", b"wood")
    file = makers.scene(owner, assets=[asset("//wood.png")])
    job = makers.queued(owner, file)
    put(owner, "/proj/wood.png", b"another wood")

    assert job.files.get(path="/proj/wood.png").blob == texture.blob
    assert job.files.get(is_scene=True).blob == file.blob


# --- what shows only later ---


def test_a_job_waits_for_its_scene_to_be_read(owner: User, node: RenderNode) -> None:
    job, file = makers.pending_without_report(owner)

    advance_job(job_id=job.pk)
    job.refresh_from_db()
    assert (job.status, job.hold, job.total_frames) == (Status.PENDING, None, 0)

    SceneReport.objects.filter(blob=file.blob).update(status="ready", data=makers.REPORT)
    advance_job(job_id=job.pk)
    job.refresh_from_db()
    assert (job.status, job.total_frames, makers.money(owner)[1]) == (Status.QUEUED, 3, Decimal("1.5"))
    assert makers.audit() == {}


@pytest.mark.parametrize(
    ("findings", "frames", "code"),
    [
        ({"status": "failed", "failure_code": "not_a_scene"}, "1-3", "not_a_scene"),
        ({"data": makers.REPORT | {"assets": [asset("//wood.png")]}}, "1-3", "missing_assets"),
        ({"data": makers.REPORT | {"frame_end": 1000}}, "", "insufficient_balance"),
        ({"data": makers.REPORT | {"frame_start": -4}}, "", "frame_range_invalid"),
        ({"data": makers.REPORT | {"frame_end": 900_000}}, "", "frame_range_too_long"),
    ],
)
def test_a_refusal_that_shows_later_makes_it_a_draft_again(
    owner: User, owner_api: Client, node: RenderNode, findings: dict, frames: str, code: str
) -> None:
    job, file = makers.pending_without_report(owner, frames=frames)
    SceneReport.objects.filter(blob=file.blob).update(**{"status": "ready", **findings})

    advance_job(job_id=job.pk)

    task = owner_api.get(f"/tasks/{job.pk}").json()
    assert (task["status"], task["failure_code"], task["total_frames"]) == (0, code, 0)
    assert task["error_message"]
    assert makers.money(owner)[1] == 0
    assert not Frame.objects.exists()
    assert job.logs.order_by("-id").first().log_level == "ERROR"  # type: ignore[union-attr]
    assert makers.audit() == {}


def test_a_hold_is_released_where_the_job_cannot_be_queued(
    owner: User, scene: File, node: RenderNode
) -> None:
    """A file lies where the folder of all results has to be."""
    put(owner, "/renders", b"in the way")
    job = submit_job(job=makers.draft(owner, scene))
    assert makers.money(owner)[1] == Decimal("1.5")

    advance_job(job_id=job.pk)

    job.refresh_from_db()
    assert (job.status, job.failure_code, job.hold) == (Status.DRAFT, "name_taken", None)
    assert makers.money(owner)[1] == 0
    assert makers.audit() == {}
    trash(entry=File.objects.get(name="renders"), actor=owner)
    submit_job(job=job)
    advance_job(job_id=job.pk)
    job.refresh_from_db()
    assert job.status == Status.QUEUED
    assert makers.audit() == {}


def test_a_pending_job_that_was_cancelled_stays_so(owner: User, scene: File, node: RenderNode) -> None:
    job = submit_job(job=makers.draft(owner, scene))
    cancel_job(job=job)

    advance_job(job_id=job.pk)

    job.refresh_from_db()
    assert (job.status, makers.money(owner)[1]) == (Status.CANCELLED, 0)
    assert not Frame.objects.exists()


def test_pending_jobs_come_the_oldest_first(owner: User, node: RenderNode) -> None:
    jobs = [submit_job(job=makers.draft(owner)) for _number in range(3)]
    RenderJob.objects.filter(pk=jobs[0].pk).update(submitted_at=timezone.now())

    assert admission.pending_jobs() == [jobs[1].pk, jobs[2].pk, jobs[0].pk]
    assert admission.pending_jobs("maya") == []


# --- the folder of the results ---


@pytest.mark.parametrize(
    ("task_name", "folder"),
    [
        ("Shot 1", "/renders/Shot 1"),
        ("夜景 / 镜头:1?", "/renders/夜景 镜头1"),
        ("..", None),
        ("a\tb\u202e", "/renders/a b"),
        (" .hidden. ", "/renders/hidden"),
        ("NUL", "/renders/_NUL"),
        ("///", None),
        ("中" * 78 + " 夜", "/renders/" + "中" * 78),
        ("中" * 200, "/renders/" + "中" * 78),
    ],
)
def test_results_go_to_a_folder_named_after_the_task(
    owner: User, node: RenderNode, task_name: str, folder: str | None
) -> None:
    job = makers.queued(owner, task_name=task_name)
    assert job.output_folder == (folder or f"/renders/{job.pk}")


def test_each_job_has_a_folder_of_its_own(owner: User, node: RenderNode) -> None:
    put(owner, "/renders/shot (3)/kept.png", b"kept")
    put(owner, "/renders/shot (4)", b"a file")

    folders = [makers.queued(owner).output_folder for _number in range(4)]

    assert folders == ["/renders/shot", "/renders/shot (2)", "/renders/shot (5)", "/renders/shot (6)"]
