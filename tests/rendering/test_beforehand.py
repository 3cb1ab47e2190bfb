"""What a client reads before it submits a task: the report of its scene, an estimate, the engines there are."""

import pytest
from django.utils import timezone

from accounts.models import User
from billing.models import PriceRule
from drives.models import File
from rendering.models import RenderJob, RenderNode, SceneReport
from rendering.services.jobs import cancel_job, resume_job
from tests.conftest import Client
from tests.factories import put
from tests.rendering import makers
from tests.rendering.makers import asset

pytestmark = pytest.mark.django_db
Status = RenderJob.Status


# --- report ---


def test_the_report_of_a_scene(owner_api: Client, owner: User) -> None:
    file = makers.scene(owner, assets=[asset("//wood.png"), asset("//stone.png")])
    put(owner, "/proj/wood.png", b"wood")
    job = makers.draft(owner, file)

    body = owner_api.get(f"/tasks/{job.pk}/report").json()

    assert (body["status"], body["engine"], body["data"]["frame_end"]) == ("ready", "blender", 10)
    assert [entry["expected_path"] for entry in body["missing"]] == ["/proj/stone.png"]
    put(owner, "/proj/stone.png", b"stone")
    assert owner_api.get(f"/tasks/{job.pk}/report").json()["missing"] == []


def test_a_report_that_is_not_there_yet(owner_api: Client, owner: User) -> None:
    job = makers.draft(owner, put(owner, "/new.blend", b"BLENDER new"))

    body = owner_api.get(f"/tasks/{job.pk}/report").json()

    assert (body["status"], body["data"], body["missing"]) == ("pending", {}, [])


def test_the_report_of_a_scene_that_cannot_be_read(owner_api: Client, owner: User, scene: File) -> None:
    SceneReport.objects.update(status="failed", failure_code="scene_too_new", message="Too new.", data={})
    body = owner_api.get(f"/tasks/{makers.draft(owner, scene).pk}/report").json()
    assert (body["status"], body["failure_code"], body["message"]) == ("failed", "scene_too_new", "Too new.")


def test_no_report_without_a_scene(owner_api: Client, owner: User) -> None:
    task = owner_api.post("/tasks", {"task_name": "x"}).json()
    answer = owner_api.get(f"/tasks/{task['id']}/report")
    assert (answer.status_code, answer.json()["code"]) == (422, "scene_missing")


# --- estimate ---


def test_estimate_of_the_scenes_own_range(
    owner_api: Client, owner: User, scene: File, node: RenderNode, price: PriceRule
) -> None:
    job = makers.draft(owner, scene, frames="")
    available = float(makers.money(owner)[0])

    assert owner_api.get(f"/tasks/{job.pk}/estimate").json() == {
        "frames": 10,
        "steps": ["main"],
        "unit": "frame",
        "base_price": 0.5,
        "priority_multiplier": 1.0,
        "discount": 0.0,
        "unit_price": 0.5,
        "rule_id": str(price.pk),
        "rule_version": 1,
        "expected_hours": None,
        "basis": "frames",
        "estimated_cost": 5.0,
        "currency": "CNY",
        "available": available,
        "payer": "user",
        "team_id": None,
        "limit_left": None,
    }


def test_estimate_of_a_range_needs_no_report(owner_api: Client, owner: User, price: PriceRule) -> None:
    job = makers.draft(owner, put(owner, "/new.blend", b"BLENDER new"), frames="1-10:3")
    body = owner_api.get(f"/tasks/{job.pk}/estimate").json()
    assert (body["frames"], body["estimated_cost"]) == (4, 2.0)


def test_estimate_while_the_scene_is_being_read(owner_api: Client, owner: User, price: PriceRule) -> None:
    job = makers.draft(owner, put(owner, "/new.blend", b"BLENDER new"), frames="")
    answer = owner_api.get(f"/tasks/{job.pk}/estimate")
    assert (answer.status_code, answer.json()["code"]) == (409, "report_pending")


def test_an_estimate_is_what_submit_holds(
    owner_api: Client, owner: User, scene: File, node: RenderNode
) -> None:
    job = makers.draft(owner, scene, frames="1-7:2")
    estimate = owner_api.get(f"/tasks/{job.pk}/estimate").json()["estimated_cost"]
    resume_job(job=job)
    assert float(makers.money(owner)[1]) == estimate
    cancel_job(job=job)


# --- engines ---


def test_engines_that_nodes_offer(owner_api: Client, anonymous: Client, node: RenderNode) -> None:
    facts = {"host": "h", "heartbeat_at": timezone.now()}
    RenderNode.objects.create(name="a", engines={"blender": ["4.2.1"], "povray": ["3"]}, **facts)
    RenderNode.objects.create(name="b", engines={"blender": ["3.6"]}, state="disabled", **facts)

    assert owner_api.get("/engines").json() == {
        "engines": [{"name": "blender", "versions": ["4.2.1", "5.0.1"]}]
    }
    assert anonymous.get("/engines").status_code == 401
